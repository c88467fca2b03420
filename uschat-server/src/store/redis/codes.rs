use std::time::Duration;

use async_trait::async_trait;
use uschat_pool::redis::redis::cmd;

use super::{
    RedisState,
    commands::{REMOVE_IF, Script, millis, remaining},
};
use crate::store::{
    StoreError,
    state::{CodeVerdict, Codes},
};

/// What a code without an expiry has left: the time an original gives it.
const LIFE_OF_ORIGINALS: Duration = Duration::from_secs(600);

/// Answers with the code that waits, and whether it is the new one.
static INSERT: Script = Script::new(
    "local waiting = redis.call('GET', KEYS[1])
     if waiting then return {waiting, 0} end
     redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
     return {ARGV[1], 1}",
);

/// Counts a wrong try of the code ARGV[1], at most ARGV[2] of them; answers which one it was, 0 for one too many.
static WRONG: Script = Script::new(
    "local counted = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or 0)
     if counted >= tonumber(ARGV[2]) then return 0 end
     counted = redis.call('HINCRBY', KEYS[1], ARGV[1], 1)
     if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[3]) then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
     return counted",
);

/// Removes the code if it is this one and answers what it had left.
static SPEND: Script = Script::new(
    "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return false end
     local left = redis.call('PTTL', KEYS[1])
     redis.call('DEL', KEYS[1])
     return left",
);

/// Code and tries are two keys, and scripts touch one. The tries are a field of the very code, so those of an earlier code
/// never count for a later one, and Redis runs their steps one after another: a right guess counts only if fewer than the
/// allowed wrong ones came before it, however many are sent at once.
#[async_trait]
impl Codes for RedisState {
    async fn code_or_insert(&self, email: &str, code: &str, time_to_live: Duration) -> Result<String, StoreError> {
        let (waiting, fresh): (String, bool) =
            self.commands.script(&INSERT, &code_key(email), &[code, &millis(time_to_live)]).await?;
        if fresh {
            // An earlier code may have been the same by chance, or this is one given back.
            let _: i64 = self.commands.run(cmd("HDEL").arg(self.tries_key(email)).arg(code)).await?;
        }
        Ok(waiting)
    }

    async fn check_code(&self, email: &str, code: &str, max_wrong: u32) -> Result<CodeVerdict, StoreError> {
        let key = code_key(email);
        let (mut get, mut pttl) = (cmd("GET"), cmd("PTTL"));
        let (waiting, left) = tokio::try_join!(
            self.commands.run::<Option<String>>(get.arg(&key)),
            self.commands.run::<i64>(pttl.arg(&key)),
        )?;
        let Some(waiting) = waiting else { return Ok(CodeVerdict::Missing) };
        let tries = self.tries_key(email);
        if waiting == code {
            let counted: Option<u32> = self.commands.run(cmd("HGET").arg(&tries).arg(&waiting)).await?;
            let voided = counted.is_some_and(|counted| counted >= max_wrong);
            return Ok(if voided { CodeVerdict::Missing } else { CodeVerdict::Right });
        }
        let most = max_wrong.max(1).to_string();
        let left = millis(remaining(left, LIFE_OF_ORIGINALS));
        let counted: u32 = self.commands.script(&WRONG, &tries, &[&waiting, &most, &left]).await?;
        if counted == 0 {
            return Ok(CodeVerdict::Missing);
        }
        if counted >= max_wrong {
            let _: i64 = self.commands.script(&REMOVE_IF, &key, &[&waiting]).await?;
        }
        Ok(CodeVerdict::Wrong)
    }

    async fn spend_code(&self, email: &str, code: &str) -> Result<Option<Duration>, StoreError> {
        let left: Option<i64> = self.commands.script(&SPEND, &code_key(email), &[code]).await?;
        Ok(left.map(|left| remaining(left, LIFE_OF_ORIGINALS)))
    }
}

impl RedisState {
    fn tries_key(&self, email: &str) -> String {
        self.key("tries", email)
    }
}

fn code_key(email: &str) -> String {
    format!("code_{email}")
}
