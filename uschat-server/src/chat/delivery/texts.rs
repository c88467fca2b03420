use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metrics::Counter;
use tokio::sync::Notify;
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};
use uschat_proto::{
    ErrorCode,
    chat::{OpenThreadResponse, ThreadId, UserId},
};

use super::{
    ledger::{Client, Ledger},
    text_push::{TextPush, by_push},
};
use crate::{
    chat::app::ChatApp,
    session::{PushError, Session},
    store::{Conversations, Progress, StoredText, StoredTexts},
};

/// Brings texts to the sessions of this server, each conversation in the order of its numbers: at once where a hint brings
/// the next one, from the store otherwise ([`fill`](super::fill)).
#[derive(Clone)]
pub(in crate::chat) struct TextDelivery(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) conversations: Arc<dyn Conversations>,
    pub(super) tasks: TaskTracker,
    pub(super) stopping: CancellationToken,
    pub(super) gaps_filled: Counter,
    pushed_by_hint: Counter,
    pushed_from_store: Counter,
}

/// What a session keeps for this.
#[derive(Default)]
pub(in crate::chat) struct SessionTexts {
    ledger: Mutex<Ledger>,
    /// An own request was answered.
    pub(super) answered: Notify,
    /// The client loads conversations or texts itself.
    pub(super) loading: Notify,
}

/// How a text came to be pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Hint,
    Store,
}

impl TextDelivery {
    pub(in crate::chat) fn new(conversations: Arc<dyn Conversations>) -> Self {
        let pushed = |way: &'static str| metrics::counter!("uschat_texts_pushed_total", "way" => way);
        Self(Arc::new(Inner {
            conversations,
            tasks: TaskTracker::new(),
            stopping: CancellationToken::new(),
            gaps_filled: metrics::counter!("uschat_gaps_filled_total"),
            pushed_by_hint: pushed("hint"),
            pushed_from_store: pushed("store"),
        }))
    }

    /// Somebody said this to the session's user.
    pub(in crate::chat) fn hint(&self, session: &Session<ChatApp>, thread: ThreadId, texts: Vec<StoredText>) {
        let mut ledger = session.state().texts.lock();
        let next = ledger.hint(thread, texts, session.has_room());
        self.push(session, &mut ledger, thread, next, Way::Hint);
        self.go_on(session, ledger);
    }

    /// A conversation of the session's user has this number. Says whether that is news.
    pub(in crate::chat) fn hear(&self, session: &Session<ChatApp>, thread: ThreadId, seq: i64) -> bool {
        let mut ledger = session.state().texts.lock();
        let news = ledger.hear(thread, seq);
        self.go_on(session, ledger);
        news
    }

    /// The client was shown these texts of one conversation, or is about to be, otherwise than by a 1019.
    pub(in crate::chat) fn show(&self, session: &Session<ChatApp>, texts: &[StoredText]) {
        let mut ledger = session.state().texts.lock();
        self.show_in(session, &mut ledger, texts);
        self.go_on(session, ledger);
    }

    /// The next own request has its outcome; requests are answered in the order in which they were handed over.
    pub(in crate::chat) fn answer(&self, session: &Session<ChatApp>, stored: Option<&StoredTexts>) {
        let mut ledger = session.state().texts.lock();
        ledger.answer();
        if let Some(stored) = stored {
            self.show_in(session, &mut ledger, &stored.texts);
        }
        self.go_on(session, ledger);
        session.state().texts.answered.notify_waiters();
    }

    /// A client that loads texts itself was served them up to this number, and `all` there are.
    pub(in crate::chat) fn serve(&self, session: &Session<ChatApp>, thread: ThreadId, seq: i64, all: bool) {
        let mut ledger = session.state().texts.lock();
        ledger.serve(thread, seq, all);
        self.go_on(session, ledger);
    }

    /// The client of a session has said where it is.
    pub(in crate::chat) fn go_live(&self, session: &Session<ChatApp>) {
        let mut ledger = session.state().texts.lock();
        ledger.go_live();
        self.go_on(session, ledger);
    }

    /// Ends what is read from the store when it is dropped, so that nothing goes on after a server that is dropped.
    pub(in crate::chat) fn stop_on_drop(&self) -> DropGuard {
        self.0.stopping.clone().drop_guard()
    }

    /// Gives up what is read from the store for sessions; they have ended.
    pub(in crate::chat) async fn stop(&self) {
        self.0.tasks.close();
        self.0.stopping.cancel();
        self.0.tasks.wait().await;
    }

    fn show_in(&self, session: &Session<ChatApp>, ledger: &mut Ledger, texts: &[StoredText]) {
        let Some(thread) = texts.first().map(|first| first.thread) else { return };
        let next = ledger.show(thread, texts.iter().map(|text| text.seq), session.has_room());
        self.push(session, ledger, thread, next, Way::Hint);
    }

    /// Pushes what the ledger says comes next. Under its lock, which keeps the order.
    pub(super) fn push(
        &self,
        session: &Session<ChatApp>,
        ledger: &mut Ledger,
        thread: ThreadId,
        texts: Vec<StoredText>,
        way: Way,
    ) {
        let (Some(&me), Some(first)) = (session.user(), texts.first()) else { return };
        let peer = if first.sender == me { ledger.peer(thread) } else { first.sender };
        let counter = if way == Way::Hint { &self.0.pushed_by_hint } else { &self.0.pushed_from_store };
        counter.increment(texts.len() as u64);
        if ledger.client == Client::Loading && ledger.introduce(thread) {
            let opened = OpenThreadResponse { error: ErrorCode::SUCCESS, uid: me, other: peer, thread_id: thread };
            note_failure(thread, session.push(&opened));
        }
        for texts in by_push(texts) {
            let (sender, receiver) = if texts[0].sender == me { (me, peer) } else { (peer, me) };
            let push = TextPush { sender, receiver, thread, texts, arrays: session.state().arrays() };
            note_failure(thread, session.push_mergeable(push));
        }
        if let Some(mark) = ledger.mark(thread) {
            session.mark(mark);
        }
    }

    /// Begins to ask the store, if there is something to ask and nobody does so.
    pub(super) fn go_on(&self, session: &Session<ChatApp>, mut ledger: MutexGuard<'_, Ledger>) {
        let begin = ledger.begin_filling();
        drop(ledger);
        if begin {
            self.spawn(self.clone().fill(session.clone()));
        }
    }

    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let work = self.0.stopping.clone().run_until_cancelled_owned(work);
        self.0.tasks.spawn(work);
    }
}

impl SessionTexts {
    pub(super) fn lock(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An own request is about to be handed to the store.
    pub(in crate::chat) fn hand_over(&self) {
        self.lock().hand_over();
    }

    /// The client asks for its conversations, as those do that load texts themselves: it is told nothing that it is about to
    /// load, and hears of a conversation first.
    pub(in crate::chat) fn load(&self) {
        let mut ledger = self.lock();
        if ledger.client == Client::Plain {
            ledger.client = Client::Loading;
        }
        drop(ledger);
        self.loading.notify_one();
    }

    /// The client asks for texts.
    pub(in crate::chat) fn load_texts(&self) {
        if self.is_loading() {
            self.loading.notify_one();
        }
    }

    /// Whether the client loads texts itself, so that what it is served is told.
    pub(in crate::chat) fn is_loading(&self) -> bool {
        self.lock().client == Client::Loading
    }

    /// The client is about to hear of these conversations.
    pub(in crate::chat) fn introduce(&self, threads: impl IntoIterator<Item = ThreadId>) {
        let mut ledger = self.lock();
        for thread in threads {
            ledger.introduce(thread);
        }
    }

    /// What the client got otherwise than by a 1019 is on its way by now.
    pub(in crate::chat) fn mark_rest(&self, session: &Session<ChatApp>) {
        if let Some(mark) = self.lock().mark_rest() {
            session.mark(mark);
        }
    }

    /// How far the user has got where that moved.
    pub(in crate::chat) fn take_progress(&self, session: &Session<ChatApp>, uid: UserId) -> Vec<Progress> {
        let fence = session.state().fence();
        self.mark_rest(session);
        let mut ledger = self.lock();
        ledger.confirm(session.confirmed());
        let news = ledger.take_progress().into_iter();
        news.map(|(thread, delivered, read)| Progress { uid, fence, thread, delivered, read }).collect()
    }
}

fn note_failure(thread: ThreadId, pushed: Result<(), PushError>) {
    match pushed {
        Ok(()) => {}
        // Whatever the session was not told it is told by the next.
        Err(error @ (PushError::Closed | PushError::SlowConsumer)) => tracing::debug!(%thread, %error, "not pushed"),
        Err(PushError::Payload(error)) => tracing::error!(%thread, %error, "texts that cannot be pushed were left out"),
    }
}
