use async_trait::async_trait;
use uschat_proto::chat::{MessageKey, ThreadId, UserId};

use super::{MemoryStore, Tables};
use crate::store::{
    Conversations, NewTexts, Receipt, StoreError, StoredText,
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
}

impl Tables {
    /// Keeps the texts of a plan; the plan's conversations and numbers are in [`Known`](crate::store::plan::Known) already.
    pub(super) fn write(&mut self, plan: Plan) {
        for row in plan.rows {
            self.texts.entry(row.text.thread).or_default().push(row.text);
        }
    }
}
