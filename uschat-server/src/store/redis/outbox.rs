use std::fmt;

use async_trait::async_trait;
use uschat_pool::redis::redis::cmd;

use super::{RedisState, commands::Commands};
use crate::{
    mail::{MailError, Mailer, ReadOutbox},
    store::StoreError,
};

const SECONDS: u64 = 60 * 60;

/// Keeps the newest code of every address for an hour instead of mailing it, for a cluster of several processes without a
/// mail server. Anybody who reads it can take over accounts: it is for development and tests.
#[derive(Clone)]
pub struct RedisOutbox {
    commands: Commands,
    prefix: String,
}

impl RedisOutbox {
    /// The outbox beside this state, over the same connections. Every process of the cluster sees the same one.
    #[must_use]
    pub fn new(state: &RedisState) -> Self {
        Self { commands: state.commands.clone(), prefix: state.prefix.clone() }
    }

    fn key(&self, email: &str) -> String {
        format!("{}outbox:{email}", self.prefix)
    }
}

#[async_trait]
impl Mailer for RedisOutbox {
    async fn send_code(&self, email: &str, code: &str) -> Result<(), MailError> {
        let keep = cmd("SET").arg(self.key(email)).arg(code).arg("EX").arg(SECONDS).take();
        self.commands.run(&keep).await.map_err(MailError::new)
    }
}

#[async_trait]
impl ReadOutbox for RedisOutbox {
    async fn newest_code(&self, email: &str) -> Result<Option<String>, StoreError> {
        self.commands.run(cmd("GET").arg(self.key(email))).await
    }
}

impl fmt::Debug for RedisOutbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisOutbox").finish_non_exhaustive()
    }
}
