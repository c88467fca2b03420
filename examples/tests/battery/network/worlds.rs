//! N1, N2, P2, P3 and R2 under load: members of the SDK behind bad networks, judged by the oracle.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use rand::{RngExt, seq::IndexedRandom};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use uschat_client::MessengerConfig;
use uschat_examples::{
    chaos::{Chaos, ChaosConfig, Direction, End, Fault},
    oracle::Usage,
};

use super::{installation::Installation, outage::Outage};

use crate::{
    harness::{Friends, Plan, Store, World},
    support::{Topology, in_time, servers::redis_commands, until},
};

/// Bad networks are no reason to give a connection up.
const SLOW: [(&str, Fault); 3] = [
    ("200 ms, give or take 100", Fault::Delay { base: Duration::from_millis(200), jitter: Duration::from_millis(100) }),
    ("64 kbit/s", Fault::Bandwidth { bytes_per_second: 8_000 }),
    ("8 bytes at a time", Fault::Dribble { bytes: 8, pause: Duration::from_millis(1) }),
];
/// From the end of a fault until everybody is acknowledged again.
const RECOVERED: Duration = Duration::from_secs(5);
/// Most transactions of one server that store texts at a time.
const TRANSACTIONS: u64 = 10;

/// N2 with a client that tries again: whatever byte the connection ends after, a text is acknowledged exactly once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n2_members_whose_connections_are_cut_after_any_byte_lose_and_double_nothing() {
    // Clients are told another address of loopback, where proxies stand on the servers' ports.
    let topology = Topology::start(&["--advertise", "127.0.0.2"]).await;
    let mut proxies = Vec::new();
    for chat in &topology.ready.chats {
        let home: SocketAddr = chat.tcp.parse().unwrap();
        let config = ChaosConfig::to(home).listen(SocketAddr::from(([127, 0, 0, 2], home.port())));
        proxies.push(Chaos::start(config, CancellationToken::new()).await.unwrap());
    }
    let plan = Plan::new("N2").rounds(60).members(2, Friends::Pairs).load(8, Duration::from_millis(5));
    let mut config = MessengerConfig::default();
    config.backoff = Duration::from_millis(1)..=Duration::from_millis(50);
    let store = Store::Sqlite(topology.directory().join("data/uschat.db"));
    let mut world = World::start_with(plan, &topology.gate(), store, &config).await;
    world.talk();
    world.acknowledged(5).await;
    for round in 0..world.plan.rounds {
        // A login takes some 150 bytes one way and some 400 the other; a text or its answer some hundreds more.
        let after = world.random.random_range(0..1_200);
        let direction = *[Direction::ToServer, Direction::ToClient].choose(&mut world.random).unwrap();
        let end = *[End::Fin, End::Reset].choose(&mut world.random).unwrap();
        let cuts: Vec<_> = proxies.iter().map(|proxy| proxy.snapshot().cuts).collect();
        for proxy in &proxies {
            proxy.set(direction, [Fault::Cut { after, end }]);
        }
        // The live connections, which are further already, and then new ones at this byte.
        until("connections are cut", async || {
            let new = proxies.iter().zip(&cuts).map(|(proxy, cuts)| proxy.snapshot().cuts - cuts);
            new.sum::<u64>() >= 4
        })
        .await;
        let healed = Instant::now();
        proxies.iter().for_each(Chaos::heal);
        world.recovered(&format!("cut {round} after {after}"), healed, RECOVERED, &[]).await;
    }
    let report = world.finish().await;
    assert!(report.verdict.counts.reconnects >= report.plan.rounds, "they were cut off");
    topology.assert_no_panic();
}

mod real_server {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn n1_members_behind_slow_networks_stay_connected() {
        let plan = Plan::new("N1").members(4, Friends::Pairs).load(4, Duration::from_millis(250));
        let (installation, mut world) = start(plan).await;
        for _ in 0..world.plan.rounds {
            for (name, fault) in SLOW {
                for node in &installation.chats {
                    node.clients.set(Direction::Both, [fault]);
                }
                let begin = Instant::now();
                world.acknowledged(8).await;
                println!("{name}: eight requests each after {:?}", begin.elapsed());
            }
            // Shorter than anybody's deadline.
            for node in &installation.chats {
                node.clients.set(Direction::Both, [Fault::Stall]);
            }
            sleep(Duration::from_secs(4)).await;
            let healed = Instant::now();
            installation.chats.iter().for_each(|node| node.clients.heal());
            world.recovered("a stall of 4 s", healed, RECOVERED, &[]).await;
        }
        let report = world.finish().await;
        let counts = report.verdict.counts;
        assert_eq!((counts.reconnects, counts.refused), (0, 0), "no storm of time-outs: {:?}", report.refusals);
        installation.assert_no_panic();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn p2_p3_r2_members_outlive_servers_that_reach_nobody() {
        let plan = Plan::new("P2 P3 R2").rounds(6).load(8, Duration::from_millis(20));
        let (installation, mut world) = start(plan).await;
        let usage = || installation.chats.iter().map(|node| Usage::of(node.server.pid()).unwrap());
        let before: Vec<_> = usage().collect();
        let redis = format!("{}/0", installation.redis.url());
        for round in 0..world.plan.rounds {
            let node = installation.chats.choose(&mut world.random).unwrap();
            let outage = *Outage::BOTH.choose(&mut world.random).unwrap();
            let time = Duration::from_millis(world.random.random_range(500..4_000));
            // Each kind in turn, so that few rounds see all of them.
            let kind = round % 6;
            let name = ["peers", "both peers", "Redis", "database", "database, long", "slow Redis"]
                [usize::try_from(kind).unwrap()];
            println!("{name}: {outage:?} for {time:?}");
            match kind {
                0 => outage.during(&[&node.peers], time).await,
                1 => outage.during(&[&installation.chats[0].peers, &installation.chats[1].peers], time).await,
                2 => outage.during(&[&node.redis], time).await,
                3 => outage.during(&[&node.sql], time).await,
                // Longer than a text may wait: refused, closed, sent again.
                4 => outage.during(&[&node.sql], time + Duration::from_secs(6)).await,
                _ => drop(in_time("Redis wakes up", redis_commands(&redis, &["DEBUG SLEEP 3"])).await),
            }
            world.recovered(name, Instant::now(), RECOVERED, &[]).await;
        }
        world.finish().await;
        // The members have gone, so there is less than before, not only no more; but each transaction that stores texts may have
        // got a connection that it had not yet.
        for (after, before) in usage().zip(before) {
            println!("{before:?}, then {after:?}");
            assert!(after.open_files <= before.open_files + TRANSACTIONS && after.threads <= before.threads);
        }
        installation.assert_no_panic();
    }
}

/// An installation whose members talk.
async fn start(plan: Plan) -> (Installation, World) {
    let installation = Installation::start(plan.seed).await;
    let store = Store::MariaDb(installation.sql.clone());
    let mut world = World::start(plan, &installation.gate, store).await;
    world.talk();
    world.acknowledged(5).await;
    (installation, world)
}
