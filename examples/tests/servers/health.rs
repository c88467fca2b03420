//! What operators look at: health, readiness, metrics and the log as JSON.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::support::{RawClient, Topology, User, in_time, numbers_of, xor_password};

/// A family of metrics: its type, and its samples with their labels.
#[derive(Debug, Default)]
struct Family {
    kind: String,
    samples: Vec<(String, f64)>,
}

impl Family {
    fn sum(&self) -> f64 {
        self.samples.iter().map(|(_, value)| value).sum()
    }
}

async fn request(topology: &Topology, method: Method, path: &str) -> (u16, String) {
    let url = topology.ready.metrics.replace("/metrics", path);
    let response = in_time(path, reqwest::Client::new().request(method, url).send()).await.unwrap();
    (response.status().as_u16(), in_time(path, response.text()).await.unwrap())
}

async fn readiness(topology: &Topology) -> (u16, Value) {
    let (status, body) = request(topology, Method::GET, "/readyz").await;
    (status, serde_json::from_str(&body).unwrap())
}

/// Prometheus' text format, read as strictly as Prometheus does: one TYPE a family, and its samples right behind it.
async fn metrics(topology: &Topology) -> BTreeMap<String, Family> {
    let (status, page) = request(topology, Method::GET, "/metrics").await;
    assert_eq!(status, 200);
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut current = String::new();
    for line in page.lines().filter(|line| !line.is_empty()) {
        if let Some(declared) = line.strip_prefix("# TYPE ") {
            let (name, kind) = declared.split_once(' ').unwrap();
            name.clone_into(&mut current);
            let family = Family { kind: kind.to_owned(), samples: Vec::new() };
            assert!(families.insert(current.clone(), family).is_none(), "{name} is declared twice: {page}");
            continue;
        }
        if line.starts_with('#') {
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) =
            series.split_once('{').map_or((series, ""), |(name, rest)| (name, rest.strip_suffix('}').unwrap()));
        let family = families.get_mut(&current).unwrap_or_else(|| panic!("{line} stands below no TYPE"));
        let parts = if family.kind == "histogram" { &["_bucket", "_sum", "_count"][..] } else { &[""] };
        assert!(parts.iter().any(|part| name == format!("{current}{part}")), "{line} stands below {current}");
        family.samples.push((format!("{name}{{{labels}}}"), value.parse().unwrap()));
    }
    assert!(families.values().all(|family| !family.samples.is_empty()), "{page}");
    families
}

/// What every page has once somebody has logged in and said something.
fn assert_sessions_frames_and_latency(families: &BTreeMap<String, Family>) {
    for (name, kind, least) in [
        ("uschat_sessions_open", "gauge", 2.0),
        ("uschat_frames_received_total", "counter", 4.0),
        ("uschat_frames_sent_total", "counter", 4.0),
        ("uschat_gate_requests_total", "counter", 6.0),
        ("uschat_handler_seconds", "histogram", 1.0),
        ("uschat_store_commits_total", "counter", 1.0),
        ("uschat_store_texts_total", "counter", 1.0),
        ("uschat_store_statements_total", "counter", 8.0),
        ("uschat_store_commit_texts", "histogram", 1.0),
        ("uschat_store_commit_seconds", "histogram", 1.0),
        ("uschat_store_queue_requests", "gauge", 0.0),
    ] {
        let family = families.get(name).unwrap_or_else(|| panic!("{name} is missing: {:?}", families.keys()));
        assert!(family.kind == kind && family.sum() >= least, "{name}: {family:?}");
    }
    let latency = &families["uschat_handler_seconds"].samples;
    assert!(
        latency
            .iter()
            .any(|(sample, value)| sample.contains("_bucket{") && sample.contains("id=\"1017\"") && *value > 0.0)
    );
}

/// Two friends, one of whom has said something; both stay.
async fn talk(topology: &Topology) -> (Vec<User>, [RawClient; 2]) {
    let (ada, bob) = topology.sign_up_friends("ada", "bob").await;
    let ((mut a, _), (b, _)) = (RawClient::log_in(&ada).await, RawClient::log_in(&bob).await);
    assert_eq!(numbers_of(&a.say(&bob, "a1", "something to log").await), [2]);
    (vec![ada, bob], [a, b])
}

/// Every line is an object, and no secret of these users is in it.
fn assert_log(log: &str, users: &[User], codes: &[String]) -> Vec<Value> {
    for secret in
        users.iter().flat_map(|user| [user.password.clone(), xor_password(&user.password), user.token.clone()])
    {
        assert!(!log.contains(&secret), "{secret} is logged");
    }
    // As words: they are so short that a time or a port may contain one.
    let words: BTreeSet<_> = log.split(|c: char| !c.is_alphanumeric()).collect();
    assert!(codes.iter().all(|code| !words.contains(code.as_str())), "a code of {codes:?} is logged");
    let lines = log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")));
    let lines: Vec<Value> = lines.collect();
    assert!(!lines.is_empty() && lines.iter().all(|line| line["level"].is_string() && line["timestamp"].is_string()));
    lines
}

async fn codes(topology: &Topology, users: &[User]) -> Vec<String> {
    let mut codes = Vec::new();
    for user in users {
        codes.push(topology.newest_code(&user.email).await);
    }
    codes
}

#[tokio::test]
async fn one_process_tells_how_it_is() {
    let topology = Topology::start(&["--chats", "1", "--log", "json", "--log-level", "debug"]).await;
    assert_eq!(request(&topology, Method::GET, "/healthz").await, (200, "{\"alive\":true}".to_owned()));
    let sql = json!({ "kind": "sqlite", "reachable": true, "flushed_at_commit": true });
    let state = json!({ "kind": "memory", "reachable": true });
    assert_eq!(readiness(&topology).await, (200, json!({ "ready": true, "sql": sql, "state": state })));
    for path in ["/metrics", "/healthz", "/readyz"] {
        for method in [Method::POST, Method::PUT, Method::DELETE] {
            assert_eq!(request(&topology, method, path).await, (405, String::new()), "{path}");
        }
    }
    for path in ["/", "/metrics/", "/healthz/x", "/dev/outbox", "/../etc/passwd"] {
        assert_eq!(request(&topology, Method::GET, path).await.0, 404, "{path}");
    }

    let (users, clients) = talk(&topology).await;
    assert_sessions_frames_and_latency(&metrics(&topology).await);
    let codes = codes(&topology, &users).await;
    drop(clients);
    let log = topology.directory().join("log");
    let _directory = topology.stop().await;
    let lines = assert_log(&std::fs::read_to_string(log).unwrap(), &users, &codes);
    assert!(lines.iter().all(|line| line.get("process").is_none()), "there is but one");
}

#[tokio::test]
async fn what_is_kept_in_memory_only_is_told() {
    let topology = Topology::start(&["--chats", "1", "--sql", "memory:"]).await;
    let (status, told) = readiness(&topology).await;
    let sql = &told["sql"];
    assert_eq!((status, &told["ready"], &sql["kind"]), (200, &json!(true), &json!("memory")), "{told}");
    assert_eq!((&sql["reachable"], &sql["flushed_at_commit"]), (&json!(true), &json!(false)), "{told}");
    assert!(sql["flush_faults"][0].as_str().unwrap().contains("ends with this process"), "{told}");
}

mod real_server {
    use super::*;
    use crate::support::{
        mariadb::MariaDb,
        redis::RedisServer,
        servers::{execute, new_database, new_redis},
    };

    /// Asks until the answer has this status: how soon a lost connection shows is up to the pools.
    async fn becomes(topology: &Topology, expected: u16) -> Value {
        in_time("the readiness changes", async {
            loop {
                let (status, body) = readiness(topology).await;
                if status == expected {
                    return body;
                }
                sleep(Duration::from_millis(20)).await;
            }
        })
        .await
    }

    #[tokio::test]
    async fn processes_tell_together_how_they_are() {
        let (sql, redis) = (new_database().await, new_redis().await);
        let options = ["--processes", "--sql", &sql, "--redis", &redis, "--log", "json", "--log-level", "debug"];
        let topology = Topology::start(&options).await;
        let names = ["chatserver1", "chatserver2", "gate", "status", "verify"];
        assert_eq!(request(&topology, Method::GET, "/healthz").await, (200, "{\"alive\":true}".to_owned()));
        assert_eq!(request(&topology, Method::POST, "/readyz").await.0, 405);
        assert_eq!(request(&topology, Method::GET, "/").await.0, 404);
        let (status, told) = readiness(&topology).await;
        assert_eq!((status, &told["ready"]), (200, &json!(true)), "{told}");
        assert_eq!(told["processes"].as_object().unwrap().keys().collect::<Vec<_>>(), names);
        for name in names {
            let process = &told["processes"][name];
            assert_eq!(process["state"], json!({ "kind": "redis", "reachable": true }), "{told}");
        }
        for name in ["chatserver1", "chatserver2", "gate"] {
            let sql = json!({ "kind": "mysql", "reachable": true, "flushed_at_commit": true });
            assert_eq!(told["processes"][name]["sql"], sql, "{told}");
        }

        for name in ["status", "verify"] {
            assert!(told["processes"][name].get("sql").is_none(), "{name} keeps nothing in a database: {told}");
        }

        let (users, clients) = talk(&topology).await;
        let families = metrics(&topology).await;
        assert_sessions_frames_and_latency(&families);
        let pools = &families["uschat_pool_connections"];
        assert_eq!(pools.kind, "gauge");
        for name in names {
            let of_process = format!("process=\"{name}\"");
            assert!(pools.samples.iter().any(|(sample, _)| sample.contains(&of_process)), "{name}: {pools:?}");
        }
        for state in ["idle", "in_use", "waiting"] {
            let of_state = format!("state=\"{state}\"");
            assert!(pools.samples.iter().any(|(sample, _)| sample.contains(&of_state)), "{state}: {pools:?}");
        }
        let codes = codes(&topology, &users).await;
        drop(clients);
        let log = topology.directory().join("log");
        let _directory = topology.stop().await;
        let lines = assert_log(&std::fs::read_to_string(log).unwrap(), &users, &codes);
        let told: BTreeSet<_> = lines.iter().map(|line| line["process"].as_str().unwrap()).collect();
        assert_eq!(told, names.into_iter().chain(["topology"]).collect());
    }

    #[tokio::test]
    async fn one_process_tells_of_redis_and_mariadb_too() {
        let (sql, redis) = (new_database().await, new_redis().await);
        let options = ["--sql", &sql, "--redis", &redis, "--log", "json", "--log-level", "debug"];
        let topology = Topology::start(&options).await;
        let (users, clients) = talk(&topology).await;
        let families = metrics(&topology).await;
        assert_sessions_frames_and_latency(&families);
        assert!(
            families["uschat_pool_connections"].samples.iter().any(|(sample, _)| sample.contains("pool=\"redis\""))
        );
        let codes = codes(&topology, &users).await;
        drop(clients);
        let log = topology.directory().join("log");
        let _directory = topology.stop().await;
        assert_log(&std::fs::read_to_string(log).unwrap(), &users, &codes);
    }

    #[tokio::test]
    async fn a_lost_redis_and_a_hasty_mariadb_show() {
        let mariadb = MariaDb::start(&["--innodb-flush-log-at-trx-commit=2"]).await;
        execute(&mariadb.url(""), "CREATE DATABASE uschat").await;
        let mut redis = RedisServer::start().await;
        let (sql, state) = (mariadb.url("uschat"), redis.url());
        let topology = Topology::start(&["--processes", "--chats", "1", "--sql", &sql, "--redis", &state]).await;
        let (status, told) = readiness(&topology).await;
        let gate = &told["processes"]["gate"]["sql"];
        assert_eq!(
            (status, &gate["reachable"], &gate["flushed_at_commit"]),
            (200, &json!(true), &json!(false)),
            "{told}"
        );
        let faults = gate["flush_faults"].to_string();
        assert!(faults.contains("innodb_flush_log_at_trx_commit"), "{faults}");
        let warning = |line: &str| line.contains("WARN") && line.contains("innodb_flush_log_at_trx_commit");
        assert!(topology.log().lines().any(warning), "{}", topology.log());

        let mut ada = topology.sign_up("ada").await;
        redis.kill();
        let told = becomes(&topology, 503).await;
        assert_eq!(told["ready"], false, "{told}");
        let told = &told["processes"]["chatserver1"];
        assert_eq!((&told["state"]["reachable"], &told["sql"]["reachable"]), (&json!(false), &json!(true)), "{told}");
        assert_eq!(request(&topology, Method::GET, "/healthz").await.0, 200, "alive, though of no use");

        redis.restart().await;
        let told = becomes(&topology, 200).await;
        assert!(told["processes"].as_object().unwrap().values().all(|process| process["ready"] == true), "{told}");
        // The new Redis is empty: the chat servers announce themselves with their next heartbeat, two seconds apart.
        let login = json!({ "email": ada.email, "passwd": xor_password(&ada.password) });
        in_time("logins go on", async {
            while topology.post("/user_login", &login).await["error"] != 0 {
                sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        topology.log_in_at_gate(&mut ada).await;
        RawClient::log_in(&ada).await;
    }
}
