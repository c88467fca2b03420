//! The memory adapters keep every promise of their ports.

use std::sync::Arc;

use uschat_server::store::memory::{MemoryState, MemoryStore};

use crate::conformance::{Stores, state::Subject};

async fn stores() -> Stores {
    Stores::new(Arc::new(MemoryStore::new()), ())
}

async fn subject() -> Subject {
    Subject {
        state: Arc::new(MemoryState::new()),
        elapse: |time| Box::pin(tokio::time::advance(time)),
        keep: Box::new(()),
    }
}

mod accounts {
    accounts_suite!(super::stores);
}
mod contacts {
    contacts_suite!(super::stores);
}
mod conversations {
    conversations_suite!(super::stores);
}
mod progress {
    progress_suite!(super::stores);
}
mod state {
    state_suite!(super::subject, (start_paused = true));
}
