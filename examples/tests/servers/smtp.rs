//! Codes that travel by a real mail server.

mod real_server {
    use serde_json::{Value, json};

    use crate::support::{
        RawClient, Topology,
        servers::{new_database, new_redis, smtp::SmtpServer},
    };

    const PASSWORD: &str = "s3same-open";

    async fn mail_server() -> (SmtpServer, String) {
        let server = SmtpServer::start(&["--user", "codes", "--password", PASSWORD]).await;
        let url = format!("smtp://codes:{PASSWORD}@127.0.0.1:{}?from=chat@example.org", server.port());
        (server, url)
    }

    async fn ask_for_code(topology: &Topology, email: &str) -> Value {
        topology.post("/get_varifycode", &json!({ "email": email })).await
    }

    /// The code as a reader finds it: the first word of its length that is a line of its own.
    async fn mailed_code(server: &mut SmtpServer, email: &str) -> String {
        let mail: Value = serde_json::from_str(&server.next("mail").await).unwrap();
        assert_eq!((&mail["recipients"], &mail["sender"]), (&json!([email]), &json!("chat@example.org")), "{mail}");
        let text = mail["parts"][0]["text"].as_str().unwrap();
        let code = text.lines().map(str::trim).find(|line| line.len() == 6 && !line.contains(' '));
        code.unwrap_or_else(|| panic!("no code in {text}")).to_owned()
    }

    /// The whole way of a code, and what happens when the mail server is gone later.
    async fn by_mail_only(options: &[&str]) {
        let (mut server, url) = mail_server().await;
        let topology = Topology::start(&[options, &["--chats", "1", "--dev", "--smtp", &url]].concat()).await;
        assert_eq!(ask_for_code(&topology, "ada@example.org").await, json!({ "error": 0, "email": "ada@example.org" }));
        let code = mailed_code(&mut server, "ada@example.org").await;
        let (status, body) = topology.get("/dev/outbox?email=ada@example.org").await;
        assert_eq!((status, body), (404, Value::Null), "codes travel by mail only, --dev or not");
        let ada = topology.gate().sign_up_with_code("ada", &code).await;
        RawClient::log_in(&ada).await;

        // A second mail has the code that the first one had, so this is the one that the failed mail will be about.
        assert_eq!(ask_for_code(&topology, "bob@example.org").await["error"], 0);
        let code = mailed_code(&mut server, "bob@example.org").await;
        server.stop().await;
        let before = topology.log();
        let reply = ask_for_code(&topology, "bob@example.org").await;
        assert_eq!(reply, json!({ "error": 2, "email": "bob@example.org" }));
        let log = topology.log();
        let new: Vec<_> = log[before.len()..].lines().collect();
        assert_eq!(new.len(), 1, "{new:?}");
        assert!(new[0].contains("WARN") && new[0].contains("a code could not be mailed"), "{new:?}");
        for secret in [PASSWORD, "AGNvZGVzAHMzc2FtZS1vcGVu"] {
            assert!(!log.contains(secret), "{secret}: {log}");
        }
        // As a word: a code is so short that a time or a port may contain it.
        assert!(!log.split(|c: char| !c.is_alphanumeric()).any(|word| word == code), "{code}: {log}");
        // What it had mailed before is still good.
        topology.gate().sign_up_with_code("bob", &code).await;
        topology.stop().await;
    }

    #[tokio::test]
    async fn codes_travel_by_mail_from_one_process() {
        by_mail_only(&["--sql", "memory:"]).await;
    }

    #[tokio::test]
    async fn codes_travel_by_mail_from_a_process_of_their_own() {
        let (sql, redis) = (new_database().await, new_redis().await);
        by_mail_only(&["--processes", "--sql", &sql, "--redis", &redis]).await;
    }
}
