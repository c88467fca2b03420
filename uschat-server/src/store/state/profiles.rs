use async_trait::async_trait;
use uschat_proto::chat::{Profile, UserId};

use crate::store::StoreError;

/// Copies of what anyone may know of a user. Never holds a password or an e-mail address.
#[async_trait]
pub trait ProfileCache: Send + Sync + 'static {
    /// The copy, if there is one.
    async fn cached_profile(&self, uid: UserId) -> Result<Option<Profile>, StoreError>;

    /// The copy of the user with exactly this name, if there is one.
    async fn cached_profile_named(&self, name: &str) -> Result<Option<Profile>, StoreError>;

    /// Keeps a copy; an adapter may forget it at any time and bounds how many it keeps.
    async fn cache_profile(&self, profile: &Profile) -> Result<(), StoreError>;

    /// Drops the copy, after the truth changed.
    async fn forget_profile(&self, uid: UserId) -> Result<(), StoreError>;
}
