use std::time::Duration;

use async_trait::async_trait;
use uschat_pool::redis::redis::cmd;

use super::{
    RedisState,
    commands::{Script, millis},
};
use crate::store::{StoreError, state::Limits};

static COUNT: Script = Script::new(
    "local counted = tonumber(redis.call('GET', KEYS[1]) or 0)
     if counted >= tonumber(ARGV[1]) then return 0 end
     if counted == 0 then redis.call('SET', KEYS[1], 1, 'PX', ARGV[2]) else redis.call('INCR', KEYS[1]) end
     return 1",
);

#[async_trait]
impl Limits for RedisState {
    async fn count(&self, counter: &str, max: u32, window: Duration) -> Result<bool, StoreError> {
        self.commands.script(&COUNT, &self.key("limit", counter), &[&max.to_string(), &millis(window)]).await
    }

    async fn counted(&self, counter: &str) -> Result<u32, StoreError> {
        let counted: Option<u32> = self.commands.run(cmd("GET").arg(self.key("limit", counter))).await?;
        Ok(counted.unwrap_or(0))
    }
}
