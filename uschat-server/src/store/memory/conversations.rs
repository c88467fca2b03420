use std::{ops::Bound, sync::PoisonError};

use async_trait::async_trait;
use uschat_proto::chat::{MessageKey, ThreadId, UserId};

use super::{MemoryStore, Tables};
use crate::store::{
    Conversations, NewTexts, OpenThreadError, Place, PrivateThread, Progress, Receipt, Standing, StoreError,
    StoredText, SubmitError, ThreadHead,
    plan::{Pair, Plan},
};

#[async_trait]
impl Conversations for MemoryStore {
    fn submit(&self, texts: NewTexts) -> Receipt {
        self.tables().submit(&texts)
    }

    async fn place(&self) -> Place {
        let tables = self.tables.clone();
        Place::new(move |texts| tables.lock().unwrap_or_else(PoisonError::into_inner).submit(&texts))
    }

    async fn history(&self, thread: ThreadId, after: MessageKey, limit: usize) -> Result<Vec<StoredText>, StoreError> {
        let tables = self.tables();
        let all = tables.texts.get(&thread).map_or(&[][..], Vec::as_slice);
        let start = all.partition_point(|text| text.key <= after);
        Ok(all[start..].iter().take(limit).cloned().collect())
    }

    async fn private_thread(&self, one: UserId, other: UserId) -> Result<Option<ThreadId>, StoreError> {
        let tables = self.tables();
        let heads = tables.known.heads.get(&Pair::new(one, other));
        Ok(heads.and_then(|heads| heads.first()).map(|head| head.thread))
    }

    async fn threads(&self, uid: UserId, after: ThreadId, limit: usize) -> Result<Vec<PrivateThread>, StoreError> {
        let tables = self.tables();
        let later = tables.pairs.range((Bound::Excluded(after), Bound::Unbounded));
        let own = later.filter_map(|(&thread, &pair)| Some(PrivateThread { thread, friend: pair.other(uid)? }));
        Ok(own.filter(|own| tables.known.friends.contains(&(uid, own.friend))).take(limit).collect())
    }

    async fn participants(&self, thread: ThreadId) -> Result<Option<[UserId; 2]>, StoreError> {
        Ok(self.tables().pairs.get(&thread).map(|pair| [pair.0, pair.1]))
    }

    async fn open_private(&self, uid: UserId, friend: UserId) -> Result<ThreadId, OpenThreadError> {
        let mut tables = self.tables();
        let mut plan = Plan::default();
        let thread = tables.known.plan_private(uid, friend, &mut plan);
        tables.write(plan);
        thread.ok_or(OpenThreadError::NotFriends)
    }

    async fn texts_after(&self, thread: ThreadId, after: i64, limit: usize) -> Result<Vec<StoredText>, StoreError> {
        let tables = self.tables();
        let all = tables.texts.get(&thread).map_or(&[][..], Vec::as_slice);
        let start = all.partition_point(|text| text.seq <= after);
        Ok(all[start..].iter().take(limit).cloned().collect())
    }

    async fn texts_at(&self, places: &[(ThreadId, i64)]) -> Result<Vec<StoredText>, StoreError> {
        let tables = self.tables();
        let text = |&(thread, seq): &(ThreadId, i64)| {
            let place = usize::try_from(seq).ok()?.checked_sub(1)?;
            tables.texts.get(&thread)?.get(place).cloned()
        };
        Ok(places.iter().filter_map(text).collect())
    }

    async fn standings(&self, uid: UserId, threads: &[ThreadId]) -> Result<Vec<Standing>, StoreError> {
        let tables = self.tables();
        Ok(threads.iter().filter_map(|&thread| tables.standing(uid, thread)).collect())
    }

    async fn waiting(&self, uid: UserId, after: ThreadId, limit: usize) -> Result<Vec<Standing>, StoreError> {
        let tables = self.tables();
        let later = tables.pairs.range((Bound::Excluded(after), Bound::Unbounded));
        let own = later.filter_map(|(&thread, _)| tables.standing(uid, thread));
        Ok(own.filter(|standing| standing.head > standing.delivered).take(limit).collect())
    }

    async fn heads_after(&self, after: MessageKey, limit: usize) -> Result<Vec<ThreadHead>, StoreError> {
        let tables = self.tables();
        let head = |(&thread, pair): (&ThreadId, &Pair)| {
            let last = tables.texts.get(&thread)?.last()?;
            Some(ThreadHead { thread, users: [pair.0, pair.1], seq: last.seq, key: last.key })
        };
        let mut heads: Vec<_> = tables.pairs.iter().filter_map(head).filter(|head| head.key > after).collect();
        heads.sort_unstable_by_key(|head| head.key);
        heads.truncate(limit);
        Ok(heads)
    }

    async fn last_key(&self) -> Result<MessageKey, StoreError> {
        Ok(MessageKey(self.tables().known.last_key))
    }

    async fn record_progress(&self, progress: &[Progress]) -> Result<(), StoreError> {
        let mut tables = self.tables();
        for news in progress {
            let Some(standing) = tables.standing(news.uid, news.thread) else { continue };
            if tables.fences.get(&news.uid) == Some(&news.fence) {
                let delivered = news.delivered.min(standing.head).max(standing.delivered);
                let read = news.read.min(standing.head).max(standing.read);
                tables.progress.insert((news.uid, news.thread), (delivered, read));
            }
        }
        Ok(())
    }
}

impl Tables {
    fn submit(&mut self, texts: &NewTexts) -> Receipt {
        if texts.chain.is_broken() {
            return Receipt::ready(Err(SubmitError::Behind));
        }
        let mut plan = Plan::default();
        let outcome = self.known.plan(texts, &mut plan);
        self.write(plan);
        Receipt::ready(outcome)
    }

    fn standing(&self, uid: UserId, thread: ThreadId) -> Option<Standing> {
        let peer = self.pairs.get(&thread)?.other(uid)?;
        let head = self.texts.get(&thread).and_then(|texts| texts.last()).map_or(0, |last| last.seq);
        let (delivered, read) = self.progress.get(&(uid, thread)).copied().unwrap_or_default();
        Some(Standing { thread, peer, head, delivered, read })
    }

    /// Keeps the texts of a plan; the plan's conversations and numbers are in [`Known`](crate::store::plan::Known) already.
    pub(super) fn write(&mut self, plan: Plan) {
        self.pairs.extend(plan.opened);
        for row in plan.rows {
            self.texts.entry(row.text.thread).or_default().push(row.text);
        }
    }
}
