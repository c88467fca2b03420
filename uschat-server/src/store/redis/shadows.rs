//! What originals read and write instead of a lease: `uip_`, `usession_`, and their lock around the two.

use std::time::Duration;

use tokio::time::Instant;
use uschat_pool::redis::redis::cmd;
use uschat_proto::chat::UserId;
use uuid::Uuid;

use super::{
    RedisState,
    commands::{REMOVE_IF, Script, millis},
};
use crate::store::{StoreError, state::Holder};

/// How long a login or a release waits for the lock. Originals hold it for a few round trips.
const LOCK_WAIT: Duration = Duration::from_millis(300);
/// Between two attempts: Redis does not tell who waits for a key. Originals try every millisecond.
const LOCK_POLL: Duration = Duration::from_millis(5);
/// When Redis removes the lock of a holder that died, as originals do.
const LOCK_SECONDS: u64 = 10;

/// Writes ARGV[1] if the key is missing or holds it already; answers what else it holds.
static RENEW: Script = Script::new(
    "local held = redis.call('GET', KEYS[1])
     if held and held ~= ARGV[1] then return held end
     redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
     return false",
);

impl RedisState {
    /// The original server that holds a user, if one does.
    pub(super) async fn original(&self, uid: UserId) -> Result<Option<Holder>, StoreError> {
        if self.originals.is_empty() {
            return Ok(None);
        }
        let named: Option<String> = self.commands.run(cmd("GET").arg(uip(uid))).await?;
        Ok(named.and_then(|name| self.as_original(name)))
    }

    fn as_original(&self, server: String) -> Option<Holder> {
        self.originals.contains(&server).then_some(Holder { server, session: 0, fence: 0 })
    }

    /// After a login, unless a later one has taken the lease meanwhile. A shadow that could not be written appears with
    /// the next renewal, so a failure is only reported.
    pub(super) async fn write_shadows(&self, uid: UserId, holder: &Holder, time_to_live: Duration) {
        let writing = async {
            if self.lease(uid).await?.is_none_or(|held| held.fence != holder.fence) {
                return Ok(());
            }
            let (server, session) = (holder.server.clone(), holder.session.to_string());
            let time_to_live = millis(time_to_live);
            let write =
                |key, value| cmd("SET").arg::<String>(key).arg::<String>(value).arg("PX").arg(&time_to_live).take();
            let (uip, usession) = (write(uip(uid), server), write(usession(uid), session));
            tokio::try_join!(self.commands.run::<()>(&uip), self.commands.run::<()>(&usession)).map(drop)
        };
        report(uid, self.locked(uid, writing).await);
    }

    /// Answers with the original server that holds the user now. A failure is only reported, as above.
    pub(super) async fn renew_shadows(&self, uid: UserId, holder: &Holder, time_to_live: Duration) -> Option<Holder> {
        let (uip, usession) = (uip(uid), usession(uid));
        let (session, time_to_live) = (holder.session.to_string(), millis(time_to_live));
        let (server, session) = ([holder.server.as_str(), &time_to_live], [session.as_str(), &time_to_live]);
        let renewed = tokio::try_join!(
            self.commands.script::<Option<String>>(&RENEW, &uip, &server),
            self.commands.script::<Option<String>>(&RENEW, &usession, &session),
        );
        match renewed {
            Ok((other, _)) => other.and_then(|name| self.as_original(name)),
            Err(error) => {
                report(uid, Err(error));
                None
            }
        }
    }

    /// After a release. What is not removed ends by itself.
    pub(super) async fn remove_shadows(&self, uid: UserId, holder: &Holder) {
        let removing = async {
            let (uip, usession, session) = (uip(uid), usession(uid), holder.session.to_string());
            let (server, session) = ([holder.server.as_str()], [session.as_str()]);
            tokio::try_join!(
                self.commands.script::<i64>(&REMOVE_IF, &uip, &server),
                self.commands.script::<i64>(&REMOVE_IF, &usession, &session),
            )
            .map(drop)
        };
        report(uid, self.locked(uid, removing).await);
    }

    /// Takes back a shadow written for a lease that turned out to be somebody else's.
    pub(super) async fn remove_uip(&self, uid: UserId, holder: &Holder) {
        report(uid, self.commands.script::<i64>(&REMOVE_IF, &uip(uid), &[&holder.server]).await.map(drop));
    }

    /// Does `work` under the originals' lock of the user, or without it if it does not become free in time.
    async fn locked(&self, uid: UserId, work: impl Future<Output = Result<(), StoreError>>) -> Result<(), StoreError> {
        let (key, mine) = (format!("lock:lock_{uid}"), Uuid::new_v4().to_string());
        let take = cmd("SET").arg(&key).arg(&mine).arg("NX").arg("EX").arg(LOCK_SECONDS).take();
        let until = Instant::now() + LOCK_WAIT;
        let mut locked = self.commands.run::<bool>(&take).await?;
        while !locked && Instant::now() < until {
            tokio::time::sleep(LOCK_POLL).await;
            locked = self.commands.run(&take).await?;
        }
        let outcome = work.await;
        if locked {
            let _: i64 = self.commands.script(&REMOVE_IF, &key, &[&mine]).await?;
        }
        outcome
    }
}

fn report(uid: UserId, outcome: Result<(), StoreError>) {
    if let Err(error) = outcome {
        tracing::warn!(%uid, %error, "cannot tell original servers where a user is");
    }
}

fn uip(uid: UserId) -> String {
    format!("uip_{uid}")
}

fn usession(uid: UserId) -> String {
    format!("usession_{uid}")
}
