//! D1 and D2: the database stops for two seconds, which nobody notices, or stores nothing any more, which everybody is told.

use std::time::{Duration, Instant};

use rand::RngExt;
use tokio::time::sleep;
use uschat_examples::oracle::{Journal, Record, now_us};

use crate::harness::{Friends, Plan, World, behind::Behind, speaker::Speaker};
use crate::support::User;

/// Shorter than the send deadline.
const FREEZE: Duration = Duration::from_secs(2);
/// Texts are refused after this at the latest, and stored again this long after the database is back; asserted with three
/// times as much.
const SEND: Duration = Duration::from_secs(5);
/// Between two texts of one user.
const GAP: Duration = Duration::from_millis(20);

mod real_server {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn nobody_notices_a_database_that_stops_for_two_seconds() {
        let Talk { behind, journal, mut ada, mut ben } = Talk::begin().await;
        let (of_ada, of_ben) = (ada.user.clone(), ben.user.clone());
        let freezing = async {
            sleep(FREEZE / 4).await;
            behind.database().freeze();
            sleep(FREEZE).await;
            behind.database().thaw();
            journal.write(Record::Healed { fault: "D1 frozen".into(), at_us: now_us() });
        };
        tokio::join!(freezing, talk(&mut ada, &of_ben, 2 * FREEZE), talk(&mut ben, &of_ada, 2 * FREEZE));
        let last = |speaker: &Speaker| format!("{}-{}", speaker.user.name, speaker.numbers.len());
        let (last_of_ada, last_of_ben) = (last(&ada), last(&ben));
        tokio::join!(ada.hears(&last_of_ben), ben.hears(&last_of_ada));
        let verdict = behind.holds("D1 frozen for 2 s", &journal, Vec::new()).await;
        assert_eq!((verdict.counts.refused, verdict.counts.reconnects), (0, 0), "{verdict}");
        println!("D1 frozen for {FREEZE:?}: {}", verdict.recoveries[0]);
        assert!(Duration::from_micros(verdict.recoveries[0].all_us.unwrap()) < 3 * SEND, "{verdict}");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_database_that_stores_nothing_is_told_and_recovers_by_itself() {
        let Talk { behind, journal, mut ada, mut ben } = Talk::begin().await;
        let (of_ada, of_ben) = (ada.user.clone(), ben.user.clone());
        let [first, _] = behind.chats();
        ada.say(&of_ben, "before").await;
        behind.backends.rows("SET GLOBAL read_only = 1").await;
        let begin = Instant::now();
        ada.send_many(&of_ben, "refused", 10).await;
        ada.until("refusals", |ada| ada.refusals.len() == 10).await;
        let refused = begin.elapsed();
        ada.until_cut().await;
        assert_eq!(ada.refusals, [3101; 10], "in order, and worth a retry");
        // What is there can still be read.
        ben.hears("before").await;
        let readable = behind.backends.rows("SELECT COUNT(*) FROM chat_message WHERE client_id LIKE 'refused%'").await;
        assert_eq!(readable, ["0"]);

        behind.backends.rows("SET GLOBAL read_only = 0").await;
        let back = Instant::now();
        journal.write(Record::Healed { fault: "D2 read-only".into(), at_us: now_us() });
        ada.log_in_again(&first.tcp).await;
        ada.all_answered().await;
        let recovered = back.elapsed();
        ben.hears("refused-10").await;
        ben.say(&of_ada, "after").await;
        ada.hears("after").await;
        println!("D2: refused after {refused:?}, stored again after {recovered:?}");
        assert!(refused < 3 * SEND, "{refused:?}");
        assert!(recovered < 3 * SEND, "{recovered:?}");
        behind.holds("D2 read-only", &journal, vec![recovered]).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_database_that_cannot_be_reached_for_a_while_is_waited_for() {
        let Talk { behind, journal, mut ada, mut ben } = Talk::begin().await;
        let (of_ada, of_ben) = (ada.user.clone(), ben.user.clone());
        behind.proxy.delay(Duration::from_millis(20));
        ada.say(&of_ben, "slow").await;
        behind.proxy.refuse();
        let answered = async {
            ada.send_many(&of_ben, "waits", 10).await;
            ada.all_answered().await;
        };
        let opening = async {
            sleep(FREEZE).await;
            behind.proxy.allow();
        };
        tokio::join!(answered, opening);
        behind.proxy.delay(Duration::ZERO);
        assert_eq!(ada.refusals, [0; 0]);
        ben.hears("waits-10").await;
        ben.say(&of_ada, "after").await;
        ada.hears("after").await;
        behind.holds("P3 database out of reach for 2 s", &journal, Vec::new()).await;
    }

    /// Connections end in the middle of whatever they are used for, COMMITs and their answers among it.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_database_comes_and_goes_under_load() {
        let behind = Behind::start().await;
        let plan = Plan::new("P3 database comes and goes").rounds(4).members(6, Friends::Ring).restless(1);
        let rounds = plan.rounds;
        let mut world = World::start(plan, &behind.topology.gate(), behind.store()).await;
        world.talk();
        for round in 1..=rounds {
            world.acknowledged(1).await;
            sleep(Duration::from_millis(world.random.random_range(0..200))).await;
            behind.proxy.refuse();
            sleep(Duration::from_millis(world.random.random_range(0..500))).await;
            behind.proxy.allow();
            world.recovered(&format!("P3 round {round}"), Instant::now(), SEND, &[]).await;
        }
        let report = world.finish().await;
        assert_eq!(report.refusals, [""; 0]);
        assert!(
            report.sessions_lost.iter().all(|&lost| lost == 0),
            "it is seen by clients: {:?}",
            report.sessions_lost
        );
        behind.topology.assert_no_panic();
    }
}

/// Ada and ben, each on a server of their own.
struct Talk {
    behind: Behind,
    journal: Journal,
    ada: Speaker,
    ben: Speaker,
}

impl Talk {
    async fn begin() -> Self {
        let behind = Behind::start().await;
        let (ada, ben) = behind.topology.sign_up_friends("ada", "ben").await;
        let ([first, second], journal) = (behind.chats(), Journal::in_memory());
        let ada = Speaker::log_in(&first.tcp, &ada, &journal).await;
        let ben = Speaker::log_in(&second.tcp, &ben, &journal).await;
        Self { behind, journal, ada, ben }
    }
}

/// Says something every 20 ms for so long without waiting for answers, then waits for all of them.
async fn talk(speaker: &mut Speaker, to: &User, length: Duration) {
    let begin = Instant::now();
    let name = speaker.user.name.clone();
    for number in 1.. {
        if begin.elapsed() > length {
            break;
        }
        speaker.send(to, &format!("{name}-{number}")).await;
        let _ = tokio::time::timeout(GAP, async { while speaker.take().await {} }).await;
    }
    speaker.all_answered().await;
}
