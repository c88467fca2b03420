use std::{collections::VecDeque, mem, sync::Arc, time::Duration};

use tokio::{
    sync::Notify,
    time::{Instant, MissedTickBehavior, interval, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use uschat_proto::chat::MessageKey;

use super::app::ChatApp;
use crate::{
    session::Sessions,
    store::{StoreError, ThreadHead},
};

/// Heads read at once.
const PAGE: usize = 1_000;
/// Keys are given before commits: a text may appear this long after one with a higher key.
const LATE: Duration = Duration::from_secs(10);
/// A hint that is younger is not a lost one.
const ON_ITS_WAY: Duration = Duration::from_millis(200);
/// How long the store may take.
const ANSWER: Duration = Duration::from_secs(10);

/// Finds what hints did not bring: reads every so often, for all sessions together, which conversations have moved, and has
/// those filled of which a session does not know it.
pub(super) struct Heads {
    pub(super) app: Arc<ChatApp>,
    pub(super) sessions: Sessions<ChatApp>,
    /// A lost hint is found within this time.
    pub(super) every: Duration,
    /// Hints were lost: do not wait for the next time.
    pub(super) hurry: Arc<Notify>,
}

impl Heads {
    pub(super) async fn run(self, shutdown: CancellationToken) {
        let grace = (self.every / 10).min(ON_ITS_WAY);
        let mut ticks = interval((self.every - grace).max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut seen = VecDeque::new();
        let mut failing = false;
        let repaired = metrics::counter!("uschat_heads_repaired_total");
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = self.hurry.notified() => {}
                () = shutdown.cancelled() => return,
            }
            let read = timeout(ANSWER, self.read(&mut seen)).await;
            match read.unwrap_or_else(|_| Err(StoreError::unavailable("no answer in time"))) {
                Ok(heads) => {
                    if mem::take(&mut failing) {
                        tracing::info!("lost hints are found again");
                    }
                    sleep(grace).await;
                    repaired.increment(self.compare(&heads));
                }
                Err(error) => {
                    if !mem::replace(&mut failing, true) {
                        tracing::warn!(%error, "cannot read which conversations have moved; lost hints are not found");
                    }
                }
            }
        }
    }

    /// The heads of all conversations that may have moved since the last time. `seen` says what the highest key was when.
    async fn read(&self, seen: &mut VecDeque<(Instant, MessageKey)>) -> Result<Vec<ThreadHead>, StoreError> {
        let conversations = &self.app.stores.conversations;
        let now = Instant::now();
        while seen.get(1).is_some_and(|(at, _)| *at + LATE <= now) {
            seen.pop_front();
        }
        let Some(&(_, mut after)) = seen.front() else {
            // Whoever logs in from now on reads what was there before.
            seen.push_back((now, conversations.last_key().await?));
            return Ok(Vec::new());
        };
        let mut heads = Vec::new();
        loop {
            let page = conversations.heads_after(after, PAGE).await?;
            after = page.last().map_or(after, |last| last.key);
            let last = page.len() < PAGE;
            // Nobody is told here of what nobody here takes part in.
            heads.extend(page.into_iter().filter(|head| head.users.iter().any(|uid| self.sessions.of(uid).is_some())));
            if last {
                break;
            }
        }
        seen.push_back((now, after));
        Ok(heads)
    }

    /// Says how many sessions did not know of a text.
    fn compare(&self, heads: &[ThreadHead]) -> u64 {
        let mut repaired = 0;
        for head in heads {
            for session in head.users.iter().filter_map(|uid| self.sessions.of(uid)) {
                repaired += u64::from(self.app.delivery.texts.hear(&session, head.thread, head.seq));
            }
        }
        if repaired > 0 {
            tracing::debug!(repaired, "sessions were not told of texts; reading them");
        }
        repaired
    }
}
