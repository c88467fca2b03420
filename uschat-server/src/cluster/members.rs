use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use tokio::time::Instant;

use crate::store::{
    State, StoreError,
    state::{Holder, ServerRecord},
};
use uschat_proto::chat::UserId;

/// Who is alive and who holds whom, as this server knows it.
pub struct Members {
    state: Arc<dyn State>,
    known: RwLock<Known>,
}

#[derive(Default)]
struct Known {
    servers: Vec<ServerRecord>,
    read_at: Option<Instant>,
}

impl Members {
    /// How long the list of servers is believed before it is read again.
    const FRESH: Duration = Duration::from_secs(1);

    /// Looks at the cluster through its state.
    pub fn new(state: Arc<dyn State>) -> Self {
        Self { state, known: RwLock::default() }
    }

    /// Who holds a user's session now.
    ///
    /// # Errors
    /// When the state cannot be reached: then nobody knows.
    pub async fn holder(&self, uid: UserId) -> Result<Option<Holder>, StoreError> {
        self.state.presence(uid).await
    }

    /// The living server of this name. The list of servers is read at most once a second.
    ///
    /// # Errors
    /// When the state cannot be reached.
    pub async fn server(&self, name: &str) -> Result<Option<ServerRecord>, StoreError> {
        if let Some(known) = self.known(name) {
            return Ok(known);
        }
        let servers = self.state.servers().await?;
        let found = servers.iter().find(|server| server.name == name).cloned();
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Known { servers, read_at: Some(Instant::now()) };
        Ok(found)
    }

    /// `Some` where the list is fresh enough to answer.
    fn known(&self, name: &str) -> Option<Option<ServerRecord>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.read_at.filter(|at| at.elapsed() < Self::FRESH)?;
        Some(known.servers.iter().find(|server| server.name == name).cloned())
    }
}

impl std::fmt::Debug for Members {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Members").finish_non_exhaustive()
    }
}
