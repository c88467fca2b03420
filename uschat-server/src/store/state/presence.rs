use std::time::Duration;

use async_trait::async_trait;
use uschat_proto::chat::UserId;

use crate::store::StoreError;

/// Who holds which user: a lease that its holder renews. A lost lease costs latency, never a message.
#[async_trait]
pub trait Presence: Send + Sync + 'static {
    /// Takes or renews the lease of a user: granted when nobody holds it, or when `holder` has the same or a higher
    /// fence than whoever does.
    async fn take_presence(&self, uid: UserId, holder: &Holder, time_to_live: Duration) -> Result<Taken, StoreError>;

    /// Who holds the user now.
    async fn presence(&self, uid: UserId) -> Result<Option<Holder>, StoreError>;

    /// Gives the lease up if it still has this fence; false when somebody else holds it, or nobody.
    async fn release_presence(&self, uid: UserId, fence: i64) -> Result<bool, StoreError>;
}

/// A server that holds a user's session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The chat server's name.
    pub server: String,
    /// The session on that server.
    pub session: u64,
    /// The login's fence; of two logins the later one has the higher.
    pub fence: i64,
}

/// What became of a wish to hold a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// Held; `previous` is whoever held the lease with a lower fence until now.
    Granted {
        /// Whom to tell.
        previous: Option<Holder>,
    },
    /// A later login holds the user.
    Refused(Holder),
}
