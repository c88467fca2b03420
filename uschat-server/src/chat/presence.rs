use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, stream};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use uschat_proto::chat::UserId;

use super::{app::ChatApp, delivery::replace};
use crate::{
    session::{Session, Sessions},
    store::{
        StoreError,
        state::{Holder, ServerRecord, Taken},
    },
};

/// Leases renewed at the same time: a round trip each, one after another, would take longer than a lease on a full server.
const AT_A_TIME: usize = 64;

/// Says that this server is alive, and renews the leases of its users; a user whose lease a later login took is replaced here.
pub(super) struct Presence {
    pub(super) app: Arc<ChatApp>,
    pub(super) sessions: Sessions<ChatApp>,
    pub(super) server: ServerRecord,
    pub(super) heartbeat: Duration,
    pub(super) lease: Duration,
}

impl Presence {
    /// Announces the server for the first time.
    pub(super) async fn begin(&self) {
        self.announce(false).await;
    }

    /// Goes on until `shutdown`, then says that the server takes no new sessions.
    pub(super) async fn run(&self, shutdown: CancellationToken) {
        let mut ticks = interval(self.heartbeat);
        // After a stall one renewal is enough.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = shutdown.cancelled() => break,
            }
            self.announce(false).await;
            self.renew().await;
        }
        self.announce(true).await;
    }

    /// Takes the server out of the cluster.
    pub(super) async fn end(&self) {
        let retired = self.app.stores.state.retire_server(&self.server.name, self.server.boot_id).await;
        if let Err(error) = retired {
            tracing::warn!(%error, "cannot take this server out of the list of living ones; it will expire");
        }
    }

    async fn announce(&self, draining: bool) {
        let sessions = u32::try_from(self.sessions.logged_in()).unwrap_or(u32::MAX);
        metrics::gauge!("uschat_users_online", "server" => self.server.name.clone()).set(sessions);
        let record = ServerRecord { sessions, draining, ..self.server.clone() };
        if let Err(error) = self.app.stores.state.announce_server(&record, self.lease).await {
            tracing::warn!(%error, "cannot announce this server");
        }
    }

    async fn renew(&self) {
        let users = self.sessions.users().into_iter();
        let mut renewals =
            stream::iter(users.map(|(uid, session)| self.renew_one(uid, session))).buffer_unordered(AT_A_TIME);
        while let Some(renewed) = renewals.next().await {
            if let Err(error) = renewed {
                // Sessions go on: a lost lease costs latency, not messages.
                tracing::warn!(%error, "cannot renew presence leases");
                return;
            }
        }
    }

    async fn renew_one(&self, uid: UserId, session: Session<ChatApp>) -> Result<(), StoreError> {
        let fence = session.state().fence();
        let holder = Holder { server: self.server.name.clone(), session: session.id().0, fence };
        match self.app.stores.state.take_presence(uid, &holder, self.lease).await? {
            Taken::Granted { .. } => {}
            Taken::Refused(_) => replace(&self.sessions, &session),
        }
        Ok(())
    }
}
