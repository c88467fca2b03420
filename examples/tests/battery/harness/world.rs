use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::json;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use uschat_client::MessengerConfig;
use uschat_examples::oracle::{Journal, Record, now_us};
use uschat_proto::chat::UserId;

use super::{Head, Member, Plan, Report, Store, Story, target, words::Words};

use crate::support::{Gate, RawClient, User};

/// Until all texts are answered, and until everybody has caught up, when nothing goes wrong any more.
const SETTLED: Duration = Duration::from_secs(30);

/// Until the servers have written down what reached whom: a heartbeat interval.
const NOTED: Duration = Duration::from_secs(2);

/// The members of a run, what they wrote down, and where the servers store.
#[derive(Debug)]
pub struct World {
    pub plan: Plan,
    /// First those who talk, then those who only listen.
    pub members: Vec<Member>,
    /// For the choices of the test.
    pub random: StdRng,
    pub journal: Journal,
    store: Store,
    file: PathBuf,
    stop: CancellationToken,
    recoveries: Vec<Duration>,
}

impl World {
    /// Signs members up at this gate, makes friends of them and connects them. Nobody talks yet.
    pub async fn start(plan: Plan, gate: &Gate, store: Store) -> Self {
        Self::start_with(plan, gate, store, &MessengerConfig::default()).await
    }

    /// The same with another configuration of the SDK.
    pub async fn start_with(plan: Plan, gate: &Gate, store: Store, config: &MessengerConfig) -> Self {
        println!("{}: USCHAT_BATTERY_SEED={} USCHAT_BATTERY_ROUNDS={}", plan.id, plan.seed, plan.rounds);
        let folder = target("battery");
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join(format!("{}-{}.jsonl", plan.id.replace(' ', "-"), plan.seed));
        let journal = Journal::create(&file).unwrap();
        // Several runs may follow each other on the same servers.
        static RUNS: AtomicU64 = AtomicU64::new(1);
        let run = RUNS.fetch_add(1, Ordering::Relaxed);
        let names: Vec<_> = (1..=plan.members + plan.restless).map(|number| format!("m{run}-{number}")).collect();
        let mut users = join_all(names.iter().map(|name| gate.sign_up(name))).await;
        for (one, other) in plan.pairs() {
            befriend(&users[one], &users[other]).await;
        }
        let restless = users.split_off(plan.members);
        let connecting = users.into_iter().map(|user| Member::connect(&gate.0, user, &journal, config));
        let mut members = join_all(connecting).await;
        let mut random = StdRng::seed_from_u64(plan.seed);
        let stop = CancellationToken::new();
        for user in restless {
            let seed = random.random();
            members.push(Member::restless(&gate.0, user, &journal, config, (seed, stop.clone())));
        }
        Self { plan, members, random, journal, store, file, stop, recoveries: Vec::new() }
    }

    /// From here on everybody talks to their friends, until [`World::finish`].
    pub fn talk(&mut self) {
        let pairs = self.plan.pairs();
        let ids: Vec<UserId> = self.members.iter().map(|member| member.uid).collect();
        for (number, member) in self.members.iter_mut().enumerate() {
            let friends = pairs.iter().filter_map(|(one, other)| match number {
                number if number == *one => Some(ids[*other]),
                number if number == *other => Some(ids[*one]),
                _ => None,
            });
            let words = Words::new(&member.user.name, self.plan.seed.wrapping_add(1 + number as u64));
            member.talk(friends.collect(), words, (self.plan.window, self.plan.pause), self.stop.clone());
        }
    }

    /// Waits until each member who talks was acknowledged so many more requests.
    pub async fn acknowledged(&self, more: usize) {
        let waits = self.members.iter().filter(|member| member.talks()).map(|member| {
            let all = member.story().acknowledged.len() + more;
            member.until("more acknowledgements", SETTLED, move |story| story.acknowledged.len() >= all)
        });
        join_all(waits).await;
    }

    /// The numbers of the members who talk and are connected to the server that the SDK calls so.
    pub fn members_at(&self, server: &str) -> Vec<usize> {
        let at = |number: &usize| self.members[*number].story().server() == Some(server);
        (0..self.plan.members).filter(at).collect()
    }

    /// Waits until everybody was acknowledged something after `since`, those whom the fault disconnected (`cut`) after a
    /// new login; returns the longest time that took. `deadline` is the system's; three times as much is allowed.
    pub async fn recovered(&mut self, fault: &str, since: Instant, deadline: Duration, cut: &[usize]) -> Duration {
        let at_us = now_us() - u64::try_from(since.elapsed().as_micros()).unwrap();
        self.journal.write(Record::Healed { fault: fault.into(), at_us });
        let recovery = async |number: usize| {
            let member = &self.members[number];
            let (mut moment, is_cut) = (None, cut.contains(&number));
            member
                .until(fault, 3 * deadline, |story| {
                    let since = if is_cut { story.connected_after(since) } else { Some(since) };
                    moment = since.and_then(|since| story.acknowledged_after(since));
                    moment.is_some()
                })
                .await;
            moment.unwrap_or(since) - since
        };
        let took = join_all((0..self.plan.members).map(recovery)).await;
        let longest = took.iter().copied().max().unwrap_or_default();
        println!("{fault}: everybody is acknowledged again after {longest:?}");
        self.recoveries.extend(took);
        longest
    }

    /// Ends the run; what does not hold fails the test. Returns the report, for what a test asks besides.
    pub async fn finish(self) -> Report {
        let file = self.file.clone();
        let report = self.finish_unjudged().await;
        assert!(report.verdict.holds(), "seed {}, {}: {}", report.plan.seed, file.display(), report.verdict);
        fs::remove_file(file).unwrap();
        report.add_to_table();
        report
    }

    /// Ends the run and leaves the verdict to the test.
    pub async fn finish_unjudged(mut self) -> Report {
        self.stop.cancel();
        join_all(self.members.iter_mut().map(|member| member.fall_silent(SETTLED))).await;
        self.caught_up().await;
        for member in &self.members {
            let gave_up = member.story().gave_up.clone();
            assert!(gave_up.is_none(), "{}: {gave_up:?}", member.user.name);
        }
        let talkers = self.members.iter().filter(|member| member.talks());
        let sessions_lost = talkers.map(|member| member.story().stretches.len() - 1).collect();
        let refusals = self.members.iter().flat_map(|member| member.story().refusals.clone()).collect();
        let talkers: Vec<_> = self.members.iter().filter(|member| member.talks()).map(|member| member.uid).collect();
        join_all(self.members.into_iter().map(Member::close)).await;
        delivered(&self.store, &talkers).await;
        self.store.dump(&self.journal).await;
        let verdict = self.journal.evidence().unwrap().judge(10).unwrap();
        let mut recoveries = self.recoveries;
        recoveries.sort_unstable();
        Report { plan: self.plan, verdict, recoveries, sessions_lost, refusals }
    }

    /// Waits until every member was shown the last text of each of its friends.
    async fn caught_up(&self) {
        let heads = self.store.heads().await;
        let catching_up = async |member: &Member| {
            let last: Vec<_> = heads.iter().filter(|head| head.viewer == member.uid).collect();
            let what = format!("has seen {last:?}");
            let has_seen = |story: &Story, head: &Head| story.seen.get(&(head.thread, head.sender)) >= Some(&head.seq);
            member.until(&what, SETTLED, |story| last.iter().all(|head| has_seen(story, head))).await;
        };
        join_all(self.members.iter().map(catching_up)).await;
    }
}

/// Waits until the servers have noted that these have everything of their friends: nothing of it is told again. A program
/// that crashed with a text in its hands never said so, and its cursor does.
async fn delivered(store: &Store, to: &[UserId]) {
    let noting = async {
        // Rows of a database: there is no event to await.
        while !undelivered(store, to).await.is_empty() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    if timeout(3 * NOTED, noting).await.is_err() {
        panic!("not noted as delivered within three times {NOTED:?}: {:#?}", undelivered(store, to).await);
    }
}

/// The last texts that are not noted as delivered, and what is noted.
async fn undelivered(store: &Store, to: &[UserId]) -> Vec<(Head, Option<i64>)> {
    let (heads, delivered) = (store.heads().await, store.delivered().await);
    let noted = heads
        .into_iter()
        .filter(|head| to.contains(&head.viewer))
        .map(|head| (head, delivered.get(&(head.viewer, head.thread)).copied()));
    noted.filter(|(head, noted)| noted.is_none_or(|seq| seq < head.seq)).collect()
}

/// Makes friends of two users, in sessions that end with it.
async fn befriend(applicant: &User, approver: &User) {
    let (mut one, _) = RawClient::log_in(applicant).await;
    let (mut other, _) = RawClient::log_in(approver).await;
    let applied = one.ask(1009, &json!({ "touid": approver.uid })).await;
    assert_eq!(applied["error"], 0, "{applied}");
    let approved = other.ask(1013, &json!({ "touid": applicant.uid })).await;
    assert_eq!(approved["error"], 0, "{approved}");
}
