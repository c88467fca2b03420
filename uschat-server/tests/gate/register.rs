//! Registration: what a code buys, once, and in which order a request is tested.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};
use uschat_proto::chat::UserId;
use uschat_server::{
    gate::GateConfig,
    store::{
        Account, Accounts, CreateAccountError, NewAccount, PasswordHash, StoreError, memory::MemoryStore, state::Codes,
    },
};

use crate::support::{PASSWORD, World, sent, world, world_with};

#[tokio::test]
async fn a_registered_user_is_stored_with_a_hash_and_logs_in() {
    let world = world().await;
    let code = world.code("ada@example.org").await;
    let reply = world.post("/user_register", World::registration("ada", "ada@example.org", &code)).await;
    let account = world.store.by_email("ada@example.org").await.unwrap().unwrap();
    assert_eq!(
        reply,
        json!({
            "error": 0, "uid": account.profile.uid, "email": "ada@example.org", "user": "ada", "icon": ":/res/head_1.jpg"
        })
    );
    assert!(account.password.expose().starts_with("$argon2id$"));
    assert_eq!(world.login("ada@example.org", PASSWORD).await["error"], 0);
}

#[tokio::test]
async fn every_refusal_in_its_order() {
    let world = world().await;
    world.register("taken").await;
    let base = World::registration("ada", "ada@example.org", "wrong");
    let with = |changes: &[(&str, Value)]| {
        let mut body = base.clone();
        for (key, value) in changes {
            body[*key] = value.clone();
        }
        body
    };
    let error = async |body: Value| world.error("/user_register", body).await;
    let (long, confirm) = (Value::from("a".repeat(65)), Value::from("other"));

    // Each body is also wrong in what is tested later.
    let mut incomplete = with(&[("user", long.clone()), ("confirm", confirm.clone())]);
    incomplete.as_object_mut().unwrap().remove("varifycode");
    assert_eq!(error(incomplete).await, 1001);
    assert_eq!(error(with(&[("user", json!(7)), ("confirm", confirm.clone())])).await, 1001);
    assert_eq!(error(with(&[("confirm", confirm), ("user", json!(""))])).await, 1006);
    assert_eq!(error(base.clone()).await, 1003);
    for nobody in [json!("nobody"), json!(format!("{}@b", "a".repeat(253)))] {
        assert_eq!(error(with(&[("email", nobody)])).await, 1003);
    }
    let code = world.code("ada@example.org").await;
    assert_eq!(error(with(&[("varifycode", json!("a".repeat(65)))])).await, 1004);
    for invalid in [
        ("user", long),
        ("user", json!("a\nb")),
        ("user", json!("")),
        ("passwd", json!("")),
        ("passwd", json!("a".repeat(256))),
        ("icon", json!("a".repeat(256))),
    ] {
        let mut body = with(&[invalid.clone(), ("varifycode", json!(code))]);
        body["confirm"] = body["passwd"].clone();
        assert_eq!(error(body).await, 3007, "{invalid:?}");
    }
    assert_eq!(error(with(&[("user", json!("taken"))])).await, 1004);
    assert_eq!(error(with(&[("user", json!("taken")), ("varifycode", json!(code))])).await, 1005);
    let code_of_taken = world.code("taken@example.org").await;
    assert_eq!(error(World::registration("new", "taken@example.org", &code_of_taken)).await, 1005);

    // The code was not spent by the refusals.
    assert_eq!(error(with(&[("varifycode", json!(code))])).await, 0);
    assert_eq!(error(World::registration("eve", "ada@example.org", &code)).await, 1003, "but by the success");
}

#[tokio::test]
async fn five_wrong_tries_void_a_code() {
    let world = world().await;
    let code = world.code("ada@example.org").await;
    for _ in 0..5 {
        assert_eq!(world.error("/user_register", World::registration("ada", "ada@example.org", "wrong")).await, 1004);
    }
    assert_eq!(world.error("/user_register", World::registration("ada", "ada@example.org", &code)).await, 1003);
    // Registration and reset share the tries.
    let code = world.code("ada@example.org").await;
    let reset = json!({ "user": "ada", "email": "ada@example.org", "passwd": sent("x"), "varifycode": "wrong" });
    for _ in 0..5 {
        assert_eq!(world.error("/reset_pwd", reset.clone()).await, 1004);
    }
    assert_eq!(world.error("/user_register", World::registration("ada", "ada@example.org", &code)).await, 1003);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_is_spent_once_by_racing_registrations() {
    let world = Arc::new(world().await);
    for round in 0..10 {
        let email = format!("round{round}@example.org");
        let code = world.code(&email).await;
        let racers: Vec<_> = (0..4)
            .map(|racer| {
                let (world, body) = (world.clone(), World::registration(&format!("r{round}-{racer}"), &email, &code));
                tokio::spawn(async move { world.error("/user_register", body).await })
            })
            .collect();
        let mut errors = Vec::new();
        for racer in racers {
            errors.push(racer.await.unwrap());
        }
        assert_eq!(errors.iter().filter(|&&error| error == 0).count(), 1, "{errors:?}");
        assert!(errors.iter().all(|error| [0, 1003].contains(error)), "{errors:?}");
    }
}

#[tokio::test]
async fn a_failed_store_gives_the_code_back_with_its_time() {
    let world = world_with(GateConfig::default(), |_| Arc::new(Failing)).await;
    let code = world.code("ada@example.org").await;
    for _ in 0..2 {
        assert_eq!(world.error("/user_register", World::registration("ada", "ada@example.org", &code)).await, 3101);
    }
    let remaining = world.state.spend_code("ada@example.org", &code).await.unwrap().unwrap();
    assert!(remaining.as_secs() <= 600 && remaining.as_secs() > 500, "{remaining:?}");
    assert_eq!(world.login("ada@example.org", PASSWORD).await, json!({ "error": 3101 }));
}

/// A database that is away.
struct Failing;

#[async_trait]
impl Accounts for Failing {
    async fn create(&self, _: NewAccount) -> Result<UserId, CreateAccountError> {
        Err(StoreError::unavailable("away").into())
    }
    async fn by_email(&self, _: &str) -> Result<Option<Account>, StoreError> {
        Err(StoreError::unavailable("away"))
    }
    async fn by_uid(&self, _: UserId) -> Result<Option<Account>, StoreError> {
        Err(StoreError::unavailable("away"))
    }
    async fn by_name(&self, _: &str) -> Result<Option<Account>, StoreError> {
        Err(StoreError::unavailable("away"))
    }
    async fn set_password(&self, _: UserId, _: PasswordHash) -> Result<bool, StoreError> {
        Err(StoreError::unavailable("away"))
    }
    async fn replace_password(&self, _: UserId, _: &PasswordHash, _: PasswordHash) -> Result<bool, StoreError> {
        Err(StoreError::unavailable("away"))
    }
    async fn next_fence(&self, _: UserId) -> Result<i64, StoreError> {
        Err(StoreError::unavailable("away"))
    }
}

#[tokio::test]
async fn a_client_that_hangs_up_is_registered_all_the_same() {
    use tokio::io::AsyncWriteExt;

    let reached = Arc::new(tokio::sync::Semaphore::new(0));
    let go_on = Arc::new(tokio::sync::Semaphore::new(0));
    let (seen, gate) = (reached.clone(), go_on.clone());
    let mut world = world_with(GateConfig::default(), |store| Arc::new(Slow { store, reached, go_on })).await;
    let code = world.code("ada@example.org").await;
    let body = World::registration("ada", "ada@example.org", &code).to_string();
    let mut socket = tokio::net::TcpStream::connect(world.gate).await.unwrap();
    let request = format!("POST /user_register HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    socket.write_all(request.as_bytes()).await.unwrap();
    seen.acquire().await.unwrap().forget();
    drop(socket);
    // A round trip over another connection, so that the gate has seen the hang-up.
    assert_eq!(world.http.get(world.url("/get_test")).send().await.unwrap().status(), 200);
    world.shutdown.cancel();
    gate.add_permits(1);
    // Draining waits for it.
    (&mut world.gate_task).await.unwrap().unwrap();
    assert!(world.store.by_name("ada").await.unwrap().is_some());
    assert_eq!(world.state.spend_code("ada@example.org", &code).await.unwrap(), None);
}

/// A store whose `create` says that it began, and waits.
struct Slow {
    store: Arc<MemoryStore>,
    reached: Arc<tokio::sync::Semaphore>,
    go_on: Arc<tokio::sync::Semaphore>,
}

#[async_trait]
impl Accounts for Slow {
    async fn create(&self, account: NewAccount) -> Result<UserId, CreateAccountError> {
        self.reached.add_permits(1);
        self.go_on.acquire().await.unwrap().forget();
        self.store.create(account).await
    }
    async fn by_email(&self, email: &str) -> Result<Option<Account>, StoreError> {
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
