//! What becomes of a request to store texts: the ruling that the adapters share, without any I/O.
//!
//! An adapter reads what it [`Known`] about a batch while it holds the lock on the conversations, asks [`Known::plan`] for each request in
//! order, and writes what [`Plan`] gathered. A refused request leaves no trace in the plan.

use std::collections::HashMap;

use uschat_proto::chat::{MessageKey, ThreadId, UserId};

use super::{Chain, NOW_FRIENDS, NewText, NewTexts, StoredText, StoredTexts, SubmitError, UnixMillis};

/// A stored text and whom it was sent to.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) text: StoredText,
    pub(crate) receiver: UserId,
}

/// A private conversation and the number given last in it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    pub(crate) thread: ThreadId,
    pub(crate) seq: i64,
}

/// Two users in either order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Pair(pub(crate) UserId, pub(crate) UserId);

impl Pair {
    pub(crate) fn new(one: UserId, other: UserId) -> Self {
        Self(one.min(other), one.max(other))
    }

    /// Sender and receiver of a request.
    pub(crate) fn of(request: &NewTexts) -> Self {
        Self::new(request.sender, request.receiver)
    }

    /// The one who is not `uid`, if `uid` is one of them.
    pub(crate) fn other(self, uid: UserId) -> Option<UserId> {
        match self {
            Self(one, other) if one == uid => Some(other),
            Self(one, other) if other == uid => Some(one),
            _ => None,
        }
    }
}

/// Whether texts are expected that were stored before. Nearly every text is new, and that one is not shows when it is
/// inserted: only then is looked for what was stored before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retries {
    Unexpected,
    Expected,
}

/// What is stored, as far as it decides about a batch.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// Texts by sender and client id, at least those the batch names.
    pub(crate) earlier: HashMap<(UserId, String), Row>,
    /// Who has whom as a friend.
    pub(crate) friends: foldhash::HashSet<(UserId, UserId)>,
    /// The private conversations of each pair, the oldest first: originals may have stored two.
    pub(crate) heads: foldhash::HashMap<Pair, Vec<Head>>,
    /// The highest key given so far.
    pub(crate) last_key: i64,
    /// The highest conversation id given so far.
    pub(crate) last_thread: i64,
}

/// What a batch writes.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// Conversations to open.
    pub(crate) opened: Vec<(ThreadId, Pair)>,
    /// Texts to insert, ascending by key.
    pub(crate) rows: Vec<Row>,
}

impl Known {
    /// Decides about one request; the next one of the batch is judged as if this one had been stored.
    pub(crate) fn plan(&mut self, request: &NewTexts, plan: &mut Plan) -> Result<StoredTexts, SubmitError> {
        if let Some(first) = self.answered_before(request)? {
            return Ok(first);
        }
        let at = self.place(request)?;
        Ok(self.append(request, at, plan))
    }

    /// Whether a request is refused, unless it was stored before.
    pub(crate) fn refuses(&self, request: &NewTexts) -> bool {
        self.place(request).is_err()
    }

    /// Which conversation of its pair a request goes into.
    fn place(&self, request: &NewTexts) -> Result<usize, SubmitError> {
        let known = self.heads.get(&Pair::of(request)).map_or(&[][..], Vec::as_slice);
        let at = match request.thread {
            None => 0,
            Some(named) => known.iter().position(|head| head.thread == named).ok_or(SubmitError::NotAMember)?,
        };
        let are_friends = self.friends.contains(&(request.sender, request.receiver));
        if are_friends { Ok(at) } else { Err(SubmitError::NotFriends) }
    }

    /// The conversation of a user and a friend, the older one if there are two; planned if there is none.
    pub(crate) fn plan_private(&mut self, uid: UserId, friend: UserId, plan: &mut Plan) -> Option<ThreadId> {
        self.friends.contains(&(uid, friend)).then(|| self.heads_of(Pair::new(uid, friend), plan)[0].thread)
    }

    /// The texts that the conversation of new friends begins with: the introduction unless it is empty, then
    /// [`NOW_FRIENDS`].
    pub(crate) fn plan_opening(
        &mut self,
        approver: UserId,
        applicant: UserId,
        introduction: &str,
        sent_at: UnixMillis,
        plan: &mut Plan,
    ) -> StoredTexts {
        let says = |sender, receiver, content: &str| {
            let text = NewText { client_id: None, content: content.to_owned() };
            NewTexts { sender, receiver, thread: None, texts: vec![text], sent_at, chain: Chain::default() }
        };
        let mut texts = Vec::with_capacity(2);
        if !introduction.is_empty() {
            texts.extend(self.append(&says(applicant, approver, introduction), 0, plan).texts);
        }
        let last = self.append(&says(approver, applicant, NOW_FRIENDS), 0, plan);
        texts.extend(last.texts);
        StoredTexts { thread: last.thread, fresh: texts.len(), texts }
    }

    /// Numbers what is new, in the pair's conversation `at` or in a new one if the pair has none.
    fn append(&mut self, request: &NewTexts, at: usize, plan: &mut Plan) -> StoredTexts {
        let pair = Pair::of(request);
        let mut head = self.heads_of(pair, plan)[at];
        let mut texts = Vec::with_capacity(request.texts.len());
        let mut fresh = 0;
        for new in &request.texts {
            let id = new.client_id.clone().map(|id| (request.sender, id));
            if let Some(earlier) = id.as_ref().and_then(|id| self.earlier.get(id)) {
                texts.push(earlier.text.clone());
                continue;
            }
            head.seq += 1;
            self.last_key += 1;
            let text = StoredText {
                key: MessageKey(self.last_key),
                thread: head.thread,
                seq: head.seq,
                sender: request.sender,
                client_id: new.client_id.clone(),
                content: new.content.clone(),
                sent_at: request.sent_at,
            };
            let row = Row { text: text.clone(), receiver: request.receiver };
            if let Some(id) = id {
                self.earlier.insert(id, row.clone());
            }
            plan.rows.push(row);
            texts.push(text);
            fresh += 1;
        }
        self.heads_of(pair, plan)[at] = head;
        StoredTexts { thread: head.thread, texts, fresh }
    }

    /// The conversations of a pair, at least one.
    fn heads_of(&mut self, pair: Pair, plan: &mut Plan) -> &mut Vec<Head> {
        let heads = self.heads.entry(pair).or_default();
        if heads.is_empty() {
            self.last_thread += 1;
            let thread = ThreadId(self.last_thread);
            plan.opened.push((thread, pair));
            heads.push(Head { thread, seq: 0 });
        }
        heads
    }

    /// The first results, if every text of the request was stored before. Refuses a request that uses a client id again
    /// for anything else, also twice within itself.
    fn answered_before(&self, request: &NewTexts) -> Result<Option<StoredTexts>, SubmitError> {
        let is_alone = request.texts.len() == 1;
        let mut within: HashMap<&str, &str> = HashMap::new();
        let mut stored = Vec::new();
        for NewText { client_id, content } in &request.texts {
            let Some(id) = client_id else { continue };
            if !is_alone && within.insert(id, content).is_some_and(|other| other != content) {
                return Err(SubmitError::ClientIdReused);
            }
            if let Some(earlier) = self.earlier.get(&(request.sender, id.clone())) {
                if earlier.text.content != *content || earlier.receiver != request.receiver {
                    return Err(SubmitError::ClientIdReused);
                }
                stored.push(earlier.text.clone());
            }
        }
        let all = stored.len() == request.texts.len();
        Ok(match stored.first() {
            Some(first) if all => Some(StoredTexts { thread: first.thread, texts: stored, fresh: 0 }),
            _ => None,
        })
    }
}
