use std::ops::Bound;

use async_trait::async_trait;
use uschat_proto::chat::{MessageKey, ThreadId, UserId};

use super::{MemoryStore, Tables};
use crate::store::{
    Conversations, NewTexts, OpenThreadError, PrivateThread, Receipt, StoreError, StoredText,
    plan::{Pair, Plan},
};

#[async_trait]
impl Conversations for MemoryStore {
    fn submit(&self, texts: NewTexts) -> Receipt {
        let mut tables = self.tables();
        let mut plan = Plan::default();
        let outcome = tables.known.plan(&texts, &mut plan);
        tables.write(plan);
        Receipt::ready(outcome)
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
}

impl Tables {
    /// Keeps the texts of a plan; the plan's conversations and numbers are in [`Known`](crate::store::plan::Known) already.
    pub(super) fn write(&mut self, plan: Plan) {
        self.pairs.extend(plan.opened);
        for row in plan.rows {
            self.texts.entry(row.text.thread).or_default().push(row.text);
        }
    }
}
