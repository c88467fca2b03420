use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use metrics::Counter;
use tokio::{
    sync::Notify,
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::CancellationToken;
use uschat_proto::chat::{ThreadId, UserId};

use crate::{
    chat::app::ChatApp,
    session::{Session, Sessions},
    store::{Conversations, Progress, StoreError},
};

/// What is written at once.
const BATCH: usize = 512;
/// Rows that wait while the store fails. Beyond, news is thrown away: it is told twice rather than never.
const WAITING: usize = 64 * 1024;
/// How long a write may take.
const WRITE: Duration = Duration::from_secs(3);
/// How long a login waits for what the user's last session has to say.
const BEFORE_A_LOGIN: Duration = Duration::from_secs(1);

/// Writes how far users have got, some time later and many at once.
pub(in crate::chat) struct ProgressKeeper {
    conversations: Arc<dyn Conversations>,
    waiting: Mutex<BTreeMap<(UserId, ThreadId), Progress>>,
    /// Held while one writes, so that another write has everything that was put before.
    writing: tokio::sync::Mutex<()>,
    put: Notify,
    failing: AtomicBool,
    written: Counter,
    lost: Counter,
}

impl ProgressKeeper {
    pub(in crate::chat) fn new(conversations: Arc<dyn Conversations>) -> Self {
        Self {
            conversations,
            waiting: Mutex::default(),
            writing: tokio::sync::Mutex::default(),
            put: Notify::new(),
            failing: AtomicBool::new(false),
            written: metrics::counter!("uschat_progress_written_total"),
            lost: metrics::counter!("uschat_progress_lost_total"),
        }
    }

    /// Writes what live sessions have got every so often, and at once what ended ones have left, until `end`; then the rest.
    pub(in crate::chat) async fn run(&self, sessions: Sessions<ChatApp>, every: Duration, end: CancellationToken) {
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => sessions.users().iter().for_each(|(_, session)| self.keep(session)),
                () = self.put.notified() => {}
                () = end.cancelled() => break,
            }
            self.write().await;
        }
        self.write().await;
    }

    /// Keeps what a live session has got since the last time.
    fn keep(&self, session: &Session<ChatApp>) {
        let Some(&uid) = session.user() else { return };
        for news in session.state().texts.take_progress(session, uid) {
            self.add(news);
        }
    }

    /// A session has ended: what it has got is written at once.
    pub(in crate::chat) fn session_ended(&self, session: &Session<ChatApp>) {
        self.keep(session);
        self.put.notify_one();
    }

    /// A user is about to log in, which makes everything void that is not written by then: writes what their session here
    /// has got, and waits for it a moment.
    pub(in crate::chat) async fn before_login(&self, uid: UserId, current: Option<Session<ChatApp>>) {
        current.iter().for_each(|session| self.keep(session));
        let of_user = (uid, ThreadId(i64::MIN))..=(uid, ThreadId(i64::MAX));
        let waits = self.lock().range(of_user).next().is_some();
        if waits {
            let _ = timeout(BEFORE_A_LOGIN, self.write()).await;
        }
    }

    fn add(&self, news: Progress) {
        let mut waiting = self.lock();
        let room = waiting.len() < WAITING;
        match waiting.entry((news.uid, news.thread)) {
            Entry::Occupied(mut kept) if kept.get().fence == news.fence => {
                let kept = kept.get_mut();
                kept.delivered = kept.delivered.max(news.delivered);
                kept.read = kept.read.max(news.read);
            }
            Entry::Occupied(kept) if kept.get().fence > news.fence => {}
            Entry::Occupied(mut kept) => {
                kept.insert(news);
            }
            Entry::Vacant(place) if room => {
                place.insert(news);
            }
            Entry::Vacant(_) => self.lost.increment(1),
        }
    }

    /// Writes everything that was put before the call, unless the store fails; then it waits for the next.
    async fn write(&self) {
        let _writing = self.writing.lock().await;
        let waiting: Vec<_> = self.lock().values().copied().collect();
        for batch in waiting.chunks(BATCH) {
            let written = timeout(WRITE, self.conversations.record_progress(batch)).await;
            if !self.note(batch.len(), written.unwrap_or_else(|_| Err(StoreError::unavailable("no answer in time")))) {
                return;
            }
            let mut kept = self.lock();
            for written in batch {
                if let Entry::Occupied(row) = kept.entry((written.uid, written.thread))
                    && row.get() == written
                {
                    row.remove();
                }
            }
        }
    }

    /// One line when an outage begins, and one when it ends.
    fn note(&self, rows: usize, written: Result<(), StoreError>) -> bool {
        match written {
            Ok(()) => {
                self.written.increment(rows as u64);
                tracing::debug!(rows, "progress written");
                if self.failing.swap(false, Ordering::Relaxed) {
                    tracing::info!("how far users have got is written again");
                }
                true
            }
            Err(error) => {
                if !self.failing.swap(true, Ordering::Relaxed) {
                    tracing::warn!(%error, "cannot write how far users have got; it waits");
                }
                false
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(UserId, ThreadId), Progress>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::memory::MemoryStore;

    fn news(fence: i64, delivered: i64, read: i64) -> Progress {
        Progress { uid: UserId(1), fence, thread: ThreadId(7), delivered, read }
    }

    #[tokio::test]
    async fn what_waits_is_the_highest_of_the_last_session() {
        let keeper = ProgressKeeper::new(Arc::new(MemoryStore::new()));
        let waiting = || keeper.lock().values().copied().collect::<Vec<_>>();
        keeper.add(news(1, 5, 0));
        keeper.add(news(1, 3, 2));
        assert_eq!(waiting(), [news(1, 5, 2)]);
        keeper.add(news(2, 4, 0));
        keeper.add(news(1, 9, 9));
        assert_eq!(waiting(), [news(2, 4, 0)]);
        keeper.write().await;
        assert_eq!(waiting(), []);
    }

    #[test]
    fn what_waits_is_bounded() {
        let keeper = ProgressKeeper::new(Arc::new(MemoryStore::new()));
        (0..2 * WAITING as i64).for_each(|thread| keeper.add(Progress { thread: ThreadId(thread), ..news(1, 1, 0) }));
        assert_eq!(keeper.lock().len(), WAITING);
    }
}
