use async_trait::async_trait;
use serde::Serialize;
use uschat_pool::redis::redis::cmd;
use uschat_proto::chat::{Profile, UserId};

use super::{RedisState, commands::Script};
use crate::store::{StoreError, state::ProfileCache};

const SECONDS: u64 = 600;

/// Reads a copy. One without an expiry is an original's, which would show what it says for ever: it gets one, of ARGV[1]
/// seconds. Whoever misses it then, they too, reads the database again.
static READ: Script = Script::new(
    "if redis.call('TTL', KEYS[1]) == -1 then redis.call('EXPIRE', KEYS[1], ARGV[1]) end
     return redis.call('GET', KEYS[1])",
);

/// The originals' shape. They read a missing `pwd` as an empty one; the e-mail address is never ours to share.
#[derive(Serialize)]
struct Cached<'a> {
    #[serde(flatten)]
    profile: &'a Profile,
    email: &'static str,
}

/// Copies that originals wrote are read too; what they hold beyond a profile is ignored. A copy that is not readable, or of
/// somebody else, is none.
#[async_trait]
impl ProfileCache for RedisState {
    async fn cached_profile(&self, uid: UserId) -> Result<Option<Profile>, StoreError> {
        let cached = self.cached(&by_uid(uid)).await?;
        Ok(cached.filter(|profile| profile.uid == uid))
    }

    async fn cached_profile_named(&self, name: &str) -> Result<Option<Profile>, StoreError> {
        let cached = self.cached(&by_name(name)).await?;
        Ok(cached.filter(|profile| profile.name == name))
    }

    async fn cache_profile(&self, profile: &Profile) -> Result<(), StoreError> {
        let json = serde_json::to_string(&Cached { profile, email: "" }).map_err(StoreError::unavailable)?;
        let keep = |key: String| cmd("SET").arg(key).arg(&json).arg("EX").arg(SECONDS).take();
        let (one, other) = (keep(by_uid(profile.uid)), keep(by_name(&profile.name)));
        tokio::try_join!(self.commands.run::<()>(&one), self.commands.run::<()>(&other))?;
        Ok(())
    }

    /// The copy under the name is found through the one under the uid; without that, it ends by itself.
    async fn forget_profile(&self, uid: UserId) -> Result<(), StoreError> {
        if let Some(profile) = self.cached_profile(uid).await? {
            let _: i64 = self.commands.run(cmd("DEL").arg(by_name(&profile.name))).await?;
        }
        self.commands.run::<i64>(cmd("DEL").arg(by_uid(uid))).await.map(drop)
    }
}

impl RedisState {
    async fn cached(&self, key: &str) -> Result<Option<Profile>, StoreError> {
        let json: Option<Vec<u8>> = self.commands.script(&READ, key, &[&SECONDS.to_string()]).await?;
        Ok(json.and_then(|json| serde_json::from_slice(&json).ok()))
    }
}

fn by_uid(uid: UserId) -> String {
    format!("ubaseinfo_{uid}")
}

fn by_name(name: &str) -> String {
    format!("nameinfo_{name}")
}
