//! Stores texts of many requests in one transaction, and says of each what became of it.

use std::{collections::HashSet, time::Instant};

use sqlx::MySqlConnection;

use super::{
    database::{Database, Work},
    failure::Failure,
    known::{self, Locks},
    ties::Ties,
    write,
};
use crate::store::{
    NewTexts, StoreError, StoredTexts, SubmitError,
    plan::{Pair, Plan, Retries},
};

/// Most texts in one transaction: their statements stay well below the 65,535 values that one may have.
const MAX_TEXTS: usize = 512;

/// What became of a request.
#[derive(Debug)]
pub(super) enum Outcome {
    Done(Result<StoredTexts, SubmitError>),
    /// Another transaction has locked its conversation. Nothing of it is stored, nor of what comes behind it in the same
    /// conversation or chain.
    Locked,
    /// The database could not be reached, or did not say whether it has stored it, in which case every text has a client
    /// id: asking again finds out.
    Unreached,
}

impl Database {
    /// Stores the requests in order; one outcome for each. A row that the database refuses, or that others contend for,
    /// splits the batch until the offender is alone.
    pub(super) async fn store(&self, batch: &[&NewTexts], locks: Locks) -> Vec<Outcome> {
        let mut outcomes = Vec::with_capacity(batch.len());
        let parts = self.parts(batch).into_iter().rev();
        let mut parts: Vec<_> = parts.map(|part| (part, Retries::Unexpected)).collect();
        let mut locked = Ties::default();
        let mut unreached = false;
        while let Some((part, retries)) = parts.pop() {
            if unreached {
                outcomes.extend(part.iter().map(|_| Outcome::Unreached));
                continue;
            }
            let began = Instant::now();
            self.meter.sent(2);
            let attempt = Batch { database: self, requests: part, locked: &locked, locks, retries };
            match self.attempt(&self.committing, &attempt).await {
                Ok(Ok(stored)) => {
                    let done = stored.iter().filter_map(|outcome| match outcome {
                        Outcome::Done(Ok(stored)) => Some(stored),
                        _ => None,
                    });
                    self.meter.committed(done, began.elapsed());
                    let is_locked = |outcome: &&Outcome| matches!(outcome, Outcome::Locked);
                    let found = part.iter().zip(&stored).filter(|(_, outcome)| is_locked(outcome));
                    found.for_each(|(request, _)| locked.add(request));
                    outcomes.extend(stored);
                }
                Err(Failure::Duplicate(_)) if retries == Retries::Unexpected => parts.push((part, Retries::Expected)),
                Err(Failure::Contended(_) | Failure::Duplicate(_) | Failure::Refused(_)) if part.len() > 1 => {
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.extend([(second, retries), (first, retries)]);
                }
                Ok(Err(error)) | Err(Failure::Refused(error)) => {
                    outcomes.extend(error.for_each(part.len()).map(|error| Outcome::Done(Err(error.into()))));
                }
                Err(Failure::Contended(_) | Failure::Duplicate(_)) => {
                    part.iter().for_each(|request| locked.add(request));
                    outcomes.extend(part.iter().map(|_| Outcome::Locked));
                }
                Err(Failure::Lost(error)) => {
                    tracing::debug!(%error, requests = part.len(), "texts could not be stored yet");
                    unreached = true;
                    outcomes.extend(part.iter().map(|_| Outcome::Unreached));
                }
                Err(Failure::Unknown(error)) => {
                    unreached = true;
                    outcomes.extend(after_unknown_commit(part, error));
                }
            }
        }
        outcomes
    }

    /// Cuts a batch into transactions that are not too large.
    fn parts<'a, 'b>(&self, batch: &'a [&'b NewTexts]) -> Vec<&'a [&'b NewTexts]> {
        let mut parts = Vec::new();
        let (mut from, mut texts, mut bytes) = (0, 0, 0);
        for (at, request) in batch.iter().enumerate() {
            let more_bytes: usize = request.texts.iter().map(|text| text.content.len()).sum();
            if at > from && (texts + request.texts.len() > MAX_TEXTS || bytes + more_bytes > self.max_bytes) {
                parts.push(&batch[from..at]);
                (from, texts, bytes) = (at, 0, 0);
            }
            texts += request.texts.len();
            bytes += more_bytes;
        }
        parts.push(&batch[from..]);
        parts
    }
}

/// One transaction.
struct Batch<'a> {
    database: &'a Database,
    requests: &'a [&'a NewTexts],
    /// What an earlier part found locked.
    locked: &'a Ties,
    locks: Locks,
    retries: Retries,
}

impl Work for Batch<'_> {
    type Output = Vec<Outcome>;
    type Refusal = StoreError;

    async fn run(&self, connection: &mut MySqlConnection) -> Result<Result<Vec<Outcome>, StoreError>, sqlx::Error> {
        let mut behind = self.locked.clone();
        let free: Vec<_> = self.requests.iter().filter(|request| !behind.hold_back(request)).collect();
        let pairs: Vec<_> = free.iter().map(|request| Pair::of(request)).collect::<HashSet<_>>().into_iter().collect();
        if pairs.is_empty() {
            return Ok(Ok(self.requests.iter().map(|_| Outcome::Locked).collect()));
        }

        let named = free.iter().filter_map(|request| Some((Pair::of(request), request.thread?)));
        self.database.chats.doubt(named);
        let mut loaded = known::load(connection, &pairs, self.locks, self.database).await?;
        loaded.locked.iter().for_each(|&pair| behind.add_conversation(pair));
        // What was stored before is answered as it was then, whatever has changed since.
        let refused = |request: &&NewTexts| !behind.hold(request) && loaded.known.refuses(request);
        if self.retries == Retries::Expected || free.iter().any(|request| refused(request)) {
            let ids = free.iter().flat_map(|request| {
                let ids = request.texts.iter().filter_map(|text| text.client_id.as_deref());
                ids.map(|id| (request.sender.0, id))
            });
            let ids: Vec<_> = ids.collect::<HashSet<_>>().into_iter().collect();
            known::earlier(connection, &ids, &mut loaded.known, &self.database.meter).await?;
        }
        let mut plan = Plan::default();
        let outcomes = self.requests.iter().map(|request| {
            if behind.hold_back(request) {
                return Outcome::Locked;
            }
            Outcome::Done(loaded.known.plan(request, &mut plan))
        });
        let mut outcomes: Vec<_> = outcomes.collect();
        let given = write::write(connection, &plan, &self.database.meter).await?;
        for outcome in &mut outcomes {
            if let Outcome::Done(Ok(stored)) = outcome {
                given.settle(stored);
            }
        }
        Ok(Ok(outcomes))
    }
}

/// A request can be asked about again if all its texts have ids. One that cannot is answered, and so is what came behind it
/// in its conversation, because it must not be stored without what was before it.
fn after_unknown_commit(part: &[&NewTexts], error: StoreError) -> Vec<Outcome> {
    tracing::warn!(%error, requests = part.len(), "the database did not say whether it has stored texts");
    let mut given_up = HashSet::new();
    let errors = error.for_each(part.len());
    let outcome = |(request, error): (&&NewTexts, StoreError)| {
        let pair = Pair::of(request);
        let can_be_found = request.texts.iter().all(|text| text.client_id.is_some());
        if !can_be_found {
            given_up.insert(pair);
        }
        if given_up.contains(&pair) { Outcome::Done(Err(error.into())) } else { Outcome::Unreached }
    };
    part.iter().zip(errors).map(outcome).collect()
}
