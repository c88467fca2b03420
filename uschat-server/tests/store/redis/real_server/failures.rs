//! Servers that die, stall or forget.

use std::time::{Duration, Instant};

use uschat_pool::redis::redis::cmd;
use uschat_proto::chat::UserId;
use uschat_server::store::{
    StoreError,
    redis::{RedisOptions, RedisState},
    state::{Codes, Limits, Presence, ServerRecord, Servers, Taken, Tokens},
};

use crate::redis::support::{Plain, RedisServer, cluster, holder, open, patient, until};

const TTL: Duration = Duration::from_secs(60);
const ADA: UserId = UserId(1001);

/// Deadlines short enough to see them pass.
fn impatient() -> RedisOptions {
    RedisOptions {
        connect_deadline: Duration::from_secs(1),
        command_deadline: Duration::from_millis(500),
        ..RedisOptions::default()
    }
}

/// Several calls at once, so that more than one connection of the pool is in use.
async fn read_tokens(state: &RedisState) -> Vec<Result<Option<String>, StoreError>> {
    let (a, b, c, d) = tokio::join!(state.token(ADA), state.token(ADA), state.token(ADA), state.token(ADA));
    vec![a, b, c, d]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_costs_the_calls_while_it_is_down_and_none_later() {
    let mut server = RedisServer::start().await;
    let state = RedisState::open(&server.url(), impatient()).await.unwrap();
    assert!(read_tokens(&state).await.iter().all(Result::is_ok));
    server.kill();
    for outcome in read_tokens(&state).await {
        assert!(matches!(outcome, Err(StoreError::Unavailable(_))), "{outcome:?}");
    }
    until("the error says why", async || state.ping().await.unwrap_err().to_string().contains("refused")).await;
    server.restart().await;
    let back = Instant::now();
    until("a call succeeds", async || state.ping().await.is_ok()).await;
    assert!(back.elapsed() < Duration::from_secs(1), "{:?}", back.elapsed());
    // All connections were replaced, not only the one that was asked.
    until("all succeed", async || read_tokens(&state).await.iter().all(Result::is_ok)).await;
    assert!(back.elapsed() < Duration::from_millis(1_500), "{:?}", back.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stalls_is_given_up_and_found_again() {
    let server = RedisServer::start().await;
    let state = RedisState::open(&server.url(), impatient()).await.unwrap();
    assert!(read_tokens(&state).await.iter().all(Result::is_ok));
    server.freeze();
    for _ in 0..3 {
        let start = Instant::now();
        for outcome in read_tokens(&state).await {
            assert!(matches!(outcome, Err(StoreError::Unavailable(_))), "{outcome:?}");
        }
        assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    }
    server.thaw();
    let back = Instant::now();
    until("a call succeeds", async || state.ping().await.is_ok()).await;
    assert!(back.elapsed() < Duration::from_millis(1_500), "{:?}", back.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_restarts_is_found_again() {
    let mut nodes = cluster().await;
    let state = RedisState::open(&format!("{}/?cluster=true", nodes[0].url()), impatient()).await.unwrap();
    let put = async |uid| state.put_token(UserId(uid), "token", TTL).await.is_ok();
    let put_all = async || {
        let mut outcomes = Vec::new();
        for uid in 0..30 {
            outcomes.push(put(uid).await);
        }
        outcomes
    };
    assert!(put_all().await.iter().all(|put| *put));
    nodes[1].kill();
    let outcomes = put_all().await;
    assert!(outcomes.iter().any(|put| !put), "a third of the slots is gone");
    // It comes back with the nodes.conf it had.
    nodes[1].restart().await;
    until("all slots are served", async || put_all().await.iter().all(|put| *put)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stalls_costs_its_own_slots_only() {
    let nodes = cluster().await;
    let state = RedisState::open(&format!("{}/?cluster=true", nodes[0].url()), impatient()).await.unwrap();
    let plain = Plain::to(&nodes[2]).await;
    let owner = async |uid: i32| {
        let slot: u16 = plain.run(cmd("CLUSTER").arg("KEYSLOT").arg(format!("utoken_{uid}"))).await;
        usize::from(slot / 5_462)
    };
    let (mut stalled, mut others) = (Vec::new(), Vec::new());
    for uid in 0..40 {
        if owner(uid).await == 1 { stalled.push(UserId(uid)) } else { others.push(UserId(uid)) }
    }
    assert!(stalled.len() > 3 && others.len() > 10);
    nodes[1].freeze();
    let start = Instant::now();
    assert!(state.put_token(stalled[0], "token", TTL).await.is_err());
    for &uid in &others {
        state.put_token(uid, "token", TTL).await.unwrap();
    }
    // Each would cost a deadline if it had to wait for the one that stalls; a busy machine takes a while, too.
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    nodes[1].thaw();
    let all = async || {
        let mut all = true;
        for &uid in stalled.iter().chain(&others) {
            all &= state.put_token(uid, "token", TTL).await.is_ok();
        }
        all
    };
    until("all slots are served", all).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_that_moves_is_followed() {
    let nodes = cluster().await;
    let state = RedisState::open(&format!("{}/?cluster=true", nodes[0].url()), patient()).await.unwrap();
    let mut plain = Vec::new();
    for node in &nodes {
        plain.push(Plain::to(node).await);
    }
    let slot: u16 = plain[0].run(cmd("CLUSTER").arg("KEYSLOT").arg("utoken_1001")).await;
    let mut ids: Vec<String> = Vec::new();
    for node in &plain {
        ids.push(node.run(cmd("CLUSTER").arg("MYID")).await);
    }
    for to in [0, 1, 2, 0] {
        // First the one that takes it, or nobody would.
        for node in [to, (to + 1) % 3, (to + 2) % 3] {
            let set = cmd("CLUSTER").arg("SETSLOT").arg(slot).arg("NODE").arg(&ids[to]).take();
            plain[node].run::<()>(&set).await;
        }
        state.put_token(ADA, "token", TTL).await.unwrap();
        assert_eq!(state.token(ADA).await.unwrap().as_deref(), Some("token"));
        assert_eq!(plain[to].get("utoken_1001").await.as_deref(), Some("token"));
        state.revoke_token(ADA).await.unwrap();
    }
    // On its way from 0 to 1: what is new is kept by 1 already.
    let mut half_way = cmd("CLUSTER").arg("SETSLOT").arg(slot).take();
    plain[1].run::<()>(half_way.clone().arg("IMPORTING").arg(&ids[0])).await;
    plain[0].run::<()>(half_way.arg("MIGRATING").arg(&ids[1])).await;
    state.put_token(ADA, "token", TTL).await.unwrap();
    assert_eq!(state.token(ADA).await.unwrap().as_deref(), Some("token"));
    let kept: usize = plain[1].run(&cmd("DBSIZE")).await;
    assert_eq!(kept, 1);
}

#[tokio::test]
async fn a_flush_costs_tokens_and_nothing_that_comes_back_by_itself() {
    let server = RedisServer::start().await;
    let (state, plain) = (open(&server).await, Plain::to(&server).await);
    let record = ServerRecord {
        name: "one".into(),
        boot_id: 1,
        client_host: "127.0.0.1".into(),
        client_port: 8090,
        peer_address: "127.0.0.1:50055".into(),
        sessions: 1,
        draining: false,
    };
    let renew = async || {
        state.announce_server(&record, TTL).await.unwrap();
        state.take_presence(ADA, &holder("one", 5, 7), TTL).await.unwrap()
    };
    state.put_token(ADA, "token", TTL).await.unwrap();
    renew().await;
    plain.run::<()>(&cmd("FLUSHALL")).await;
    plain.run::<()>(cmd("SCRIPT").arg("FLUSH")).await;
    assert_eq!(state.token(ADA).await.unwrap(), None);
    assert_eq!(state.presence(ADA).await.unwrap(), None);
    assert_eq!(renew().await, Taken::Granted { previous: None });
    assert_eq!(state.presence(ADA).await.unwrap(), Some(holder("one", 5, 7)));
    assert_eq!(state.servers().await.unwrap(), [record]);
    assert_eq!(plain.get("uip_1001").await.as_deref(), Some("one"));
    assert_eq!(plain.hget("logincount", "one").await.as_deref(), Some("1"));
}

#[tokio::test]
async fn what_a_crashed_server_leaves_ends_by_itself() {
    let server = RedisServer::start().await;
    let plain = Plain::to(&server).await;
    let crashed = open(&server).await;
    crashed.take_presence(ADA, &holder("crashed", 5, 7), Duration::from_millis(200)).await.unwrap();
    drop(crashed);
    until("lease and shadows are gone", async || plain.keys().await.is_empty()).await;
}

#[tokio::test]
async fn a_key_of_another_type_is_an_error_that_shows_no_secret() {
    let server = RedisServer::start().await;
    let (state, plain) = (open(&server).await, Plain::to(&server).await);
    for key in ["code_a@b.c", "utoken_1001", "uschat:limit:x", "uschat:lease:1001"] {
        plain.run::<i64>(cmd("HSET").arg(key).arg("field").arg("secret")).await;
    }
    let errors = [
        state.code_or_insert("a@b.c", "secret", TTL).await.unwrap_err(),
        state.spend_code("a@b.c", "secret").await.unwrap_err(),
        state.token(ADA).await.unwrap_err(),
        state.count("x", 1, TTL).await.map(drop).unwrap_err(),
        state.presence(ADA).await.map(drop).unwrap_err(),
    ];
    for error in errors {
        assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
    }
    plain.set("uschat:limit:y", "secret").await;
    let error = state.counted("y").await.unwrap_err();
    assert!(matches!(error, StoreError::Corrupt(_)), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
    // An unreadable lease is as good as lost.
    plain.set("uschat:lease:1002", "no JSON").await;
    assert_eq!(state.presence(UserId(1002)).await.unwrap(), None);
    let taken = state.take_presence(UserId(1002), &holder("one", 1, 1), TTL).await.unwrap();
    assert_eq!(taken, Taken::Granted { previous: None });
}

#[tokio::test]
async fn a_command_that_the_server_does_not_know_shows_no_secret() {
    let server = RedisServer::start_with(&["--rename-command", "EVALSHA", "", "--rename-command", "SET", ""]).await;
    let state = open(&server).await;
    let errors = [
        state.put_token(ADA, "secret", TTL).await.unwrap_err(),
        state.code_or_insert("a@b.c", "secret", TTL).await.unwrap_err(),
    ];
    for error in errors {
        assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
    }
}
