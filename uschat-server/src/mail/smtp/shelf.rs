//! Connections between two mails.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

use super::connection::Connection;

/// Keeps connections that are not in use, for a while. No more than are open at a time, which the mailer bounds.
pub(super) struct Shelf {
    idle: Duration,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    /// The one used last is the last one, and the first to be used again.
    connections: Vec<(Instant, Connection)>,
    clearing: bool,
}

impl Shelf {
    pub(super) fn new(idle: Duration) -> Arc<Self> {
        Arc::new(Self { idle, kept: Mutex::default() })
    }

    pub(super) fn take(&self) -> Option<Connection> {
        let (since, connection) = self.kept().connections.pop()?;
        (since.elapsed() < self.idle).then_some(connection)
    }

    /// Closes all: one of them was found dead, and the others are older.
    pub(super) fn clear(&self) {
        self.kept().connections.clear();
    }

    pub(super) fn keep(self: &Arc<Self>, connection: Connection) {
        let mut kept = self.kept();
        kept.connections.push((Instant::now(), connection));
        if !kept.clearing {
            kept.clearing = true;
            tokio::spawn(close_idle(Arc::downgrade(self), self.idle));
        }
    }

    /// Takes out what was idle for too long; when to look again, if anything is left.
    fn expired(&self) -> (Vec<Connection>, Option<Instant>) {
        let mut kept = self.kept();
        let fresh = kept.connections.partition_point(|(since, _)| since.elapsed() >= self.idle);
        let expired = kept.connections.drain(..fresh).map(|(_, connection)| connection).collect();
        let next = kept.connections.first().map(|&(since, _)| since + self.idle);
        kept.clearing = next.is_some();
        (expired, next)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs while anything is on the shelf.
async fn close_idle(shelf: Weak<Shelf>, idle: Duration) {
    let mut next = Some(Instant::now() + idle);
    while let Some(due) = next {
        sleep_until(due).await;
        let Some(shelf) = shelf.upgrade() else { return };
        let (expired, due) = shelf.expired();
        drop(shelf);
        next = due;
        for connection in expired {
            connection.quit().await;
        }
    }
}
