//! Who may read codes from the outbox, and what the log says and does not say.

use serde_json::{Value, json};

use crate::support::{RawClient, Topology, xor_password};

#[tokio::test]
async fn the_outbox_is_for_this_machine_only_unless_asked() {
    for (arguments, served) in
        [(&["--chats", "1"][..], true), (&["--bind", "0.0.0.0"], false), (&["--bind", "0.0.0.0", "--dev"], true)]
    {
        let topology = Topology::start(arguments).await;
        let mailed = topology.post("/get_varifycode", &json!({ "email": "ada@example.org" })).await;
        assert_eq!(mailed["error"], 0, "{mailed}");
        let (status, body) = topology.get("/dev/outbox?email=ada@example.org").await;
        assert_eq!(status == 200, served, "{arguments:?}: {status}");
        assert_eq!(body["code"].is_string(), served, "{arguments:?}: {body}");
    }
}

#[tokio::test]
async fn no_secret_is_logged() {
    let topology = Topology::start(&["--chats", "1", "--log-level", "debug"]).await;
    let user = topology.sign_up("ada").await;
    let mut other = topology.sign_up("bob").await;
    let code = topology.newest_code(&user.email).await;
    other.token.push('x');
    RawClient::connect(&other.chat_address()).await.log_in_as(&other).await;
    RawClient::log_in(&user).await;
    let wrong = json!({ "email": user.email, "passwd": xor_password("not the secret") });
    assert_eq!(topology.post("/user_login", &wrong).await["error"], 1009);
    topology.signal("TERM").await;
    let mut topology = topology;
    topology.wait().await;

    let log = topology.log();
    assert!(log.contains("told to end"), "there is a log: {log}");
    assert!(!log.contains('\u{1b}'), "no colours in a file");
    let secrets =
        [user.password.clone(), xor_password(&user.password), user.token, other.token, xor_password("not the secret")];
    for secret in secrets {
        assert!(!log.contains(&secret), "{secret}: {log}");
    }
    // Codes are short: as a word, not as a part of a number.
    assert!(!log.split(|c: char| !c.is_alphanumeric()).any(|word| word == code), "{code}: {log}");
}

#[tokio::test]
async fn lines_stay_lines_whatever_clients_send() {
    for format in ["human", "json"] {
        let topology = Topology::start(&["--chats", "1", "--log", format, "--log-level", "debug"]).await;
        let forged = "eve\n2026-01-01T00:00:00Z ERROR forged \u{1b}[31m@example.org";
        topology.post("/get_varifycode", &json!({ "email": forged })).await;
        topology.post("/user_login", &json!({ "email": forged, "passwd": forged })).await;
        topology
            .post(
                "/user_register",
                &json!({ "user": forged, "email": forged, "passwd": "p", "confirm": "p", "varifycode": forged }),
            )
            .await;
        let (mut client, _) = RawClient::log_in(&topology.sign_up("ada").await).await;
        client.send(1007, &json!({ "uid": forged })).await;
        client.expect(1008).await;
        topology.signal("TERM").await;
        let mut topology = topology;
        topology.wait().await;

        let log = topology.log();
        assert!(!log.contains("\n2026-01-01T00:00:00Z ERROR forged") && !log.contains('\u{1b}'), "{log}");
        for line in log.lines().filter(|_| format == "json") {
            let event: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            assert!(event["level"].is_string() && event["timestamp"].is_string(), "{line}");
        }
    }
}
