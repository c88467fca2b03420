//! K1, K3 and K4: servers of ours end, at once or in order, and come back or not.

use std::{collections::BTreeSet, time::Instant};

use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;
use uschat_examples::oracle::LogCheck;

use super::{MOVED, RECOVERED, UNASKED, kill_one};

use crate::{
    harness::{Plan, System, World},
    support::{processes, until},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn k1_chat_servers_are_killed() {
    let system = System::shared(&[]).await;
    let plan = Plan::new("K1").rounds(2).restless(2);
    let rounds = plan.rounds;
    let mut world = World::start(plan, &system.topology.gate(), system.store()).await;
    world.talk();
    let mut moves = vec![0; world.plan.members];
    for round in 1..=rounds {
        world.acknowledged(20).await;
        let (killed, cut) = kill_one(&system, &mut world).await;
        cut.iter().for_each(|member| moves[*member] += 1);
        let took = world.recovered(&format!("K1 round {round}"), killed, MOVED, &cut).await;
        assert!(took < 3 * MOVED, "{took:?}");
        system.all_back().await;
    }
    let report = world.finish().await;
    assert_eq!(report.refusals, [""; 0]);
    assert_eq!(report.sessions_lost, moves, "whose server ends reconnects once, and nobody else");
    system.stop(LogCheck::new().expect(UNASKED, rounds..=rounds)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn k1_a_chat_server_stays_away() {
    let system = System::shared(&[]).await;
    let mut world = World::start(Plan::new("K1 away"), &system.topology.gate(), system.store()).await;
    world.talk();
    for round in 1..=world.plan.rounds {
        world.acknowledged(20).await;
        let (killed, cut, stranger) = replace_one(&system, &mut world).await;
        world.recovered(&format!("K1 away round {round}"), killed, MOVED, &cut).await;
        drop(stranger);
        system.all_back().await;
    }
    let report = world.finish().await;
    assert_eq!(report.refusals, [""; 0]);
    system.stop(LogCheck::new().expect(UNASKED, 1..=u64::MAX)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn k3_gate_status_and_verify_are_killed() {
    let system = System::shared(&[]).await;
    let mut world = World::start(Plan::new("K3"), &system.topology.gate(), system.store()).await;
    let (rounds, mut killed) = (world.plan.rounds, 0);
    world.talk();
    for round in 1..=rounds {
        let chats: BTreeSet<_> = system.chats().iter().map(|chat| chat.pid).collect();
        for process in &processes::children_of(system.topology.pid()) - &chats {
            world.acknowledged(20).await;
            let since = Instant::now();
            processes::signal(process, "KILL").await;
            killed += 1;
            until("it has ended", async || processes::living_of(&[process].into()).is_empty()).await;
            system.topology.until_a_newcomer_gets_in(&format!("n{killed}x")).await;
            let took = since.elapsed();
            println!("K3 round {round}: a newcomer was in after {took:?}");
            assert!(took < 3 * RECOVERED, "{took:?}");
            world.recovered("K3", since, RECOVERED, &[]).await;
        }
    }
    let report = world.finish().await;
    assert_eq!((killed, report.lost_a_session()), (3 * rounds, false), "those who are in do not notice");
    assert_eq!(report.refusals, [""; 0]);
    system.stop(LogCheck::new().expect(UNASKED, killed..=killed)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn k4_all_chat_servers_are_restarted_one_after_the_other() {
    let system = System::shared(&[]).await;
    let mut world = World::start(Plan::new("K4"), &system.topology.gate(), system.store()).await;
    world.talk();
    let mut moves = vec![0; world.plan.members];
    for round in 1..=world.plan.rounds {
        for chat in system.chats() {
            world.acknowledged(20).await;
            let cut = world.members_at(&chat.tcp);
            cut.iter().for_each(|member| moves[*member] += 1);
            let told = Instant::now();
            processes::signal(chat.pid, "TERM").await;
            world.recovered(&format!("K4 round {round}: {}", chat.name), told, MOVED, &cut).await;
            until("another process", async || system.chats().iter().all(|now| now.pid != chat.pid)).await;
            system.all_back().await;
        }
    }
    let report = world.finish().await;
    assert_eq!(report.refusals, [""; 0]);
    assert_eq!(report.sessions_lost, moves, "whose server ends reconnects once, and nobody else");
    system.stop(LogCheck::new()).await;
}

/// Kills a chat server, and has a stranger sit on its port who hangs up on everybody, so that it does not come back.
async fn replace_one(system: &System, world: &mut World) -> (Instant, Vec<usize>, AbortOnDropHandle<()>) {
    loop {
        let before = system.chats();
        let (killed, cut) = kill_one(system, world).await;
        let mut taken = None;
        until("its port is taken, by us or by the next process", async || {
            taken = taken.take().or_else(|| before.iter().find_map(|chat| std::net::TcpListener::bind(&chat.tcp).ok()));
            taken.is_some() || system.chats() != before
        })
        .await;
        if let Some(taken) = taken {
            taken.set_nonblocking(true).unwrap();
            let taken = TcpListener::from_std(taken).unwrap();
            let hanging_up = async move { while taken.accept().await.is_ok() {} };
            return (killed, cut, AbortOnDropHandle::new(tokio::spawn(hanging_up)));
        }
        system.all_back().await;
    }
}
