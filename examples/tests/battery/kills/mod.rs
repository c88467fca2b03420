//! Servers, the database and Redis are killed under load, and nothing that was acknowledged is lost (`harness`).

mod real_server;

use std::time::{Duration, Instant};

use crate::harness::{Front, Plan, Store, World};
use crate::support::Topology;

/// Until the clients of a killed server are on another one.
const MOVED: Duration = Duration::from_secs(5);

/// One process with everything in it, on SQLite.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_installation_is_killed() {
    let mut topology = Topology::start(&[]).await;
    let front = Front::start(&topology.ready.gate).await;
    let store = Store::Sqlite(topology.directory().join("data/uschat.db"));
    let plan = Plan::new("SQLite").rounds(2).restless(2);
    let (rounds, everybody) = (plan.rounds, (0..plan.members).collect::<Vec<_>>());
    let mut world = World::start(plan, front.gate(), store).await;
    world.talk();
    for round in 1..=rounds {
        world.acknowledged(20).await;
        let killed = Instant::now();
        let directory = topology.crash().await;
        topology = Topology::start_in(directory, &[], &[]).await;
        front.move_to(&topology.ready.gate);
        world.recovered(&format!("SQLite round {round}"), killed, MOVED, &everybody).await;
    }
    let report = world.finish().await;
    assert_eq!(report.refusals, [""; 0]);
    topology.assert_no_panic();
    topology.stop().await;
}
