//! What the gate is asked, and how its answers are read.

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use uschat_client::{ErrorCode, Gate, GateError, PasswordReset, Registration, UserId};

use crate::support::within;

/// A gate that answers one request and tells what it was asked.
async fn gate(status: &str, reply: String) -> (Gate, impl Future<Output = (String, Value)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gate = Gate::new(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: text/json\r\nconnection: close\r\n\r\n");
    let serve = async move {
        let mut stream = BufReader::new(listener.accept().await.unwrap().0);
        let (mut path, mut len) = (String::new(), 0);
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).await.unwrap();
            match line.trim_end().to_ascii_lowercase().split_once(": ") {
                Some(("content-length", value)) => len = value.parse().unwrap(),
                None if line.trim_end().is_empty() => break,
                None => path = line.split(' ').nth(1).unwrap().into(),
                Some(_) => {}
            }
        }
        let mut body = vec![0; len];
        stream.read_exact(&mut body).await.unwrap();
        // A client that has seen enough may hang up.
        let _ = stream.write_all((head + &reply).as_bytes()).await;
        (path, serde_json::from_slice(&body).unwrap())
    };
    (gate, serve)
}

fn login_reply() -> Value {
    json!({"error": 0, "email": "a@b", "uid": 7, "token": "s3cret", "host": "127.0.0.1", "port": "8090",
        "chathost": "127.0.0.1", "chatport": "8090", "reshost": "", "resport": ""})
}

#[tokio::test]
async fn a_login_sends_the_transformed_password_and_gives_a_ticket() {
    let (gate, serve) = gate("200 OK", login_reply().to_string()).await;
    let (ticket, (path, body)) = within(async { tokio::join!(gate.log_in("a@b", "secret1!"), serve) }).await;
    assert_eq!((path.as_str(), body), ("/user_login", json!({"email": "a@b", "passwd": "{mkzm|9)"})));
    let ticket = ticket.unwrap();
    assert_eq!((ticket.uid, ticket.chat_host.as_str(), ticket.chat_port), (UserId(7), "127.0.0.1", 8090));
    assert_eq!(ticket.token(), "s3cret");
    assert!(!format!("{ticket:?}").contains("s3cret"));
}

#[tokio::test]
async fn either_generation_of_gates_names_the_chat_server() {
    for (host, port) in [("host", "port"), ("chathost", "chatport")] {
        let reply = json!({"error": 0, "email": "a@b", "uid": 7, "token": "t", host: "chat.example", port: "8091"});
        let (gate, serve) = gate("200 OK", reply.to_string()).await;
        let (ticket, _) = within(async { tokio::join!(gate.log_in("a@b", "secret1!"), serve) }).await;
        let ticket = ticket.unwrap();
        assert_eq!((ticket.chat_host.as_str(), ticket.chat_port), ("chat.example", 8091));
    }
}

#[tokio::test]
async fn accounts_are_made_and_passwords_reset() {
    let (text, code) = (String::from, "c0de".to_string());
    let (gate1, serve) = gate("200 OK", r#"{"error":0,"email":"a@b"}"#.into()).await;
    let (sent, asked) = within(async { tokio::join!(gate1.send_code("a@b"), serve) }).await;
    sent.unwrap();
    assert_eq!(asked, (text("/get_varifycode"), json!({"email": "a@b"})));

    let reply = r#"{"error":0,"uid":7,"email":"a@b","user":"ada","icon":""}"#;
    let (gate2, serve) = gate("200 OK", reply.into()).await;
    let registration = Registration {
        name: text("ada"),
        email: text("a@b"),
        password: text("123456"),
        code: code.clone(),
        icon: text("i"),
    };
    let (uid, asked) = within(async { tokio::join!(gate2.register(registration), serve) }).await;
    assert_eq!(uid.unwrap(), UserId(7));
    let body = json!({"user": "ada", "email": "a@b", "passwd": "745230", "confirm": "745230", "varifycode": "c0de", "icon": "i"});
    assert_eq!(asked, (text("/user_register"), body));

    let (gate3, serve) = gate("200 OK", r#"{"error":0,"email":"a@b","user":"ada"}"#.into()).await;
    let reset = PasswordReset { name: text("ada"), email: text("a@b"), new_password: text("123456"), code };
    let (done, asked) = within(async { tokio::join!(gate3.reset_password(reset), serve) }).await;
    done.unwrap();
    assert_eq!(
        asked,
        (text("/reset_pwd"), json!({"user": "ada", "email": "a@b", "passwd": "745230", "varifycode": "c0de"}))
    );
}

#[tokio::test]
async fn refusals_and_nonsense_are_told_apart() {
    type Check = fn(&GateError) -> bool;
    let mut bad_port = login_reply();
    bad_port["chatport"] = "none".into();
    let mut bad_token = login_reply();
    bad_token["uid"] = "s3cret".into();
    let cases: [(&str, String, Check); 7] = [
        ("200 OK", r#"{"error":1009}"#.into(), |e| matches!(e, GateError::Refused(ErrorCode::PASSWORD_INVALID))),
        ("200 OK", "hello".into(), |e| matches!(e, GateError::InvalidReply("not JSON"))),
        ("200 OK", bad_port.to_string(), |e| {
            matches!(e, GateError::InvalidReply("the chat server's port is no number"))
        }),
        ("200 OK", bad_token.to_string(), |e| matches!(e, GateError::InvalidReply(_))),
        ("200 OK", " ".repeat(70_000), |e| matches!(e, GateError::InvalidReply("longer than 64 KiB"))),
        ("404 Not Found", "url not found\r\n".into(), |e| matches!(e, GateError::Status(404))),
        ("307 Temporary Redirect\r\nlocation: http://127.0.0.1:9/", String::new(), |e| {
            matches!(e, GateError::Status(307))
        }),
    ];
    for (status, reply, expected) in cases {
        let (gate, serve) = gate(status, reply).await;
        let (result, _) = within(async { tokio::join!(gate.log_in("a@b", "secret1!"), serve) }).await;
        let error = result.unwrap_err();
        assert!(expected(&error), "{status}: {error:?}");
        assert!(!format!("{error:?} {error}").contains("s3cret"), "{error:?}");
    }
}

#[tokio::test]
async fn a_gate_that_is_not_there_is_an_error_of_its_own() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gate = Gate::new(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    drop(listener);
    let error = within(gate.send_code("a@b")).await.unwrap_err();
    assert!(matches!(error, GateError::Http(_)), "{error:?}");
}
