//! Names and shapes of keys, as plain commands see them: originals depend on them.

use std::time::Duration;

use serde_json::{Value, json};
use uschat_pool::redis::redis::cmd;
use uschat_proto::chat::{Profile, UserId};
use uschat_server::store::state::{
    CodeVerdict, Codes, Limits, Presence, ProfileCache, ServerRecord, Servers, Taken, Tokens,
};

use crate::redis::support::{Plain, RedisServer, holder, open};

const TTL: Duration = Duration::from_secs(60);
const ADA: UserId = UserId(1001);

fn ends_within(pttl: i64, most: Duration) -> bool {
    pttl > 0 && i128::from(pttl) <= i128::try_from(most.as_millis()).unwrap()
}

#[tokio::test]
async fn tokens_and_codes_are_plain_text_with_an_expiry() {
    let server = RedisServer::start().await;
    let (state, plain) = (open(&server).await, Plain::to(&server).await);
    state.put_token(ADA, "token", TTL).await.unwrap();
    state.code_or_insert("a@b.c", "1a2b", TTL).await.unwrap();
    assert_eq!(plain.keys().await, ["code_a@b.c", "utoken_1001"]);
    assert_eq!(plain.get("utoken_1001").await.as_deref(), Some("token"));
    assert_eq!(plain.get("code_a@b.c").await.as_deref(), Some("1a2b"));
    for key in ["utoken_1001", "code_a@b.c"] {
        assert!(ends_within(plain.pttl(key).await, TTL), "{key}");
    }
}

#[tokio::test]
async fn what_originals_wrote_without_an_expiry_is_valid() {
    let server = RedisServer::start().await;
    let (state, plain) = (open(&server).await, Plain::to(&server).await);
    plain.set("utoken_1001", "token").await;
    plain.set("code_a@b.c", "1a2b").await;
    assert_eq!(state.token(ADA).await.unwrap().as_deref(), Some("token"));
    assert_eq!(state.code_or_insert("a@b.c", "ffff", TTL).await.unwrap(), "1a2b");
    assert_eq!(state.check_code("a@b.c", "ffff", 3).await.unwrap(), CodeVerdict::Wrong);
    assert!(plain.pttl("uschat:tries:a@b.c").await > 0);
    assert_eq!(state.check_code("a@b.c", "1a2b", 3).await.unwrap(), CodeVerdict::Right);
    assert_eq!(state.spend_code("a@b.c", "1a2b").await.unwrap(), Some(Duration::from_secs(600)));
    assert_eq!(plain.get("code_a@b.c").await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guesses_sent_at_once_get_no_more_tries() {
    let server = RedisServer::start().await;
    let (state, plain) = (std::sync::Arc::new(open(&server).await), Plain::to(&server).await);
    state.code_or_insert("a@b.c", "right", TTL).await.unwrap();
    let mut guesses = tokio::task::JoinSet::new();
    for guess in 0..64 {
        let state = state.clone();
        guesses.spawn(async move { state.check_code("a@b.c", &format!("{guess:04}"), 3).await.unwrap() });
    }
    let verdicts = guesses.join_all().await;
    assert_eq!(verdicts.iter().filter(|verdict| **verdict == CodeVerdict::Wrong).count(), 3, "{verdicts:?}");
    assert_eq!(state.check_code("a@b.c", "right", 3).await.unwrap(), CodeVerdict::Missing);
    // The same code by chance once more begins at 0.
    state.code_or_insert("a@b.c", "right", TTL).await.unwrap();
    assert_eq!(state.check_code("a@b.c", "wrong", 3).await.unwrap(), CodeVerdict::Wrong);
    assert_eq!(state.check_code("a@b.c", "right", 3).await.unwrap(), CodeVerdict::Right);
    assert!(ends_within(plain.pttl("uschat:tries:a@b.c").await, TTL));
}

#[tokio::test]
async fn a_lease_has_shadows_that_end_with_it() {
    let server = RedisServer::start().await;
    let (state, plain) = (open(&server).await, Plain::to(&server).await);
    state.take_presence(ADA, &holder("one", u64::MAX, 7), TTL).await.unwrap();
    assert_eq!(plain.keys().await, ["uip_1001", "uschat:lease:1001", "usession_1001"]);
    assert_eq!(plain.get("uip_1001").await.as_deref(), Some("one"));
    assert_eq!(plain.get("usession_1001").await, Some(u64::MAX.to_string()));
    let lease: Value = serde_json::from_str(&plain.get("uschat:lease:1001").await.unwrap()).unwrap();
    assert_eq!(lease, json!({"server": "one", "session": u64::MAX, "fence": 7}));
    for key in plain.keys().await {
        assert!(ends_within(plain.pttl(&key).await, TTL), "{key}");
    }
    // A renewal renews all three, and heals what was lost.
    plain.run::<i64>(cmd("DEL").arg("uip_1001")).await;
    state.take_presence(ADA, &holder("one", u64::MAX, 7), 2 * TTL).await.unwrap();
    assert_eq!(plain.keys().await.len(), 3);
    for key in plain.keys().await {
        let pttl = plain.pttl(&key).await;
        assert!(ends_within(pttl, 2 * TTL) && !ends_within(pttl, TTL), "{key}");
    }
    assert!(state.release_presence(ADA, 7).await.unwrap());
    assert!(plain.keys().await.is_empty());
}

#[tokio::test]
async fn the_session_before_leaves_the_shadows_of_the_next_alone() {
    let server = RedisServer::start().await;
    let plain = Plain::to(&server).await;
    let (one, two) = (open(&server).await, open(&server).await);
    one.take_presence(ADA, &holder("one", 1, 7), TTL).await.unwrap();
    two.take_presence(ADA, &holder("two", 2, 8), TTL).await.unwrap();
    assert_eq!(one.take_presence(ADA, &holder("one", 1, 7), TTL).await.unwrap(), Taken::Refused(holder("two", 2, 8)));
    assert!(!one.release_presence(ADA, 7).await.unwrap());
    assert_eq!(plain.get("uip_1001").await.as_deref(), Some("two"));
    assert_eq!(plain.get("usession_1001").await.as_deref(), Some("2"));
}

#[tokio::test]
async fn shadows_are_written_under_the_lock_of_the_originals() {
    let server = RedisServer::start().await;
    let (state, plain) = (open(&server).await, Plain::to(&server).await);
    // An original that holds the lock is waited for …
    plain.run::<()>(cmd("SET").arg("lock:lock_1001").arg("original").arg("PX").arg(150)).await;
    let start = std::time::Instant::now();
    state.take_presence(ADA, &holder("one", 1, 7), TTL).await.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(100), "{:?}", start.elapsed());
    assert_eq!(plain.get("lock:lock_1001").await, None);
    // … but not for ever, and keeps its lock.
    plain.set("lock:lock_1001", "original").await;
    assert!(state.release_presence(ADA, 7).await.unwrap());
    assert_eq!(plain.get("lock:lock_1001").await.as_deref(), Some("original"));
    assert_eq!(plain.get("uip_1001").await, None);
}

#[tokio::test]
async fn profiles_have_the_shape_of_the_originals_without_secrets() {
    let server = RedisServer::start().await;
    let (state, plain) = (open(&server).await, Plain::to(&server).await);
    let profile = Profile { uid: ADA, name: "ada".into(), nick: "Ada".into(), sex: 1, ..Profile::default() };
    state.cache_profile(&profile).await.unwrap();
    for key in ["ubaseinfo_1001", "nameinfo_ada"] {
        let cached: Value = serde_json::from_str(&plain.get(key).await.unwrap()).unwrap();
        let expected =
            json!({"uid": 1001, "name": "ada", "email": "", "nick": "Ada", "desc": "", "sex": 1, "icon": ""});
        assert_eq!(cached, expected, "{key}");
        assert!(ends_within(plain.pttl(key).await, Duration::from_secs(600)), "{key}");
    }
    state.forget_profile(ADA).await.unwrap();
    assert!(plain.keys().await.is_empty());
}

#[tokio::test]
async fn profiles_of_originals_are_read_without_their_secrets() {
    let server = RedisServer::start().await;
    let (state, plain) = (open(&server).await, Plain::to(&server).await);
    let styled = "{\n   \"desc\" : \"\",\n   \"email\" : \"a@b.c\",\n   \"name\" : \"ada\",\n   \"nick\" : \"Ada\",\n   \
                  \"pwd\" : \"secret\",\n   \"sex\" : 0,\n   \"uid\" : 1001\n}\n";
    plain.set("ubaseinfo_1001", styled).await;
    plain.set("nameinfo_ada", styled).await;
    let expected = Profile { uid: ADA, name: "ada".into(), nick: "Ada".into(), ..Profile::default() };
    assert_eq!(state.cached_profile(ADA).await.unwrap(), Some(expected.clone()));
    assert_eq!(state.cached_profile_named("ada").await.unwrap(), Some(expected));
    // They would show what they say for ever.
    for key in ["ubaseinfo_1001", "nameinfo_ada"] {
        assert!(ends_within(plain.pttl(key).await, Duration::from_secs(600)), "{key}");
    }
    // What is not readable, or of somebody else, is a miss.
    for text in ["", "{", "[]", "{\"uid\":\"1001\"}", "{\"uid\":1002,\"name\":\"bob\"}"] {
        plain.set("ubaseinfo_1001", text).await;
        plain.set("nameinfo_ada", text).await;
        assert_eq!(state.cached_profile(ADA).await.unwrap(), None, "{text}");
        assert_eq!(state.cached_profile_named("ada").await.unwrap(), None, "{text}");
    }
}

#[tokio::test]
async fn a_limit_ends_with_its_window() {
    let server = RedisServer::start().await;
    let (state, plain) = (open(&server).await, Plain::to(&server).await);
    state.count("mail:a@b.c", 5, TTL).await.unwrap();
    state.count("mail:a@b.c", 5, 10 * TTL).await.unwrap();
    assert_eq!(plain.get("uschat:limit:mail:a@b.c").await.as_deref(), Some("2"));
    assert!(ends_within(plain.pttl("uschat:limit:mail:a@b.c").await, TTL));
}

pub(super) fn record(name: &str, boot_id: u64) -> ServerRecord {
    ServerRecord {
        name: name.into(),
        boot_id,
        client_host: "127.0.0.1".into(),
        client_port: 8090,
        peer_address: "127.0.0.1:50055".into(),
        sessions: 12,
        draining: false,
    }
}

#[tokio::test]
async fn original_status_servers_read_the_load_of_ours() {
    let server = RedisServer::start().await;
    let (state, plain) = (open(&server).await, Plain::to(&server).await);
    plain.run::<i64>(cmd("HSET").arg("logincount").arg("original").arg("3")).await;
    state.announce_server(&record("one", u64::MAX), TTL).await.unwrap();
    assert_eq!(plain.hget("logincount", "one").await.as_deref(), Some("12"));
    state.announce_server(&ServerRecord { draining: true, ..record("one", u64::MAX) }, TTL).await.unwrap();
    assert_eq!(plain.hget("logincount", "one").await, None);
    state.announce_server(&record("one", u64::MAX), TTL).await.unwrap();
    state.retire_server("one", 1).await.unwrap();
    assert_eq!(plain.hget("logincount", "one").await.as_deref(), Some("12"));
    state.retire_server("one", u64::MAX).await.unwrap();
    assert_eq!(plain.hget("logincount", "one").await, None);
    assert_eq!(plain.hget("uschat:servers", "one").await, None);
    assert_eq!(plain.hget("logincount", "original").await.as_deref(), Some("3"));
}

#[tokio::test]
async fn a_server_that_crashed_is_dropped_with_its_load() {
    let server = RedisServer::start().await;
    let (state, plain) = (open(&server).await, Plain::to(&server).await);
    plain.run::<i64>(cmd("HSET").arg("logincount").arg("original").arg("3")).await;
    plain.run::<i64>(cmd("HSET").arg("uschat:servers").arg("broken").arg("no JSON")).await;
    state.announce_server(&record("crashed", 1), Duration::from_millis(100)).await.unwrap();
    state.announce_server(&record("one", 2), TTL).await.unwrap();
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert_eq!(state.servers().await.unwrap(), [record("one", 2)]);
    let counted: Vec<String> = plain.run(cmd("HKEYS").arg("logincount")).await;
    assert_eq!(counted, ["original", "one"]);
    let known: Vec<String> = plain.run(cmd("HKEYS").arg("uschat:servers")).await;
    assert_eq!(known, ["one"]);
}
