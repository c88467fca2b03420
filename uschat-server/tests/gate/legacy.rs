//! Accounts that an original server made: their passwords are checked its way, and stored anew as Argon2 hashes.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::json;
use uschat_proto::chat::UserId;
use uschat_server::{
    gate::GateConfig,
    store::{Account, Accounts, CreateAccountError, NewAccount, PasswordHash, StoreError, memory::MemoryStore},
};

use crate::support::{PASSWORD, World, sent, world, world_with};

const EMAIL: &str = "ada@example.org";

/// Stores an account as an original would.
async fn original(world: &World, name: &str, email: &str, stored: &str) -> UserId {
    let account = NewAccount {
        name: name.into(),
        email: email.into(),
        password: PasswordHash::new(stored),
        icon: ":/res/head_1.jpg".into(),
    };
    world.store.create(account).await.unwrap()
}

async fn stored(world: &World, uid: UserId) -> String {
    world.store.by_uid(uid).await.unwrap().unwrap().password.expose().to_owned()
}

#[tokio::test]
async fn the_first_login_upgrades_the_password() {
    let world = world().await;
    let uid = original(&world, "ada", EMAIL, &sent(PASSWORD)).await;
    let reply = world.login(EMAIL, PASSWORD).await;
    assert_eq!(reply["error"], 0);
    assert_eq!(world.token(uid).await.as_deref(), reply["token"].as_str(), "the upgrade did not void the token");
    let upgraded = stored(&world, uid).await;
    assert!(upgraded.starts_with("$argon2id$v=19$m=8,t=1,p=1$"));

    assert_eq!(world.login(EMAIL, PASSWORD).await["error"], 0);
    assert_eq!(stored(&world, uid).await, upgraded, "once is enough");
    assert_eq!(world.login(EMAIL, &sent(PASSWORD)).await["error"], 1009);
}

#[tokio::test]
async fn without_the_upgrade_the_stored_text_stays() {
    let config = GateConfig { upgrade_legacy_passwords: false, ..GateConfig::default() };
    let world = world_with(config, |store| store).await;
    let uid = original(&world, "ada", EMAIL, &sent(PASSWORD)).await;
    for _ in 0..2 {
        assert_eq!(world.login(EMAIL, PASSWORD).await["error"], 0);
        assert_eq!(stored(&world, uid).await, sent(PASSWORD));
    }
}

#[tokio::test]
async fn wrong_passwords_change_nothing_and_are_counted() {
    let world = world().await;
    let uid = original(&world, "ada", EMAIL, &sent(PASSWORD)).await;
    // The second is what a thief of the table would type.
    let wrong = ["wrong-one", &sent(PASSWORD), "secret1", "Secret1!"];
    for password in wrong.iter().cycle().take(10) {
        assert_eq!(world.login(EMAIL, password).await, json!({ "error": 1009 }), "{password}");
    }
    assert_eq!(world.login(EMAIL, PASSWORD).await, json!({ "error": 3102 }));
    assert_eq!(stored(&world, uid).await, sent(PASSWORD));
}

#[tokio::test]
async fn an_empty_stored_text_fits_nothing() {
    let world = world().await;
    let uid = original(&world, "ada", EMAIL, "").await;
    for password in ["", " ", "\0", PASSWORD] {
        assert_eq!(world.login(EMAIL, password).await["error"], 1009, "{password:?}");
    }
    assert_eq!(stored(&world, uid).await, "");
}

#[tokio::test]
async fn a_text_that_begins_like_a_hash_is_an_originals() {
    let world = world().await;
    let uid = original(&world, "ada", EMAIL, "$argon2id$v").await;
    assert_eq!(world.login(EMAIL, &sent("$argon2id$v")).await["error"], 0);
    assert!(stored(&world, uid).await.starts_with("$argon2id$v=19$"));
}

#[tokio::test]
async fn a_reset_stores_a_hash_and_goes_by_the_address() {
    let world = world_with(GateConfig::default(), |store| Arc::new(Meddling::new(store, Upgrade::Works))).await;
    let uid = original(&world, "ada", EMAIL, &sent(PASSWORD)).await;
    let reset = async |user: &str| {
        let code = world.code(EMAIL).await;
        let body = json!({ "user": user, "email": EMAIL, "passwd": sent("another1"), "varifycode": code });
        world.error("/reset_pwd", body).await
    };
    assert_eq!(reset("bob").await, 1007);
    assert_eq!(stored(&world, uid).await, sent(PASSWORD));
    // Somebody else has this name, too.
    assert_eq!(reset("ada").await, 0);
    assert!(stored(&world, uid).await.starts_with("$argon2id$"));
    assert_eq!(world.login(EMAIL, PASSWORD).await["error"], 1009);
    assert_eq!(world.login(EMAIL, "another1").await["error"], 0);
}

#[tokio::test]
async fn a_failing_upgrade_does_not_fail_the_login() {
    let world = world_with(GateConfig::default(), |store| Arc::new(Meddling::new(store, Upgrade::Fails))).await;
    let uid = original(&world, "ada", EMAIL, &sent(PASSWORD)).await;
    let reply = world.login(EMAIL, PASSWORD).await;
    assert_eq!(reply["error"], 0);
    assert_eq!(world.token(uid).await.as_deref(), reply["token"].as_str());
    assert_eq!(stored(&world, uid).await, sent(PASSWORD));
}

#[tokio::test]
async fn an_upgrade_that_happened_although_it_was_said_to_fail_is_gone_on_with() {
    let world =
        world_with(GateConfig::default(), |store| Arc::new(Meddling::new(store, Upgrade::FailsAfterwards))).await;
    let uid = original(&world, "ada", EMAIL, &sent(PASSWORD)).await;
    assert_eq!(world.login(EMAIL, PASSWORD).await["error"], 0);
    assert!(stored(&world, uid).await.starts_with("$argon2id$"));
    assert_eq!(world.login(EMAIL, PASSWORD).await["error"], 0);
}

#[tokio::test]
async fn another_gates_upgrade_in_between_is_gone_on_with() {
    let world = world().await;
    let bob = world.register("bob").await;
    let same_password = stored(&world, bob).await;
    let upgrade = Upgrade::ComesSecondTo(same_password.clone());
    let second = world_with(GateConfig::default(), |store| Arc::new(Meddling::new(store, upgrade))).await;
    let uid = original(&second, "ada", EMAIL, &sent(PASSWORD)).await;
    let reply = second.login(EMAIL, PASSWORD).await;
    assert_eq!(reply["error"], 0);
    assert_eq!(second.token(uid).await.as_deref(), reply["token"].as_str());
    assert_eq!(stored(&second, uid).await, same_password);
}

#[tokio::test]
async fn a_reset_in_between_refuses_the_login() {
    let upgrade = Upgrade::ComesSecondTo(sent("of-a-reset"));
    let world = world_with(GateConfig::default(), |store| Arc::new(Meddling::new(store, upgrade))).await;
    let uid = original(&world, "ada", EMAIL, &sent(PASSWORD)).await;
    assert_eq!(world.login(EMAIL, PASSWORD).await, json!({ "error": 1009 }));
    assert_eq!(world.token(uid).await, None);
    assert_eq!(stored(&world, uid).await, sent("of-a-reset"));
}

/// What happens when a password is to be replaced.
enum Upgrade {
    Works,
    Fails,
    /// It is replaced, but the answer is lost.
    FailsAfterwards,
    /// Another request has stored this before.
    ComesSecondTo(String),
}

/// A store whose upgrades end as said, and where names lead to somebody else's account.
struct Meddling {
    store: Arc<MemoryStore>,
    upgrade: Upgrade,
}

impl Meddling {
    fn new(store: Arc<MemoryStore>, upgrade: Upgrade) -> Self {
        Self { store, upgrade }
    }
}

#[async_trait]
impl Accounts for Meddling {
    async fn create(&self, account: NewAccount) -> Result<UserId, CreateAccountError> {
        self.store.create(account).await
    }
    async fn by_email(&self, email: &str) -> Result<Option<Account>, StoreError> {
        self.store.by_email(email).await
    }
    async fn by_uid(&self, uid: UserId) -> Result<Option<Account>, StoreError> {
        self.store.by_uid(uid).await
    }
    async fn by_name(&self, name: &str) -> Result<Option<Account>, StoreError> {
        let account = self.store.by_name(name).await?;
        Ok(account.map(|account| Account { email: "another@example.org".into(), ..account }))
    }
    async fn set_password(&self, uid: UserId, password: PasswordHash) -> Result<bool, StoreError> {
        self.store.set_password(uid, password).await
    }
    async fn replace_password(&self, uid: UserId, old: &PasswordHash, new: PasswordHash) -> Result<bool, StoreError> {
        let lost = || Err(StoreError::Unavailable("the answer was lost".into()));
        match &self.upgrade {
            Upgrade::Works => self.store.replace_password(uid, old, new).await,
            Upgrade::Fails => lost(),
            Upgrade::FailsAfterwards => {
                self.store.replace_password(uid, old, new).await?;
                lost()
            }
            Upgrade::ComesSecondTo(first) => {
                self.store.set_password(uid, PasswordHash::new(first.clone())).await?;
                self.store.replace_password(uid, old, new).await
            }
        }
    }
    async fn next_fence(&self, uid: UserId) -> Result<i64, StoreError> {
        self.store.next_fence(uid).await
    }
}
