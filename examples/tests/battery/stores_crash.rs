//! K2: a chat server dies before a COMMIT reaches the database, between the COMMIT and its answer, and after the
//! acknowledgement. And the proof that the oracle would see it if an acknowledgement came before the COMMIT.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use rand::RngExt;
use uschat_examples::oracle::{Journal, Kind, Rule};

use crate::harness::{Friends, Plan, Report, World, behind::Behind, speaker::Speaker};
use crate::support::{Chat, processes, until};

/// A lost hint is found within a heartbeat interval; asserted with three times as much.
const INTERVAL: Duration = Duration::from_secs(2);
/// Until the clients of a killed server are on another one.
const MOVED: Duration = Duration::from_secs(5);
/// Until texts flow again when the database is back.
const RECOVERED: Duration = Duration::from_secs(5);
/// Texts that are on their way at a time.
const WINDOW: usize = 10;

mod real_server {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_crash_before_the_commit_stores_nothing() {
        let mut crash = Crash::prepare().await;
        let hold = crash.behind.proxy.hold("text cut-1");
        crash.ada.send_many(&crash.ben.user, "cut", WINDOW).await;
        let held = hold.reached().await;
        crash.kill().await;
        held.cut();
        crash.ada.until_cut().await;
        assert!(crash.ada.numbers.is_empty(), "{:?}", crash.ada.numbers);
        assert_eq!(crash.stored().await, HashMap::new());
        crash.ada_goes_on("cut").await;
        crash.finish("K2 before the COMMIT").await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_crash_between_commit_and_acknowledgement_loses_nothing() {
        let mut crash = Crash::prepare().await;
        let hold = crash.behind.proxy.hold("text mute-1");
        crash.ada.send_many(&crash.ben.user, "mute", WINDOW).await;
        hold.reached().await.swallow_the_answer().await;
        crash.kill().await;
        let died = Instant::now();
        crash.ada.until_cut().await;
        assert!(crash.ada.numbers.is_empty(), "{:?}", crash.ada.numbers);
        // Nobody told the other server, and nobody asks again.
        let stored = crash.stored().await;
        assert!(stored.contains_key("mute-1"), "{stored:?}");
        for id in stored.keys() {
            crash.ben.hears(id).await;
        }
        println!("K2: what nobody told of was found {:?} after the crash", died.elapsed());
        assert!(died.elapsed() < 3 * INTERVAL, "{:?}", died.elapsed());
        crash.ada_goes_on("mute").await;
        for (id, number) in stored {
            assert_eq!(crash.ada.numbers[&id], number, "{id}");
        }
        crash.finish("K2 between COMMIT and acknowledgement").await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_crash_after_the_acknowledgement_loses_nothing() {
        let mut crash = Crash::prepare().await;
        crash.ada.send_many(&crash.ben.user, "told", WINDOW).await;
        crash.ada.until("the first acknowledgement", |ada| ada.numbers.contains_key("told-1")).await;
        crash.kill().await;
        let died = Instant::now();
        crash.ada.until_cut().await;
        let acknowledged = crash.ada.numbers.clone();
        for id in acknowledged.keys() {
            crash.ben.hears(id).await;
        }
        assert!(died.elapsed() < 3 * INTERVAL, "{:?}", died.elapsed());
        let stored = crash.stored().await;
        for (id, number) in acknowledged {
            assert_eq!(stored.get(&id), Some(&number), "{id}");
        }
        crash.ada_goes_on("told").await;
        crash.finish("K2 after the acknowledgement").await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn an_acknowledgement_before_its_commit_would_be_seen() {
        let plan = Plan::new("K2 honest").members(4, Friends::Ring);
        database_crashes(plan.clone(), false).await;
        let lying = database_crashes(Plan { id: "K2 lying", ..plan }, true).await.verdict;
        println!("planted: {} of {} acknowledged texts lost", lying.count(Kind::Lost), lying.counts.acknowledged);
        assert!(lying.broken(Rule::A1) > 0 && lying.count(Kind::Lost) > 0, "{lying}");
    }

    /// At a point of its own each time, while everybody talks.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn crashes_around_commits_under_load() {
        let behind = Behind::start().await;
        let plan = Plan::new("K2 under load").rounds(3).members(4, Friends::Ring);
        let rounds = plan.rounds;
        let mut world = World::start(plan, &behind.topology.gate(), behind.store()).await;
        world.talk();
        for round in 1..=rounds {
            world.acknowledged(10).await;
            // Somebody who is connected, and their server.
            let victim = world.random.random_range(0..world.plan.members);
            let is_theirs = |chat: &Chat| world.members_at(&chat.tcp).contains(&victim);
            let Some(chat) = behind.chats().into_iter().find(is_theirs) else { panic!("everybody is back") };
            let (cut, after_commit) = (world.members_at(&chat.tcp), world.random.random());
            let hold = behind.proxy.hold(&format!("{}-", world.members[victim].user.name));
            let held = hold.reached().await;
            if after_commit {
                held.swallow_the_answer().await;
                kill(&chat).await;
            } else {
                kill(&chat).await;
                held.cut();
            }
            let killed = Instant::now();
            world.recovered(&format!("K2 round {round}"), killed, MOVED, &cut).await;
            until("the killed server is back", async || behind.chats().iter().all(|now| now.pid != chat.pid)).await;
        }
        world.finish().await;
        behind.topology.assert_no_panic();
    }
}

/// Ada on the server that will die, ben on the other one.
struct Crash {
    behind: Behind,
    journal: Journal,
    ada: Speaker,
    ben: Speaker,
    first: Chat,
    second: Chat,
}

impl Crash {
    async fn prepare() -> Self {
        let behind = Behind::start().await;
        let (ada, ben) = behind.topology.sign_up_friends("ada", "ben").await;
        let ([first, second], journal) = (behind.chats(), Journal::in_memory());
        let ada = Speaker::log_in(&first.tcp, &ada, &journal).await;
        let ben = Speaker::log_in(&second.tcp, &ben, &journal).await;
        Self { behind, journal, ada, ben, first, second }
    }

    async fn kill(&self) {
        kill(&self.first).await;
    }

    /// What is stored under the ids of clients.
    async fn stored(&self) -> HashMap<String, i64> {
        let rows =
            self.behind.backends.rows("SELECT client_id, seq FROM chat_message WHERE client_id IS NOT NULL").await;
        let pair = |row: &String| row.split_once('|').map(|(id, number)| (id.to_owned(), number.parse().unwrap()));
        rows.iter().filter_map(pair).collect()
    }

    /// She sends everything again at the other server, and ben hears all of it.
    async fn ada_goes_on(&mut self, name: &str) {
        self.ada.log_in_again(&self.second.tcp).await;
        self.ada.all_answered().await;
        self.ben.hears(&format!("{name}-{WINDOW}")).await;
    }

    async fn finish(self, id: &'static str) {
        let verdict = self.behind.holds(id, &self.journal, Vec::new()).await;
        assert_eq!(verdict.counts.acknowledged, WINDOW as u64, "{verdict}");
    }
}

async fn kill(chat: &Chat) {
    processes::signal(chat.pid, "KILL").await;
}

/// Everybody talks while the database is killed and started again; with a liar in front of it, as if it acknowledged before
/// it flushes.
async fn database_crashes(plan: Plan, lie: bool) -> Report {
    let mut behind = Behind::start().await;
    let mut world = World::start(plan, &behind.topology.gate(), behind.store()).await;
    world.talk();
    world.acknowledged(10).await;
    if lie {
        behind.proxy.lie(Duration::from_millis(300));
        world.acknowledged(10).await;
    }
    behind.crash_the_database().await;
    behind.proxy.be_honest();
    world.recovered("the database was killed", Instant::now(), RECOVERED, &[]).await;
    // Beyond the numbers that were lost, so that everybody has caught up some time.
    world.acknowledged(50).await;
    if lie { world.finish_unjudged().await } else { world.finish().await }
}
