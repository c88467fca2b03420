use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use uschat_pool::redis::redis::cmd;
use uschat_proto::chat::UserId;

use super::{
    RedisState,
    commands::{Script, millis},
};
use crate::store::{
    StoreError,
    state::{self, Holder, Presence, Servers},
};

/// Writes the lease ARGV[2] of the fence ARGV[1] unless a higher fence holds it; answers whether, and with what was there.
static TAKE: Script = Script::new(
    "local held = redis.call('GET', KEYS[1])
     if held then
       local readable, lease = pcall(cjson.decode, held)
       local fence = readable and type(lease) == 'table' and tonumber(lease.fence)
       if fence and fence > tonumber(ARGV[1]) then return {0, held} end
     end
     redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
     return {1, held}",
);

/// Removes the lease if it has the fence ARGV[1], and answers with it.
static RELEASE: Script = Script::new(
    "local held = redis.call('GET', KEYS[1])
     if not held then return false end
     local readable, lease = pcall(cjson.decode, held)
     if not readable or type(lease) ~= 'table' or lease.fence ~= tonumber(ARGV[1]) then return false end
     redis.call('DEL', KEYS[1])
     return held",
);

#[derive(Serialize, Deserialize)]
struct Lease {
    server: String,
    session: u64,
    fence: i64,
}

/// The fences that this process took, at most one a user: a wish to hold a user is a renewal if it is among them,
/// even if Redis has lost the lease.
#[derive(Default)]
pub(super) struct Taken(Mutex<HashMap<UserId, i64>>);

impl Taken {
    fn add(&self, uid: UserId, fence: i64) {
        let mut fences = self.fences();
        let highest = fences.entry(uid).or_insert(fence);
        *highest = fence.max(*highest);
    }

    fn contains(&self, uid: UserId, fence: i64) -> bool {
        self.fences().get(&uid) == Some(&fence)
    }

    fn remove(&self, uid: UserId, fence: i64) {
        let mut fences = self.fences();
        if fences.get(&uid) == Some(&fence) {
            fences.remove(&uid);
        }
    }

    fn fences(&self) -> MutexGuard<'_, HashMap<UserId, i64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Presence for RedisState {
    async fn take_presence(
        &self,
        uid: UserId,
        holder: &Holder,
        time_to_live: Duration,
    ) -> Result<state::Taken, StoreError> {
        if self.taken.contains(uid, holder.fence) {
            self.renew(uid, holder, time_to_live).await
        } else {
            self.log_in(uid, holder, time_to_live).await
        }
    }

    async fn presence(&self, uid: UserId) -> Result<Option<Holder>, StoreError> {
        let (lease, original) = tokio::try_join!(self.lease(uid), self.original(uid))?;
        Ok(original.or(lease))
    }

    async fn release_presence(&self, uid: UserId, fence: i64) -> Result<bool, StoreError> {
        self.taken.remove(uid, fence);
        let released = self.release(uid, fence).await?;
        if let Some(holder) = &released {
            self.remove_shadows(uid, holder).await;
        }
        Ok(released.is_some())
    }
}

impl RedisState {
    async fn log_in(&self, uid: UserId, holder: &Holder, time_to_live: Duration) -> Result<state::Taken, StoreError> {
        // Before the shadows are written: these would hide an original holder.
        let (taken, original) = tokio::try_join!(self.take(uid, holder, time_to_live), self.original(uid))?;
        let state::Taken::Granted { previous } = taken else { return Ok(taken) };
        self.taken.add(uid, holder.fence);
        self.write_shadows(uid, holder, time_to_live).await;
        Ok(state::Taken::Granted { previous: original.or(previous) })
    }

    async fn renew(&self, uid: UserId, holder: &Holder, time_to_live: Duration) -> Result<state::Taken, StoreError> {
        let (taken, original) =
            tokio::join!(self.take(uid, holder, time_to_live), self.renew_shadows(uid, holder, time_to_live));
        match (taken?, original) {
            (state::Taken::Refused(by), _) => {
                self.taken.remove(uid, holder.fence);
                if by.server != holder.server {
                    self.remove_uip(uid, holder).await;
                }
                Ok(state::Taken::Refused(by))
            }
            (state::Taken::Granted { previous }, Some(named)) => {
                // A list of peers may name servers of ours: among those the lease decides, whatever the shadow still says.
                if self.servers().await?.iter().any(|ours| ours.name == named.server) {
                    return Ok(state::Taken::Granted { previous });
                }
                self.release_presence(uid, holder.fence).await?;
                Ok(state::Taken::Refused(named))
            }
            (granted, None) => Ok(granted),
        }
    }

    async fn take(&self, uid: UserId, holder: &Holder, time_to_live: Duration) -> Result<state::Taken, StoreError> {
        let json = serde_json::to_string(&Lease::from(holder)).map_err(StoreError::unavailable)?;
        let arguments = [holder.fence.to_string(), json, millis(time_to_live)];
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let (granted, held): (bool, Option<String>) =
            self.commands.script(&TAKE, &self.lease_key(uid), &arguments).await?;
        let held = held.as_deref().and_then(read);
        match held {
            Some(by) if !granted => Ok(state::Taken::Refused(by)),
            // What the script could read and this program cannot was written by a version to come.
            None if !granted => Err(StoreError::Corrupt("a presence lease in Redis is not readable".into())),
            held => Ok(state::Taken::Granted { previous: held.filter(|held| held.fence < holder.fence) }),
        }
    }

    /// Gives up the lease, but no shadow.
    async fn release(&self, uid: UserId, fence: i64) -> Result<Option<Holder>, StoreError> {
        let released: Option<String> =
            self.commands.script(&RELEASE, &self.lease_key(uid), &[&fence.to_string()]).await?;
        Ok(released.as_deref().and_then(read))
    }

    /// Who holds the lease. One that is not readable is as good as lost.
    pub(super) async fn lease(&self, uid: UserId) -> Result<Option<Holder>, StoreError> {
        let held: Option<String> = self.commands.run(cmd("GET").arg(self.lease_key(uid))).await?;
        Ok(held.as_deref().and_then(read))
    }

    fn lease_key(&self, uid: UserId) -> String {
        self.key("lease", uid)
    }
}

fn read(json: &str) -> Option<Holder> {
    let Lease { server, session, fence } = serde_json::from_str(json).ok()?;
    Some(Holder { server, session, fence })
}

impl From<&Holder> for Lease {
    fn from(holder: &Holder) -> Self {
        Self { server: holder.server.clone(), session: holder.session, fence: holder.fence }
    }
}
