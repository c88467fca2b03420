//! Reset: the new password counts, and nothing the old one opened stays open.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};
use uschat_proto::chat::UserId;
use uschat_server::{
    gate::GateConfig,
    store::{
        Account, Accounts, CreateAccountError, NewAccount, PasswordHash, StoreError, memory::MemoryStore,
        state::ProfileCache,
    },
};

use crate::support::{PASSWORD, sent, world, world_with};

fn reset(name: &str, email: &str, password: &str, code: &str) -> Value {
    json!({ "user": name, "email": email, "passwd": sent(password), "varifycode": code })
}

#[tokio::test]
async fn a_reset_replaces_the_password_and_voids_the_token() {
    let world = world().await;
    let uid = world.register("ada").await;
    assert_eq!(world.login("ada@example.org", PASSWORD).await["error"], 0);
    let profile = world.store.by_uid(uid).await.unwrap().unwrap().profile;
    world.state.cache_profile(&profile).await.unwrap();

    let code = world.code("ada@example.org").await;
    let reply = world.post("/reset_pwd", reset("ada", "ada@example.org", "another1", &code)).await;
    assert_eq!(reply, json!({ "error": 0, "email": "ada@example.org", "user": "ada" }));
    assert_eq!(world.token(uid).await, None);
    assert_eq!(world.state.cached_profile(uid).await.unwrap(), None);
    assert_eq!(world.login("ada@example.org", PASSWORD).await["error"], 1009);
    assert_eq!(world.login("ada@example.org", "another1").await["error"], 0);
    assert_eq!(world.error("/reset_pwd", reset("ada", "ada@example.org", "third111", &code)).await, 1003, "spent");
}

#[tokio::test]
async fn every_refusal_in_its_order() {
    let world = world().await;
    world.register("ada").await;
    world.register("bob").await;
    let error = async |body| world.error("/reset_pwd", body).await;
    assert_eq!(error(json!({ "user": "", "email": "ada", "passwd": "x" })).await, 1001);
    assert_eq!(error(reset("", "nobody", "another1", "wrong")).await, 1003);
    assert_eq!(error(reset("bob", "ada@example.org", "another1", "wrong")).await, 1003);
    let code = world.code("ada@example.org").await;
    assert_eq!(error(reset("bob", "ada@example.org", "another1", "wrong")).await, 1004);
    assert_eq!(error(reset("bob", "ada@example.org", "another1", &code)).await, 1007, "another user's name");
    assert_eq!(error(reset("eve", "ada@example.org", "another1", &code)).await, 1007, "nobody's name");
    assert_eq!(error(reset("ada", "ada@example.org", "", &code)).await, 3007);
    assert_eq!(error(reset("ada", "ada@example.org", "another1", &code)).await, 0, "the code was not spent");
}

#[tokio::test]
async fn an_account_that_vanishes_is_1008_and_keeps_the_code() {
    let world = world_with(GateConfig::default(), |store| Arc::new(Meddling { store, vanish: true })).await;
    world.register("ada").await;
    let code = world.code("ada@example.org").await;
    for _ in 0..2 {
        assert_eq!(world.error("/reset_pwd", reset("ada", "ada@example.org", "another1", &code)).await, 1008);
    }
}

#[tokio::test]
async fn a_reset_during_a_login_leaves_no_token() {
    let world = world_with(GateConfig::default(), |store| Arc::new(Meddling { store, vanish: false })).await;
    let uid = world.register("ada").await;
    assert_eq!(world.login("ada@example.org", PASSWORD).await, json!({ "error": 1009 }));
    assert_eq!(world.token(uid).await, None);
}

/// Another request comes in between: it resets the password when a login reads the account for the second time. With
/// `vanish`, accounts are gone when their password is to be set.
struct Meddling {
    store: Arc<MemoryStore>,
    vanish: bool,
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
        self.store.set_password(uid, PasswordHash::new("of another password")).await?;
        self.store.by_uid(uid).await
    }
    async fn by_name(&self, name: &str) -> Result<Option<Account>, StoreError> {
        self.store.by_name(name).await
    }
    async fn set_password(&self, uid: UserId, password: PasswordHash) -> Result<bool, StoreError> {
        if self.vanish { Ok(false) } else { self.store.set_password(uid, password).await }
    }
    async fn replace_password(&self, uid: UserId, old: &PasswordHash, new: PasswordHash) -> Result<bool, StoreError> {
        self.store.replace_password(uid, old, new).await
    }

    async fn next_fence(&self, uid: UserId) -> Result<i64, StoreError> {
        self.store.next_fence(uid).await
    }
}
