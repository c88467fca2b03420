use std::collections::{BTreeMap, HashMap};

use uschat_proto::{
    ErrorCode,
    chat::{Cursor, Fingerprint, Mark, ProgressRequest, SyncRequest, SyncResponse, ThreadId, UserId},
};

use super::{
    ledger::{Client, Ledger},
    texts::TextDelivery,
};
use crate::{
    chat::app::{ChatApp, unavailable},
    session::Session,
    store::{Standing, StoredText},
};

/// Cursors a session may give in all parts together.
const CURSORS: usize = 4_096;

impl TextDelivery {
    /// Takes a part of what a client says it has. Texts are told only after [`TextDelivery::go_live`].
    pub(in crate::chat) async fn take_cursors(
        &self,
        session: &Session<ChatApp>,
        me: UserId,
        request: &SyncRequest,
    ) -> Result<SyncResponse, ErrorCode> {
        check(&session.state().texts.lock(), &request.cursors)?;
        // Of two cursors of one conversation the later one counts.
        let cursors: BTreeMap<ThreadId, Cursor> =
            request.cursors.iter().map(|cursor| (cursor.thread_id, *cursor)).collect();
        let threads: Vec<_> = cursors.keys().copied().collect();
        let standings = self.standings(me, &threads).await?;
        let unknown = threads.into_iter().filter(|thread| !standings.contains_key(thread)).collect();

        let given = cursors.values().filter(|cursor| cursor.seq > 0 && standings.contains_key(&cursor.thread_id));
        let there = self.texts_at(given.map(|cursor| (cursor.thread_id, cursor.seq)).collect()).await?;
        let is_there = |cursor: &Cursor| {
            let text = there.get(&(cursor.thread_id, cursor.seq));
            cursor.seq == 0 || (text.is_some() && text.map(fingerprint) == cursor.fingerprint)
        };
        let gone = cursors.values().filter(|cursor| !is_there(cursor));
        let heads = gone.filter_map(|cursor| standings.get(&cursor.thread_id)).filter(|standing| standing.head > 0);
        let last = self.texts_at(heads.map(|standing| (standing.thread, standing.head)).collect()).await?;

        let mut response = SyncResponse { unknown, ..SyncResponse::default() };
        let mut ledger = session.state().texts.lock();
        for cursor in cursors.values() {
            let Some(standing) = standings.get(&cursor.thread_id) else { continue };
            if is_there(cursor) {
                ledger.begin_at(standing, cursor.seq);
                continue;
            }
            let text = last.get(&(standing.thread, standing.head));
            let seq = text.map_or(0, |text| text.seq);
            ledger.begin_at(standing, seq);
            let replaced = Cursor { thread_id: standing.thread, seq, fingerprint: text.map(fingerprint) };
            response.replaced.push(replaced);
        }
        ledger.cursors += request.cursors.len();
        ledger.synced = !request.more;
        Ok(response)
    }

    /// Takes how far the application of a client has got; what it was not told does not count.
    pub(in crate::chat) async fn take_marks(
        &self,
        session: &Session<ChatApp>,
        me: UserId,
        request: &ProgressRequest,
    ) -> Result<(), ErrorCode> {
        let marks = || request.delivered.iter().chain(&request.read);
        if marks().count() > ProgressRequest::MAX_MARKS {
            return Err(ErrorCode::TOO_LARGE);
        }
        let strangers = {
            let ledger = session.state().texts.lock();
            let in_range = |mark: &Mark| mark.thread_id.0 > 0 && mark.seq >= 0;
            if ledger.client != Client::Syncing || !ledger.is_live() || !marks().all(in_range) {
                return Err(ErrorCode::INVALID_FIELD);
            }
            ledger.strangers(marks().map(|mark| mark.thread_id))
        };
        let standings: Vec<_> = self.standings(me, &strangers).await?.into_values().collect();
        let mut ledger = session.state().texts.lock();
        ledger.stand(&strangers, &standings);
        request.delivered.iter().for_each(|mark| ledger.report(mark.thread_id, mark.seq, 0));
        request.read.iter().for_each(|mark| ledger.report(mark.thread_id, 0, mark.seq));
        self.go_on(session, ledger);
        Ok(())
    }

    async fn standings(&self, me: UserId, threads: &[ThreadId]) -> Result<HashMap<ThreadId, Standing>, ErrorCode> {
        if threads.is_empty() {
            return Ok(HashMap::new());
        }
        let standings = self.0.conversations.standings(me, threads).await;
        let standings = standings.map_err(unavailable("reading where a user stands"))?;
        Ok(standings.into_iter().map(|standing| (standing.thread, standing)).collect())
    }

    async fn texts_at(&self, places: Vec<(ThreadId, i64)>) -> Result<HashMap<(ThreadId, i64), StoredText>, ErrorCode> {
        if places.is_empty() {
            return Ok(HashMap::new());
        }
        let texts = self.0.conversations.texts_at(&places).await.map_err(unavailable("reading texts"))?;
        Ok(texts.into_iter().map(|text| ((text.thread, text.seq), text)).collect())
    }
}

fn check(ledger: &Ledger, cursors: &[Cursor]) -> Result<(), ErrorCode> {
    let in_range = |cursor: &Cursor| {
        cursor.thread_id.0 > 0 && cursor.seq >= 0 && (cursor.seq == 0 || cursor.fingerprint.is_some())
    };
    if ledger.client != Client::Syncing || ledger.synced {
        return Err(ErrorCode::INVALID_FIELD);
    }
    if cursors.len() > SyncRequest::MAX_CURSORS || ledger.cursors + cursors.len() > CURSORS {
        return Err(ErrorCode::TOO_LARGE);
    }
    if cursors.iter().all(in_range) { Ok(()) } else { Err(ErrorCode::INVALID_FIELD) }
}

fn fingerprint(text: &StoredText) -> Fingerprint {
    Fingerprint::of(text.key, text.sender, &text.content)
}
