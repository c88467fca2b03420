//! Login: what the reply says, and how guessing ends.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use uschat_proto::chat::UserId;
use uschat_server::{
    gate::{Gate, GateConfig, PasswordCost, StatusClient, VerifyClient},
    store::{
        Account, Accounts, CreateAccountError, NewAccount, PasswordHash, StoreError, memory::MemoryStore,
        state::Servers,
    },
};

use crate::support::{PASSWORD, listen, record, sent, shared, world, world_with};

#[tokio::test]
async fn the_reply_names_server_and_token_in_both_spellings() {
    let world = world().await;
    let uid = world.register("ada").await;
    let reply = world.login("ada@example.org", PASSWORD).await;
    let token = world.token(uid).await.unwrap();
    assert_eq!(
        reply,
        json!({
            "error": 0, "email": "ada@example.org", "uid": uid, "token": token, "host": "127.0.0.1", "port": "8090",
            "chathost": "127.0.0.1", "chatport": "8090", "reshost": "127.0.0.1", "resport": "9090",
        })
    );
    // One client generation says "user".
    let other = world.post("/user_login", json!({ "user": "ada@example.org", "passwd": sent(PASSWORD) })).await;
    assert_eq!(other["error"], 0);
}

#[tokio::test]
async fn the_resource_server_is_configurable() {
    let config =
        GateConfig { resource_host: Some("files.test".into()), resource_port: "9191".into(), ..GateConfig::default() };
    let world = world_with(config, |store| store).await;
    world.register("ada").await;
    let reply = world.login("ada@example.org", PASSWORD).await;
    assert_eq!((&reply["reshost"], &reply["resport"]), (&json!("files.test"), &json!("9191")));
}

#[tokio::test]
async fn a_newer_login_replaces_the_token() {
    let world = world().await;
    let uid = world.register("ada").await;
    let first = world.login("ada@example.org", PASSWORD).await;
    let second = world.login("ada@example.org", PASSWORD).await;
    assert_ne!(first["token"], second["token"]);
    assert_eq!(world.token(uid).await.as_deref(), second["token"].as_str());
}

#[tokio::test]
async fn every_refusal_in_its_order() {
    let world = world().await;
    world.register("ada").await;
    world.state.retire_server("chatserver1", 1).await.unwrap();
    let error = async |body| world.error("/user_login", body).await;
    assert_eq!(error(json!({ "email": "ada@example.org" })).await, 1001);
    assert_eq!(error(json!({ "passwd": sent(PASSWORD) })).await, 1001);
    assert_eq!(error(json!({ "email": "ada", "passwd": "" })).await, 1009, "what is no address is like nobody's");
    assert_eq!(error(json!({ "email": "ada@example.org", "passwd": "" })).await, 1009);
    assert_eq!(error(json!({ "email": "ada@example.org", "passwd": "other" })).await, 1009);
    assert_eq!(error(json!({ "email": "ada@example.org", "passwd": sent(PASSWORD) })).await, 1002, "no chat server");
    world.announce("chatserver1", 8090).await;
    assert_eq!(error(json!({ "email": "ada@example.org", "passwd": sent(PASSWORD) })).await, 0);
}

#[tokio::test]
async fn known_and_unknown_addresses_are_told_the_same() {
    let world = world().await;
    world.register("ada").await;
    for _ in 0..10 {
        let known = world.login("ada@example.org", "wrong-one").await;
        assert_eq!(known, json!({ "error": 1009 }));
        assert_eq!(world.login("nobody@example.org", "wrong-one").await, known);
    }
    let known = world.login("ada@example.org", "wrong-one").await;
    assert_eq!(known, json!({ "error": 3102 }));
    assert_eq!(world.login("nobody@example.org", "wrong-one").await, known);
}

#[tokio::test]
async fn after_ten_wrong_passwords_the_right_one_is_refused_too() {
    let mut world = world().await;
    world.register("ada").await;
    world.register("bob").await;
    for _ in 0..15 {
        assert_eq!(world.login("bob@example.org", PASSWORD).await["error"], 0, "successes never count");
    }
    for email in ["ada@example.org", "ADA@example.org"].iter().cycle().take(10) {
        assert_eq!(world.login(email, "wrong-one").await["error"], 1009);
    }
    assert_eq!(world.login("ada@example.org", PASSWORD).await["error"], 3102);
    assert_eq!(world.login("bob@example.org", PASSWORD).await["error"], 0, "others are not concerned");
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(600)).await;
    tokio::time::resume();
    // The old connection has met its deadline.
    world.http = reqwest::Client::new();
    world.announce("chatserver1", 8090).await;
    assert_eq!(world.login("ada@example.org", PASSWORD).await["error"], 0, "the window is over");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parallel_guesses_are_no_more_than_ten() {
    let looked_up = Arc::new(AtomicUsize::new(0));
    let counter = looked_up.clone();
    let wrap = |store| Arc::new(Counted { store, looked_up: counter });
    let world = Arc::new(world_with(GateConfig::default(), wrap).await);
    world.register("ada").await;
    let guesses: Vec<_> = (0..40)
        .map(|guess| {
            let world = world.clone();
            tokio::spawn(async move { world.login("ada@example.org", &format!("wrong-{guess}")).await })
        })
        .collect();
    let mut errors = Vec::new();
    for guess in guesses {
        errors.push(guess.await.unwrap()["error"].as_i64().unwrap());
    }
    errors.sort_unstable();
    assert_eq!(errors, [vec![1009; 10], vec![3102; 30]].concat());
    assert_eq!(looked_up.load(Ordering::SeqCst), 10, "the others were not even tried");
}

/// Counts how often a password is about to be checked.
struct Counted {
    store: Arc<MemoryStore>,
    looked_up: Arc<AtomicUsize>,
}

#[async_trait]
impl Accounts for Counted {
    async fn create(&self, account: NewAccount) -> Result<UserId, CreateAccountError> {
        self.store.create(account).await
    }
    async fn by_email(&self, email: &str) -> Result<Option<Account>, StoreError> {
        self.looked_up.fetch_add(1, Ordering::SeqCst);
        self.store.by_email(email).await
    }
    async fn by_uid(&self, uid: UserId) -> Result<Option<Account>, StoreError> {
        self.store.by_uid(uid).await
    }
    async fn by_name(&self, name: &str) -> Result<Option<Account>, StoreError> {
        self.store.by_name(name).await
    }
    async fn set_password(&self, uid: UserId, password: PasswordHash) -> Result<bool, StoreError> {
        self.store.set_password(uid, password).await
    }
    async fn replace_password(&self, uid: UserId, old: &PasswordHash, new: PasswordHash) -> Result<bool, StoreError> {
        self.store.replace_password(uid, old, new).await
    }

    async fn next_fence(&self, uid: UserId) -> Result<i64, StoreError> {
        self.store.next_fence(uid).await
    }
}

#[tokio::test]
async fn logins_spread_over_the_least_loaded_servers() {
    let world = world().await;
    world.register("ada").await;
    let hour = Duration::from_secs(3600);
    world.state.announce_server(&record("chatserver1", 8090, 6), hour).await.unwrap();
    world.state.announce_server(&record("chatserver2", 8091, 0), hour).await.unwrap();
    let mut ports = std::collections::BTreeMap::<String, u32>::new();
    for _ in 0..10 {
        let reply = world.login("ada@example.org", PASSWORD).await;
        *ports.entry(reply["port"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    assert_eq!(ports, [("8090".to_owned(), 2), ("8091".to_owned(), 8)].into());
}

#[tokio::test]
async fn services_that_are_away_or_silent_are_1002_within_the_deadline() {
    let world = world().await;
    world.register("ada").await;
    // Accepts in the kernel, never answers.
    let (_silent_listener, silent) = listen().await;
    let (refusing_listener, refusing) = listen().await;
    drop(refusing_listener);

    for peer in [silent, refusing] {
        let deadline = Duration::from_millis(300);
        let verify = VerifyClient::new(shared(peer)).with_deadline(deadline);
        let status = StatusClient::new(shared(peer)).with_deadline(deadline);
        let password_cost = PasswordCost { memory_kib: 8, iterations: 1, ..PasswordCost::default() };
        let config = GateConfig { password_cost, ..GateConfig::default() };
        let gate = Gate::new(config, world.store.clone(), world.state.clone(), verify, status).unwrap();
        let (listener, address) = listen().await;
        let shutdown = CancellationToken::new();
        let serving = tokio::spawn(gate.serve(listener, shutdown.clone()));

        let post = async |route: &str, body: serde_json::Value| -> serde_json::Value {
            let request = world.http.post(format!("http://{address}{route}")).body(body.to_string());
            tokio::time::timeout(Duration::from_secs(3), request.send()).await.unwrap().unwrap().json().await.unwrap()
        };
        let login = post("/user_login", json!({ "email": "ada@example.org", "passwd": sent(PASSWORD) })).await;
        assert_eq!(login, json!({ "error": 1002 }));
        let mail = post("/get_varifycode", json!({ "email": "ada@example.org" })).await;
        assert_eq!(mail, json!({ "error": 1002, "email": "ada@example.org" }));
        shutdown.cancel();
        serving.await.unwrap().unwrap();
    }
}
