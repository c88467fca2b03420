use std::error::Error;
#[cfg(any(feature = "mysql", feature = "sqlite"))]
use std::sync::Arc;

/// A store could not do what was asked. The cause is kept for the log; clients only learn
/// [`ErrorCode::UNAVAILABLE`](uschat_proto::ErrorCode::UNAVAILABLE).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The store cannot be reached, is overloaded or gave up waiting. A retry may succeed.
    #[error("the store is not available: {0}")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
    /// What is stored contradicts itself or its schema; a retry does not help, an operator must look.
    #[error("the store holds data that make no sense: {0}")]
    Corrupt(String),
}

impl StoreError {
    /// Wraps the cause of an outage.
    pub fn unavailable(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Unavailable(cause.into())
    }

    /// One error for each of the requests that failed together.
    #[cfg(any(feature = "mysql", feature = "sqlite"))]
    pub(super) fn for_each(self, requests: usize) -> impl Iterator<Item = Self> {
        let error = Arc::new(self);
        (0..requests).map(move |_| match &*error {
            Self::Corrupt(what) => Self::Corrupt(what.clone()),
            Self::Unavailable(_) => Self::unavailable(Arc::clone(&error)),
        })
    }
}
