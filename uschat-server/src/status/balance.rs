//! Which chat server a login gets.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::store::state::ServerRecord;

/// Picks the least loaded server and remembers what it handed out.
#[derive(Debug)]
pub(super) struct Balance {
    memory: Duration,
    handed: Mutex<Handed>,
}

#[derive(Debug, Default)]
struct Handed {
    by_name: HashMap<String, Tally>,
    picks: u64,
}

/// What one server got since its announcement changed.
#[derive(Debug)]
struct Tally {
    boot_id: u64,
    sessions: u32,
    since: Instant,
    handed: u32,
    last_pick: u64,
}

impl Balance {
    pub(super) fn new(memory: Duration) -> Self {
        Self { memory, handed: Mutex::default() }
    }

    /// Picks among the servers alive now. Of equally loaded ones, the one picked longest ago.
    pub(super) fn pick(&self, alive: Vec<ServerRecord>) -> Option<ServerRecord> {
        let now = Instant::now();
        let mut handed = self.handed.lock().unwrap_or_else(PoisonError::into_inner);
        handed.by_name.retain(|name, _| alive.iter().any(|server| server.name == *name));

        let candidates = alive.into_iter().filter(|server| !server.draining);
        let (_, picked) = candidates
            .map(|server| (handed.burden(&server, now, self.memory), server))
            .min_by_key(|(burden, _)| *burden)?;

        handed.picks += 1;
        let pick = handed.picks;
        let tally = handed.by_name.entry(picked.name.clone()).or_insert_with(|| Tally::new(&picked, now));
        tally.handed = tally.handed.saturating_add(1);
        tally.last_pick = pick;
        Some(picked)
    }
}

impl Handed {
    /// What to compare servers by: known and expected sessions, then the age of the last pick.
    fn burden(&mut self, server: &ServerRecord, now: Instant, memory: Duration) -> (u64, u64) {
        let Some(tally) = self.by_name.get_mut(&server.name) else { return (server.sessions.into(), 0) };
        let announced_since = tally.boot_id != server.boot_id || tally.sessions != server.sessions;
        if announced_since || now.duration_since(tally.since) >= memory {
            *tally = Tally { last_pick: tally.last_pick, ..Tally::new(server, now) };
        }
        (u64::from(server.sessions) + u64::from(tally.handed), tally.last_pick)
    }
}

impl Tally {
    fn new(server: &ServerRecord, now: Instant) -> Self {
        Self { boot_id: server.boot_id, sessions: server.sessions, since: now, handed: 0, last_pick: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(name: &str, sessions: u32) -> ServerRecord {
        ServerRecord {
            name: name.into(),
            boot_id: 1,
            client_host: "127.0.0.1".into(),
            client_port: 8090,
            peer_address: "127.0.0.1:50055".into(),
            sessions,
            draining: false,
        }
    }

    fn picks(balance: &Balance, alive: &[ServerRecord], times: usize) -> HashMap<String, usize> {
        let mut counted = HashMap::new();
        for _ in 0..times {
            *counted.entry(balance.pick(alive.to_vec()).unwrap().name).or_default() += 1;
        }
        counted
    }

    #[test]
    fn a_burst_evens_out_what_was_uneven() {
        let balance = Balance::new(Duration::from_secs(10));
        let counted = picks(&balance, &[server("a", 10), server("b", 0), server("c", 4)], 16);
        assert_eq!(counted, HashMap::from([("b".into(), 10), ("c".into(), 6)]));
    }

    #[test]
    fn equal_servers_take_turns() {
        let balance = Balance::new(Duration::from_secs(10));
        assert_eq!(
            picks(&balance, &[server("a", 3), server("b", 3)], 10),
            HashMap::from([("a".into(), 5), ("b".into(), 5)])
        );
        // Also where each pick is followed by an announcement that shows it.
        let (mut alive, balance) = ([server("a", 0), server("b", 0)], Balance::new(Duration::from_secs(10)));
        let order: Vec<String> = (0..4)
            .map(|_| {
                let picked = balance.pick(alive.to_vec()).unwrap().name;
                alive.iter_mut().for_each(|server| server.sessions = if server.sessions == 7 { 8 } else { 7 });
                picked
            })
            .collect();
        assert_eq!(order, ["a", "b", "a", "b"]);
    }

    #[test]
    fn an_announcement_replaces_what_was_guessed() {
        let balance = Balance::new(Duration::from_secs(10));
        assert_eq!(picks(&balance, &[server("a", 0), server("b", 5)], 5), HashMap::from([("a".into(), 5)]));
        // Nobody came: "a" announces one session, not five.
        assert_eq!(picks(&balance, &[server("a", 1), server("b", 5)], 4), HashMap::from([("a".into(), 4)]));
        // A new start of "a" has not even that one.
        let restarted = ServerRecord { boot_id: 2, ..server("a", 1) };
        assert_eq!(picks(&balance, &[restarted, server("b", 5)], 4), HashMap::from([("a".into(), 4)]));
    }

    #[tokio::test(start_paused = true)]
    async fn logins_that_never_came_are_forgotten() {
        let balance = Balance::new(Duration::from_secs(10));
        assert_eq!(picks(&balance, &[server("a", 0), server("b", 3)], 3), HashMap::from([("a".into(), 3)]));
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(balance.pick(vec![server("a", 0), server("b", 1)]).unwrap().name, "a");
    }

    #[test]
    fn draining_servers_get_nobody_and_dead_ones_no_memory() {
        let balance = Balance::new(Duration::from_secs(10));
        let draining = ServerRecord { draining: true, ..server("a", 0) };
        assert_eq!(balance.pick(vec![draining.clone(), server("b", 9)]).unwrap().name, "b");
        assert_eq!(balance.pick(vec![draining]), None);
        assert!(balance.handed.lock().unwrap().by_name.is_empty());
    }
}
