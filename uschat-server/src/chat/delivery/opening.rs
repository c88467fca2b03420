use std::time::Duration;

use tokio::time::timeout;
use uschat_proto::chat::UserId;

use super::{ledger::Client, texts::TextDelivery};
use crate::{chat::app::ChatApp, session::Session};

/// A client that loads texts itself begins to within this after its login; to others what waits is pushed then.
const BEGINS_TO_LOAD: Duration = Duration::from_millis(500);
/// A client that asks for nothing for this long has loaded everything.
const LOADS: Duration = Duration::from_secs(5);

impl TextDelivery {
    /// A session has logged in. A client that syncs is told nothing before it says where it is. Of an original client nobody
    /// knows yet whether it loads what was said itself, so that it is told nothing for a moment; one that `coalesces` is none.
    pub(in crate::chat) fn open(&self, session: &Session<ChatApp>, uid: UserId, syncs: bool, coalesces: bool) {
        let client = match (syncs, coalesces) {
            (true, _) => Client::Syncing,
            (false, true) => Client::Coalescing,
            (false, false) => Client::Plain,
        };
        session.state().texts.lock().open(uid, client);
        match client {
            Client::Syncing => {}
            Client::Coalescing => self.go_live(session),
            Client::Plain | Client::Loading => self.spawn(self.clone().go_live_when_loaded(session.clone())),
        }
    }

    async fn go_live_when_loaded(self, session: Session<ChatApp>) {
        let loading = &session.state().texts.loading;
        if timeout(BEGINS_TO_LOAD, loading.notified()).await.is_ok() {
            while timeout(LOADS, loading.notified()).await.is_ok() {}
        }
        self.go_live(&session);
    }
}
