//! Ports to what is kept: SQL (accounts, contacts, conversations) and state (codes, tokens, presence, counters, caches).
//!
//! Services know the traits of this module only; start-up code picks adapters. SQL is the only truth: everything behind
//! [`State`] can be lost and costs a new login at worst. The adapters of one port pass one conformance suite.

mod accounts;
mod committer;
mod contacts;
mod conversations;
mod error;
pub mod memory;
#[cfg(feature = "mysql")]
pub mod mysql;
mod plan;
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
