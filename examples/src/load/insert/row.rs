use std::time::{SystemTime, UNIX_EPOCH};

use crate::load::{
    options::ShapeOptions,
    texts::{RunId, content},
};

/// What `chat_message` keeps of a text.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) thread: i64,
    pub(super) sender: i64,
    pub(super) receiver: i64,
    pub(super) content: String,
    pub(super) seq: i64,
    pub(super) client_id: String,
    pub(super) sent_at_ms: i64,
}

/// The texts that the pairs of a shape would send, their senders by turns.
#[derive(Debug)]
pub(super) struct Rows {
    pairs: i64,
    content: String,
    run: RunId,
    made: i64,
    batch: Vec<Row>,
}

impl Rows {
    pub(super) fn new(shape: &ShapeOptions) -> Self {
        Self {
            pairs: i64::from(shape.pairs.max(1)),
            content: content(shape.size, shape.seed),
            run: RunId::random(),
            made: 0,
            batch: Vec::new(),
        }
    }

    pub(super) fn next_batch(&mut self, rows: u32) -> &[Row] {
        self.batch.clear();
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let sent_at_ms = i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX);
        for _ in 0..rows {
            let (round, pair) = (self.made / self.pairs, self.made % self.pairs);
            self.batch.push(Row {
                thread: pair + 1,
                sender: 2 * pair + 1,
                receiver: 2 * pair + 2,
                content: self.content.clone(),
                seq: round + 1,
                client_id: self.run.client_id(round),
                sent_at_ms,
            });
            self.made += 1;
        }
        &self.batch
    }
}
