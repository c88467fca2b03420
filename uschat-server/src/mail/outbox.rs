//! The outbox: codes are kept instead of mailed.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;

use super::{MailError, Mailer};
use crate::store::StoreError;

/// Where a gate reads codes instead of a mail box. Whoever can read it can take over accounts: it is for development and
/// tests.
#[async_trait]
pub trait ReadOutbox: fmt::Debug + Send + Sync + 'static {
    /// The code of the newest mail to an address.
    ///
    /// # Errors
    /// When the outbox cannot be reached.
    async fn newest_code(&self, email: &str) -> Result<Option<String>, StoreError>;
}

/// Keeps the newest code of every address instead of mailing it. Clones are the same outbox.
///
/// Holds 10,000 addresses; beyond that the one that was new first is forgotten. Anybody who reads it can take over
/// accounts: it is for development and tests.
#[derive(Clone, Default)]
pub struct Outbox(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    newest: HashMap<String, String>,
    in_order: VecDeque<String>,
}

impl Outbox {
    /// Addresses kept.
    pub const CAPACITY: usize = 10_000;

    /// The code of the newest mail to an address.
    #[must_use]
    pub fn newest(&self, email: &str) -> Option<String> {
        self.kept().newest.get(email).cloned()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Mailer for Outbox {
    async fn send_code(&self, email: &str, code: &str) -> Result<(), MailError> {
        let mut kept = self.kept();
        if kept.newest.insert(email.to_owned(), code.to_owned()).is_none() {
            kept.in_order.push_back(email.to_owned());
        }
        if kept.in_order.len() > Self::CAPACITY
            && let Some(oldest) = kept.in_order.pop_front()
        {
            kept.newest.remove(&oldest);
        }
        Ok(())
    }
}

#[async_trait]
impl ReadOutbox for Outbox {
    async fn newest_code(&self, email: &str) -> Result<Option<String>, StoreError> {
        Ok(self.newest(email))
    }
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox").field("addresses", &self.kept().newest.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{Mailer, Outbox};

    #[tokio::test]
    async fn keeps_the_newest_code_and_shows_none() {
        let outbox = Outbox::default();
        outbox.send_code("a@b", "first1").await.unwrap();
        outbox.send_code("a@b", "second").await.unwrap();
        assert_eq!(outbox.clone().newest("a@b").as_deref(), Some("second"));
        assert_eq!(outbox.newest("c@d"), None);
        assert!(!format!("{outbox:?}").contains("second"));
    }

    #[tokio::test]
    async fn is_bounded() {
        let outbox = Outbox::default();
        for number in 0..=Outbox::CAPACITY {
            outbox.send_code(&format!("{number}@b"), "code").await.unwrap();
        }
        assert_eq!(outbox.newest("0@b"), None);
        assert!(outbox.newest("1@b").is_some());
        assert_eq!(outbox.kept().newest.len(), Outbox::CAPACITY);
    }
}
