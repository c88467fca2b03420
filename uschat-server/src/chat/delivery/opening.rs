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
    /// A session has logged in. A client that syncs is told nothing before it says where it is; of the others nobody knows
    /// yet whether they load what was said themselves, so that they are told nothing for a moment.
    pub(in crate::chat) fn open(&self, session: &Session<ChatApp>, uid: UserId, syncs: bool) {
        let client = if syncs { Client::Syncing } else { Client::Plain };
        session.state().texts.lock().open(uid, client);
        if !syncs {
            self.spawn(self.clone().go_live_when_loaded(session.clone()));
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
