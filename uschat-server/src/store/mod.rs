//! Ports to what is kept: SQL (accounts, contacts, conversations) and state (codes, tokens, presence, counters, caches).
//!
//! Services know the traits of this module only; start-up code picks adapters. SQL is the only truth: everything behind
//! [`State`] can be lost and costs a new login at worst. The adapters of one port pass one conformance suite.
//!
//! # Metrics
//!
//! Of the SQL adapters, with the label `database` (`sqlite` or `mysql`); how many texts share a commit, and how many
//! statements a text costs, can be read from them:
//!
//! | metric | what it says |
//! |---|---|
//! | gauge `uschat_store_queue_requests` | requests that were handed over and are not answered yet |
//! | counter `uschat_store_commits_total` | transactions of texts that were committed |
//! | counter `uschat_store_texts_total` | texts they stored |
//! | counter `uschat_store_statements_total` | statements sent to store texts and to number those of originals, failed ones included |
//! | histogram `uschat_store_commit_texts` | texts stored by one of them |
//! | histogram `uschat_store_commit_seconds` | how long one of them took, from its first statement to the end of its commit |

mod accounts;
mod committer;
mod contacts;
mod conversations;
mod error;
pub mod memory;
#[cfg(any(feature = "mysql", feature = "sqlite"))]
mod meter;
#[cfg(feature = "mysql")]
pub mod mysql;
mod pauses;
mod plan;
mod queue;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(feature = "sqlite")]
pub mod sqlite;
pub mod state;

pub use accounts::{Account, Accounts, CreateAccountError, NewAccount, PasswordHash};
pub use committer::{CommitBatch, Committer};
pub use contacts::{Applied, Approval, ApproveError, Contact, Contacts, NOW_FRIENDS, PendingApplication};
pub use conversations::{
    Chain, Conversations, NewText, NewTexts, OpenThreadError, Place, PrivateThread, Progress, Receipt, Standing,
    StoredText, StoredTexts, SubmitError, ThreadHead, UnixMillis,
};
pub use error::StoreError;
pub use state::State;
