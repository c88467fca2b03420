use std::{
    cell::RefCell,
    fmt,
    future::Future,
    hash::{Hash, Hasher},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use async_trait::async_trait;
use chrono::{Local, TimeZone};
use tokio::sync::oneshot;
use uschat_proto::chat::{MessageKey, ThreadId, UserId};

use super::StoreError;

/// What was said: conversations (threads) and their numbered texts.
#[async_trait]
pub trait Conversations: Send + Sync + 'static {
    /// Hands texts over for storing and returns at once: the order of calls is the order in which they are numbered.
    ///
    /// One transaction stores all texts of the request with consecutive numbers, or none. A text whose client id this
    /// sender used before, with the same content and to the same receiver, keeps its first result; with another content or
    /// receiver the request is refused. A request of which every text was stored before is answered before permissions are
    /// checked. Of an original's two private conversations of one pair the older one counts, unless the younger is named.
    ///
    /// Dropping the receipt does not recall the texts.
    fn submit(&self, texts: NewTexts) -> Receipt;

    /// Waits for a place in front of the store, so that a busy store slows its callers down instead of refusing them.
    /// Places are given in the order of the calls. Cancel safe.
    async fn place(&self) -> Place;

    /// The texts of a conversation with a key above `after`, ascending, at most `limit`.
    async fn history(&self, thread: ThreadId, after: MessageKey, limit: usize) -> Result<Vec<StoredText>, StoreError>;

    /// The private conversation of two users, whichever order it was stored in; the older one if there are two.
    async fn private_thread(&self, one: UserId, other: UserId) -> Result<Option<ThreadId>, StoreError>;

    /// The private conversations of a user with friends, with an id above `after`, ascending, at most `limit`.
    async fn threads(&self, uid: UserId, after: ThreadId, limit: usize) -> Result<Vec<PrivateThread>, StoreError>;

    /// The two users of a private conversation, the smaller uid first; none if there is no such conversation.
    async fn participants(&self, thread: ThreadId) -> Result<Option<[UserId; 2]>, StoreError>;

    /// Opens the private conversation of `uid` with a friend unless there is one; two that ask at the same time get the
    /// same.
    async fn open_private(&self, uid: UserId, friend: UserId) -> Result<ThreadId, OpenThreadError>;

    /// The texts of a conversation with a number above `after`, ascending, at most `limit`.
    async fn texts_after(&self, thread: ThreadId, after: i64, limit: usize) -> Result<Vec<StoredText>, StoreError>;

    /// The texts at these places, in no order; a place without a text is left out.
    async fn texts_at(&self, places: &[(ThreadId, i64)]) -> Result<Vec<StoredText>, StoreError>;

    /// Where a user stands in these conversations, in no order; one that the user is not in is left out.
    async fn standings(&self, uid: UserId, threads: &[ThreadId]) -> Result<Vec<Standing>, StoreError>;

    /// Where a user stands in the conversations that hold something undelivered (`head` above `delivered`), with an id
    /// above `after`, ascending, at most `limit`.
    async fn waiting(&self, uid: UserId, after: ThreadId, limit: usize) -> Result<Vec<Standing>, StoreError>;

    /// The conversations whose last text has a key above `after`, ascending by that key, at most `limit`.
    ///
    /// A conversation may come late: keys are given before commits. Whoever must miss none asks again with a key of some
    /// seconds ago.
    async fn heads_after(&self, after: MessageKey, limit: usize) -> Result<Vec<ThreadHead>, StoreError>;

    /// The highest key of a stored text; 0 if there is none.
    async fn last_key(&self) -> Result<MessageKey, StoreError>;

    /// Notes how far users have got. Numbers never fall and never exceed the conversation's head, a user who is not in the
    /// conversation is left out, and so is what comes from a session that is not its user's last (by its fence).
    async fn record_progress(&self, progress: &[Progress]) -> Result<(), StoreError>;
}

/// A place in front of the store: one request may be handed over, and is not refused for want of room.
pub struct Place(Box<dyn FnOnce(NewTexts) -> Receipt + Send>);

impl Place {
    /// A place that is taken by this.
    #[must_use]
    pub fn new(submit: impl FnOnce(NewTexts) -> Receipt + Send + 'static) -> Self {
        Self(Box::new(submit))
    }

    /// As [`Conversations::submit`].
    #[must_use]
    pub fn submit(self, texts: NewTexts) -> Receipt {
        (self.0)(texts)
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Place")
    }
}

/// How far a user has got in a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The conversation.
    pub thread: ThreadId,
    /// The other user.
    pub peer: UserId,
    /// The number given last; 0 in an empty conversation.
    pub head: i64,
    /// Everything up to this number has reached the user. Texts that were there when a database of the originals was taken
    /// over count as delivered.
    pub delivered: i64,
    /// Everything up to this number was read.
    pub read: i64,
}

/// The last text of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThreadHead {
    /// The conversation.
    pub thread: ThreadId,
    /// Its two users, the smaller uid first.
    pub users: [UserId; 2],
    /// The number of its last text.
    pub seq: i64,
    /// The key of that text.
    pub key: MessageKey,
}

/// News of how far a user has got; a number that does not move stays 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The user.
    pub uid: UserId,
    /// Of the session that says so.
    pub fence: i64,
    /// The conversation.
    pub thread: ThreadId,
    /// Everything up to this number has reached the user.
    pub delivered: i64,
    /// Everything up to this number was read.
    pub read: i64,
}

/// Ties the requests of one session together: once one of them failed for a reason that may pass, the store refuses
/// everything behind it, so that nothing is stored without what was said before it.
#[derive(Debug, Clone, Default)]
pub struct Chain(Arc<AtomicBool>);

impl Chain {
    /// Whether a request failed.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// A request failed.
    pub fn break_off(&self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Whether they are one and the same.
impl PartialEq for Chain {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Chain {}

impl Hash for Chain {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

/// A private conversation as one of its two users sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrivateThread {
    /// The conversation.
    pub thread: ThreadId,
    /// The other user.
    pub friend: UserId,
}

/// Why there is no private conversation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenThreadError {
    /// The two are not friends. Permanent.
    #[error("the two users are not friends")]
    NotFriends,
    /// The store failed; the conversation may have been opened, a retry finds out.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Milliseconds since 1970, UTC. For people to read; never used to order anything.
pub type UnixMillis = i64;

/// Texts of one sender to one user, in display order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTexts {
    /// The authenticated sender.
    pub sender: UserId,
    /// The receiver.
    pub receiver: UserId,
    /// The conversation if the client named one: it must be the private one of the two.
    pub thread: Option<ThreadId>,
    /// At least one text.
    pub texts: Vec<NewText>,
    /// When the server got them.
    pub sent_at: UnixMillis,
    /// What they must not be stored without: the earlier requests of this chain.
    pub chain: Chain,
}

/// One text to store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewText {
    /// The client's id, 1–64 bytes, compared as bytes; without one a retry is a new text.
    pub client_id: Option<String>,
    /// The text.
    pub content: String,
}

/// A stored text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredText {
    /// Its global key.
    pub key: MessageKey,
    /// Its conversation.
    pub thread: ThreadId,
    /// Its number in the conversation: 1, 2, 3 … without gaps.
    pub seq: i64,
    /// Who said it.
    pub sender: UserId,
    /// The sender's id for it.
    pub client_id: Option<String>,
    /// The text.
    pub content: String,
    /// When the server got it.
    pub sent_at: UnixMillis,
}

thread_local! {
    /// The second that was shown last, and how: each text is told at least twice, and many share a second.
    static LAST_SECOND: RefCell<(i64, String)> = const { RefCell::new((i64::MIN, String::new())) };
}

impl StoredText {
    /// When the server got it, as existing clients show it: `YYYY-MM-DD HH:MM:SS`, local time of this server.
    #[must_use]
    pub fn chat_time(&self) -> String {
        let second = self.sent_at.div_euclid(1_000);
        LAST_SECOND.with_borrow_mut(|(last, shown)| {
            if *last != second {
                // In whole seconds this is how chrono shows it, much faster than by a pattern.
                let time = Local.timestamp_opt(second, 0).single();
                (*last, *shown) = (second, time.map(|time| time.naive_local().to_string()).unwrap_or_default());
            }
            shown.clone()
        })
    }
}

/// The outcome of a request: its texts in the order of the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredTexts {
    /// The conversation.
    pub thread: ThreadId,
    /// One for each text of the request.
    pub texts: Vec<StoredText>,
    /// How many of them this request stored; the others are first results of earlier requests.
    pub fresh: usize,
}

impl StoredTexts {
    /// The texts this request stored, ascending: what the receiver has not been told before.
    #[must_use]
    pub fn fresh_texts(&self) -> Vec<StoredText> {
        let mut texts = self.texts.clone();
        texts.sort_by_key(|text| text.key);
        texts.dedup_by_key(|text| text.key);
        // Keys only rise, so what is new has the highest.
        texts.split_off(texts.len().saturating_sub(self.fresh))
    }
}

/// Why nothing of a request was stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// Sender and receiver are not friends. Permanent.
    #[error("sender and receiver are not friends")]
    NotFriends,
    /// The named conversation is not the private one of the two. Permanent.
    #[error("the conversation is not one of sender and receiver")]
    NotAMember,
    /// A client id was used before, or twice in this request, with another content or receiver. Permanent.
    #[error("the client message id was used before with other content")]
    ClientIdReused,
    /// An earlier request of the same [`Chain`] failed. A retry behind a retry of that may succeed.
    #[error("an earlier text could not be stored")]
    Behind,
    /// The queue in front of the store is full. A retry may succeed.
    #[error("too many texts are waiting to be stored")]
    Overloaded,
    /// The store failed; the texts may or may not be stored, a retry with the same client ids finds out.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The promise of an outcome of [`Conversations::submit`]. Resolves after the commit.
#[derive(Debug)]
pub struct Receipt(ReceiptState);

#[derive(Debug)]
enum ReceiptState {
    Ready(Option<Result<StoredTexts, SubmitError>>),
    Waiting(oneshot::Receiver<Result<StoredTexts, SubmitError>>),
}

impl Receipt {
    /// An outcome that is known at once.
    #[must_use]
    pub fn ready(outcome: Result<StoredTexts, SubmitError>) -> Self {
        Self(ReceiptState::Ready(Some(outcome)))
    }

    /// An outcome that will be sent; a dropped sender counts as a store failure.
    #[must_use]
    pub fn waiting(outcome: oneshot::Receiver<Result<StoredTexts, SubmitError>>) -> Self {
        Self(ReceiptState::Waiting(outcome))
    }
}

impl Future for Receipt {
    type Output = Result<StoredTexts, SubmitError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let gone = |what: &str| Err(StoreError::unavailable(what).into());
        match &mut self.0 {
            ReceiptState::Ready(outcome) => {
                Poll::Ready(outcome.take().unwrap_or_else(|| gone("the outcome was taken before")))
            }
            ReceiptState::Waiting(outcome) => Pin::new(outcome)
                .poll(cx)
                .map(|sent| sent.unwrap_or_else(|_| gone("the store stopped before answering"))),
        }
    }
}
