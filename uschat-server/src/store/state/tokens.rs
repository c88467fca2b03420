use std::time::Duration;

use async_trait::async_trait;
use uschat_proto::chat::UserId;

use crate::store::StoreError;

/// Login tokens, one a user, valid on every chat server for any number of logins.
#[async_trait]
pub trait Tokens: Send + Sync + 'static {
    /// Replaces the user's token.
    async fn put_token(&self, uid: UserId, token: &str, time_to_live: Duration) -> Result<(), StoreError>;

    /// The user's token, unless it expired.
    async fn token(&self, uid: UserId) -> Result<Option<String>, StoreError>;

    /// Removes the user's token: after a password reset.
    async fn revoke_token(&self, uid: UserId) -> Result<(), StoreError>;
}
