use std::time::Duration;

use async_trait::async_trait;
use uschat_pool::redis::redis::cmd;
use uschat_proto::chat::UserId;

use super::{RedisState, commands::millis};
use crate::store::{StoreError, state::Tokens};

#[async_trait]
impl Tokens for RedisState {
    async fn put_token(&self, uid: UserId, token: &str, time_to_live: Duration) -> Result<(), StoreError> {
        self.commands.run(cmd("SET").arg(key(uid)).arg(token).arg("PX").arg(millis(time_to_live))).await
    }

    async fn token(&self, uid: UserId) -> Result<Option<String>, StoreError> {
        self.commands.run(cmd("GET").arg(key(uid))).await
    }

    async fn revoke_token(&self, uid: UserId) -> Result<(), StoreError> {
        self.commands.run::<i64>(cmd("DEL").arg(key(uid))).await.map(drop)
    }
}

fn key(uid: UserId) -> String {
    format!("utoken_{uid}")
}
