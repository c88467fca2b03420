//! No password, hash, token or code reaches the log, and no answer repeats one that it need not.
#![cfg(all(feature = "gate", feature = "verify", feature = "status"))]
#![allow(clippy::unwrap_used, reason = "tests only")]

#[allow(dead_code, reason = "shared with the tests of the gate")]
#[path = "gate/support/mod.rs"]
mod gate_support;

use std::{
    io,
    sync::{Arc, Mutex},
};

use gate_support::{PASSWORD, World, sent, world};
use serde_json::json;
use tracing_subscriber::{filter::LevelFilter, fmt::MakeWriter};
use uschat_server::store::Accounts;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;
    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn secrets_stay_out_of_log_and_answers() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE).with_writer(log.clone()).finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();

    let world = world().await;
    let code = world.code("ada@example.org").await;
    let mut answers = Vec::new();
    let mut post = async |route: &str, body| {
        let answer = world.post(route, body).await;
        answers.push(answer.to_string());
        answer
    };
    let mistyped = "mistyped-secret";
    let registration = World::registration("ada", "ada@example.org", &code);
    let mut wrong_code = registration.clone();
    wrong_code["varifycode"] = json!(mistyped);
    post("/user_register", wrong_code).await;
    let uid = post("/user_register", registration).await["uid"].as_i64().unwrap();
    let first_hash = world.store.by_email("ada@example.org").await.unwrap().unwrap().password;
    let mut tokens = vec![post("/user_login", json!({ "email": "ada@example.org", "passwd": sent(PASSWORD) })).await];
    for _ in 0..11 {
        post("/user_login", json!({ "email": "bob@example.org", "passwd": sent(mistyped) })).await;
    }
    let second_code = world.code("ada@example.org").await;
    let reset =
        json!({ "user": "ada", "email": "ada@example.org", "passwd": sent("another1!"), "varifycode": second_code });
    assert_eq!(post("/reset_pwd", reset).await["error"], 0);
    tokens.push(world.login("ada@example.org", "another1!").await);
    for _ in 0..5 {
        world.post("/get_varifycode", json!({ "email": "ada@example.org" })).await;
    }
    let latest_code = world.outbox.newest("ada@example.org").unwrap();
    let second_hash = world.store.by_email("ada@example.org").await.unwrap().unwrap().password;
    assert!(uid > 0);

    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("refused: too many wrong passwords"), "the log was captured");
    assert!(log.contains("refused: too many mails"));
    let mut secrets = vec![code, second_code, latest_code];
    secrets.extend([PASSWORD, mistyped, "another1!"].into_iter().flat_map(|plain| [plain.to_owned(), sent(plain)]));
    secrets.extend([first_hash.expose().to_owned(), second_hash.expose().to_owned()]);
    let tokens = tokens.iter().map(|reply| reply["token"].as_str().unwrap().to_owned());
    for secret in secrets.iter().cloned().chain(tokens) {
        assert!(!log.contains(&secret), "{secret:?} is in the log");
    }
    for secret in secrets {
        assert!(answers.iter().all(|answer| !answer.contains(&secret)), "{secret:?} is in an answer");
    }
}
