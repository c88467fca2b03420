use std::time::Duration;

use metrics::{Counter, Histogram, counter, histogram};

use super::StoredTexts;

/// What a SQL adapter tells the metrics about the transactions that store texts.
#[derive(Clone)]
pub(crate) struct Meter {
    commits: Counter,
    texts: Counter,
    commit_texts: Histogram,
    commit_seconds: Histogram,
    statements: Counter,
}

impl Meter {
    /// Takes part in the recorder of this moment.
    pub(crate) fn new(database: &'static str) -> Self {
        Self {
            commits: counter!("uschat_store_commits_total", "database" => database),
            texts: counter!("uschat_store_texts_total", "database" => database),
            commit_texts: histogram!("uschat_store_commit_texts", "database" => database),
            commit_seconds: histogram!("uschat_store_commit_seconds", "database" => database),
            statements: counter!("uschat_store_statements_total", "database" => database),
        }
    }

    /// A transaction that took so long, all in all, and ended in a commit.
    pub(crate) fn committed<'a>(&self, stored: impl Iterator<Item = &'a StoredTexts>, took: Duration) {
        let texts: usize = stored.map(|stored| stored.fresh).sum();
        self.commits.increment(1);
        self.texts.increment(texts as u64);
        self.commit_texts.record(texts as f64);
        self.commit_seconds.record(took);
    }

    /// Statements that were sent, `BEGIN` and `COMMIT` among them.
    pub(crate) fn sent(&self, statements: u64) {
        self.statements.increment(statements);
    }
}
