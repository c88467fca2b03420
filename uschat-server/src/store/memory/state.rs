use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tokio::time::Instant;
use uschat_proto::chat::{Profile, UserId};

use super::{
    expiring::{Entry, Expiring},
    profiles::Profiles,
};
use crate::store::{
    StoreError,
    state::{CodeVerdict, Codes, Holder, Limits, Presence, ProfileCache, ServerRecord, Servers, Taken, Tokens},
};

/// The state port in memory, for a cluster that lives in one process.
///
/// Everything with a time to live expires by tokio's monotonic clock and is swept while its map is used. At most 10,000 profiles are
/// cached; the one kept longest makes room. Every concern has a map of its own, and those of tokens, presence, codes and
/// counters are split by key, so that look-ups do not wait for each other.
pub struct MemoryState {
    codes: Expiring<String, Code>,
    counters: Expiring<String, u32>,
    holders: Expiring<UserId, Holder>,
    tokens: Expiring<UserId, String>,
    profiles: Profiles,
    servers: Mutex<BTreeMap<String, Entry<ServerRecord>>>,
}

struct Code {
    code: String,
    wrong: u32,
}

impl MemoryState {
    /// Knows nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            codes: Expiring::new(),
            counters: Expiring::new(),
            holders: Expiring::new(),
            tokens: Expiring::new(),
            profiles: Profiles::default(),
            servers: Mutex::default(),
        }
    }

    /// The servers alive now; what is not is dropped on the way.
    fn servers(&self) -> MutexGuard<'_, BTreeMap<String, Entry<ServerRecord>>> {
        let now = Instant::now();
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        servers.retain(|_, server| server.expires_at > now);
        servers
    }
}

impl Default for MemoryState {
    fn default() -> Self {
        Self::new()
    }
}

/// Without what it holds: codes and tokens are secrets.
impl fmt::Debug for MemoryState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryState").finish_non_exhaustive()
    }
}

#[async_trait]
impl Codes for MemoryState {
    async fn code_or_insert(&self, email: &str, code: &str, time_to_live: Duration) -> Result<String, StoreError> {
        Ok(self.codes.update(email.to_owned(), |waiting| {
            let fresh = || Entry::new(Code { code: code.to_owned(), wrong: 0 }, time_to_live);
            waiting.get_or_insert_with(fresh).value.code.clone()
        }))
    }

    async fn check_code(&self, email: &str, code: &str, max_wrong: u32) -> Result<CodeVerdict, StoreError> {
        Ok(self.codes.update(email.to_owned(), |waiting| {
            let Some(entry) = waiting else { return CodeVerdict::Missing };
            if entry.value.code == code {
                return CodeVerdict::Right;
            }
            entry.value.wrong += 1;
            if entry.value.wrong >= max_wrong {
                *waiting = None;
            }
            CodeVerdict::Wrong
        }))
    }

    async fn spend_code(&self, email: &str, code: &str) -> Result<Option<Duration>, StoreError> {
        Ok(self.codes.update(email.to_owned(), |waiting| {
            let spent = waiting.take_if(|entry| entry.value.code == code)?;
            Some(spent.expires_at.duration_since(Instant::now()))
        }))
    }
}

#[async_trait]
impl Limits for MemoryState {
    async fn count(&self, counter: &str, max: u32, window: Duration) -> Result<bool, StoreError> {
        Ok(self.counters.update(counter.to_owned(), |counted| {
            let so_far = counted.as_ref().map_or(0, |entry| entry.value);
            if so_far >= max {
                return false;
            }
            counted.get_or_insert_with(|| Entry::new(0, window)).value = so_far + 1;
            true
        }))
    }

    async fn counted(&self, counter: &str) -> Result<u32, StoreError> {
        Ok(self.counters.read(counter, |entry| entry.value).unwrap_or(0))
    }
}

#[async_trait]
impl Presence for MemoryState {
    async fn take_presence(&self, uid: UserId, holder: &Holder, time_to_live: Duration) -> Result<Taken, StoreError> {
        Ok(self.holders.update(uid, |held| {
            if let Some(later) = held.as_ref().filter(|held| held.value.fence > holder.fence) {
                return Taken::Refused(later.value.clone());
            }
            let before = held.replace(Entry::new(holder.clone(), time_to_live)).map(|entry| entry.value);
            Taken::Granted { previous: before.filter(|before| before.fence < holder.fence) }
        }))
    }

    async fn presence(&self, uid: UserId) -> Result<Option<Holder>, StoreError> {
        Ok(self.holders.read(&uid, |entry| entry.value.clone()))
    }

    async fn release_presence(&self, uid: UserId, fence: i64) -> Result<bool, StoreError> {
        Ok(self.holders.update(uid, |held| held.take_if(|entry| entry.value.fence == fence).is_some()))
    }
}

#[async_trait]
impl ProfileCache for MemoryState {
    async fn cached_profile(&self, uid: UserId) -> Result<Option<Profile>, StoreError> {
        Ok(self.profiles.find(uid).map(|profile| Profile::clone(&profile)))
    }

    async fn cached_profile_named(&self, name: &str) -> Result<Option<Profile>, StoreError> {
        Ok(self.profiles.named(name).map(|profile| Profile::clone(&profile)))
    }

    async fn cache_profile(&self, profile: &Profile) -> Result<(), StoreError> {
        self.profiles.keep(profile.clone());
        Ok(())
    }

    async fn forget_profile(&self, uid: UserId) -> Result<(), StoreError> {
        self.profiles.forget(uid);
        Ok(())
    }
}

#[async_trait]
impl Servers for MemoryState {
    async fn announce_server(&self, server: &ServerRecord, time_to_live: Duration) -> Result<(), StoreError> {
        self.servers().insert(server.name.clone(), Entry::new(server.clone(), time_to_live));
        Ok(())
    }

    async fn servers(&self) -> Result<Vec<ServerRecord>, StoreError> {
        Ok(self.servers().values().map(|entry| entry.value.clone()).collect())
    }

    async fn retire_server(&self, name: &str, boot_id: u64) -> Result<(), StoreError> {
        let mut servers = self.servers();
        if servers.get(name).is_some_and(|entry| entry.value.boot_id == boot_id) {
            servers.remove(name);
        }
        Ok(())
    }
}

#[async_trait]
impl Tokens for MemoryState {
    async fn put_token(&self, uid: UserId, token: &str, time_to_live: Duration) -> Result<(), StoreError> {
        self.tokens.update(uid, |held| *held = Some(Entry::new(token.to_owned(), time_to_live)));
        Ok(())
    }

    async fn token(&self, uid: UserId) -> Result<Option<String>, StoreError> {
        Ok(self.tokens.read(&uid, |entry| entry.value.clone()))
    }

    async fn revoke_token(&self, uid: UserId) -> Result<(), StoreError> {
        self.tokens.update(uid, |held| *held = None);
        Ok(())
    }
}
