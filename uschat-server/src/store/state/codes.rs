use std::time::Duration;

use async_trait::async_trait;

use crate::store::StoreError;

/// Mailed verification codes, one an e-mail address.
#[async_trait]
pub trait Codes: Send + Sync + 'static {
    /// Stores `code` unless one is waiting, and returns the one that is waiting then. The time to live of a waiting code is not renewed.
    async fn code_or_insert(&self, email: &str, code: &str, time_to_live: Duration) -> Result<String, StoreError>;

    /// Compares without spending. The `max_wrong`th wrong try removes the code; that try itself is still
    /// [`CodeVerdict::Wrong`].
    async fn check_code(&self, email: &str, code: &str, max_wrong: u32) -> Result<CodeVerdict, StoreError>;

    /// Removes the code if it is still `code`; returns how long it would have lived, or `None` when it was gone. Of two
    /// concurrent calls at most one gets the code.
    async fn spend_code(&self, email: &str, code: &str) -> Result<Option<Duration>, StoreError>;
}

/// What became of a code that was typed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeVerdict {
    /// It is the one.
    Right,
    /// Another one is waiting. This counts as a try.
    Wrong,
    /// None is waiting: never sent, expired, spent, or voided by wrong tries.
    Missing,
}
