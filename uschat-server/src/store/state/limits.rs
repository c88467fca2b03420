use std::time::Duration;

use async_trait::async_trait;

use crate::store::StoreError;

/// Counters of things one may do only so often. A counter's window begins with its first count.
#[async_trait]
pub trait Limits: Send + Sync + 'static {
    /// Adds one to the counter unless it stands at `max`; false when it does. Of concurrent calls no more than `max` are
    /// told true within a window.
    async fn count(&self, counter: &str, max: u32, window: Duration) -> Result<bool, StoreError>;

    /// What the counter stands at.
    async fn counted(&self, counter: &str) -> Result<u32, StoreError>;
}
