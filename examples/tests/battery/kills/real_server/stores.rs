//! D1, R1 and A8: the database is killed in the middle of batches, Redis forgets everything; and all of it at once.

use std::time::{Duration, Instant};

use tokio::time::{MissedTickBehavior, interval, timeout};
use uschat_examples::oracle::LogCheck;

use super::{MOVED, RECOVERED, UNASKED, kill_one};

use crate::{
    harness::{Plan, Story, System, World},
    support::until,
};

/// As long as texts wait for a database that is away, before they are refused.
const SEND_DEADLINE: Duration = Duration::from_secs(5);
/// As long as a lease lives; by then Redis knows again who is where.
const LEASE: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d1_the_database_is_killed_in_the_middle_of_batches() {
    let mut system = System::start(&[]).await;
    // The restless ones sync all the time.
    let plan = Plan::new("D1 kill").rounds(2).restless(2);
    let rounds = plan.rounds;
    let mut world = World::start(plan, &system.topology.gate(), system.store()).await;
    world.talk();
    let mut longest = Duration::ZERO;
    for round in 1..=rounds {
        world.acknowledged(20).await;
        let killed = system.kill_database().await;
        let back = system.start_database().await;
        longest = longest.max(back - killed);
        println!("D1 kill round {round}: away for {:?}", back - killed);
        world.recovered(&format!("D1 kill round {round}"), back, RECOVERED, &[]).await;
    }
    let report = world.finish().await;
    assert_eq!(report.refusals, [""; 0]);
    // On a machine too busy to start a database in time there is nothing to say.
    if longest < SEND_DEADLINE - Duration::from_secs(1) {
        assert!(!report.lost_a_session(), "an outage shorter than the send deadline is not seen");
    }
    system.stop(LogCheck::new()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d1_the_database_is_away_for_longer_than_a_text_may_wait() {
    let mut system = System::start(&[]).await;
    let plan = Plan::new("D1 away").restless(1);
    let rounds = plan.rounds;
    let mut world = World::start(plan, &system.topology.gate(), system.store()).await;
    world.talk();
    for round in 1..=rounds {
        world.acknowledged(20).await;
        let killed = system.kill_database().await;
        for member in world.members.iter().filter(|member| member.talks()) {
            let lost = |story: &Story| story.stretches.last().is_some_and(|last| last.ended_after(killed));
            member.until("its texts are refused", 3 * SEND_DEADLINE, lost).await;
        }
        println!("D1 away round {round}: all refused after {:?}", killed.elapsed());
        let back = system.start_database().await;
        world.recovered(&format!("D1 away round {round}"), back, RECOVERED, &[]).await;
    }
    let report = world.finish().await;
    assert_eq!(report.refusals, [""; 0], "each of them was sent again");
    system.stop(LogCheck::new()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r1_redis_forgets_everything() {
    let mut system = System::start(&[]).await;
    let mut world = World::start(Plan::new("R1").restless(1), &system.topology.gate(), system.store()).await;
    world.talk();
    for round in 1..=world.plan.rounds {
        for fault in ["FLUSHALL", "restart"] {
            world.acknowledged(20).await;
            let begin = Instant::now();
            match fault {
                "FLUSHALL" => system.backends.redis::<()>(&["FLUSHALL"]).await,
                _ => system.redis().restart().await,
            }
            until("Redis knows again who is where", async || presence_is_known(&system, &world).await).await;
            let took = begin.elapsed();
            println!("R1 {fault} round {round}: presence after {took:?}");
            assert!(took < 3 * LEASE, "{took:?}");
            world.recovered(&format!("R1 {fault} round {round}"), begin, LEASE, &[]).await;
        }
    }
    let report = world.finish().await;
    assert_eq!(report.refusals, [""; 0]);
    system.stop(LogCheck::new()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a8_nothing_is_left_behind() {
    let mut system = System::start(&[]).await;
    let run = async |system: &mut System, id| {
        let mut world = World::start(Plan::new(id).restless(2), &system.topology.gate(), system.store()).await;
        world.talk();
        for _ in 0..world.plan.rounds {
            world.acknowledged(20).await;
            system.backends.redis::<()>(&["FLUSHALL"]).await;
            system.kill_database().await;
            let back = system.start_database().await;
            world.recovered(id, back, RECOVERED, &[]).await;
        }
        world.finish().await;
    };
    run(&mut system, "A8 before").await;
    let before = system.usage();
    run(&mut system, "A8 after").await;
    let mut growth = Vec::new();
    let settles = until("as little is held as before", async || {
        growth = system.usage().growth_since(&before);
        growth.is_empty()
    });
    if timeout(3 * RECOVERED, settles).await.is_err() {
        panic!("{growth:?}");
    }
    println!("A8: {before:?} before, {:?} after", system.usage());
    system.stop(LogCheck::new()).await;
}

/// A chat server every two seconds, and in the middle both stores.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_is_killed_again_and_again() {
    let mut system = System::start(&[]).await;
    let plan = Plan::new("K1 D1 R1").rounds(3).varied();
    println!("{plan:?}");
    let rounds = plan.rounds;
    let mut world = World::start(plan, &system.topology.gate(), system.store()).await;
    world.talk();
    world.acknowledged(10).await;
    let mut beats = interval(Duration::from_secs(2));
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for round in 0..rounds {
        beats.tick().await;
        kill_one(&system, &mut world).await;
        if round == rounds / 2 {
            system.backends.redis::<()>(&["FLUSHALL"]).await;
            system.kill_database().await;
            system.start_database().await;
        }
    }
    system.all_back().await;
    world.recovered("everything", Instant::now(), MOVED, &[]).await;
    let report = world.finish().await;
    assert_eq!(report.refusals, [""; 0]);
    system.stop(LogCheck::new().expect(UNASKED, rounds..=u64::MAX)).await;
}

/// Whether Redis says of every member where they are.
async fn presence_is_known(system: &System, world: &World) -> bool {
    for member in &world.members {
        let (place, session) = (format!("uip_{}", member.uid), format!("usession_{}", member.uid));
        if system.backends.redis::<usize>(&["EXISTS", &place, &session]).await < 2 {
            return false;
        }
    }
    true
}
