//! `load` against a running topology.

use serde_json::Value;

use crate::harness::{json, load};
use crate::support::Topology;

const SHORT: [&str; 8] = ["--pairs", "3", "--window", "8", "--duration", "0.5", "--warm-up", "0.1"];

/// Runs `load` on the topology and gives the JSON it wrote; it must have ended well.
async fn measure(topology: &Topology, arguments: &[&str]) -> Value {
    let (ready, file) = (topology.ready_file(), topology.directory().join("result.json"));
    let files = ["--ready-file", ready.to_str().unwrap(), "--json", file.to_str().unwrap()];
    let outcome = load(&[arguments, &files].concat()).await;
    assert_eq!((outcome.status, outcome.stderr.as_str()), (Some(0), ""), "{outcome:?}");
    json(&file)
}

#[track_caller]
fn assert_sound(stretch: &Value) {
    let counts = &stretch["counts"];
    for what in ["lost", "doubled", "reordered", "unanswered"] {
        assert_eq!(counts[what], 0, "{counts}");
    }
    assert_eq!(counts["refused"], Value::Object(serde_json::Map::new()));
    assert!(counts["sent"].as_u64().unwrap() > 10 && counts["sent"] == counts["delivered"], "{counts}");
    assert_eq!(counts["sent"], counts["acknowledged"]);
}

#[tokio::test]
async fn a_closed_loop_between_two_servers_has_all_figures() {
    let topology = Topology::start(&[]).await;
    let plot = topology.directory().join("plot.html");
    let more = ["--placement", "other", "--plot", plot.to_str().unwrap()];
    let result = measure(&topology, &[&SHORT[..], &more].concat()).await;
    for (key, value) in [("pairs", 3), ("window", 8), ("size_bytes", 64), ("seed", 1)] {
        assert_eq!(result[key], value, "{key}");
    }
    assert_eq!((result["placement"].as_str(), result["duration_s"].as_f64()), (Some("other"), Some(0.5)));
    let stretch = &result["stretches"][0];
    assert_sound(stretch);
    assert_eq!((stretch["loop"].as_str(), &stretch["wanted_per_s"]), (Some("closed"), &Value::Null));
    for track in ["acknowledgement", "delivery"] {
        let latency = &stretch[track];
        let values = ["p50_us", "p90_us", "p99_us", "p99_9_us", "max_us"].map(|key| latency[key].as_u64().unwrap());
        assert!(values[0] > 0 && values.is_sorted(), "{latency}");
        let buckets = latency["buckets"].as_array().unwrap().iter();
        assert_eq!(buckets.map(|bucket| bucket["count"].as_u64().unwrap()).sum::<u64>(), latency["count"]);
    }
    let rate = stretch["acknowledged_per_s"].as_f64().unwrap();
    let counted = stretch["acknowledged_in_each_second"][0].as_u64().unwrap();
    assert!(rate > 0.0 && (rate * 0.5 - counted as f64).abs() < 1.0, "{rate} {counted}");
    // Two chat servers, one process.
    let processes = stretch["processes"].as_array().unwrap();
    assert_eq!(processes.len(), 1);
    assert_eq!(processes[0]["pid"], topology.pid());
    // Times in /proc have a grain of 10 ms, which these may not have reached.
    assert!(processes[0]["cpu_us_per_text"].is_number() && stretch["generator_cores"].is_number(), "{stretch}");

    let page = std::fs::read_to_string(plot).unwrap();
    assert_eq!(page.matches("<svg").count(), 2);
    assert!(page.contains("<polyline") && page.contains("<rect") && !page.contains("<script") && !page.contains("NaN"));

    // The users of the first run are used again.
    assert_sound(&measure(&topology, &SHORT).await["stretches"][0]);
    topology.assert_no_panic();
}

#[tokio::test]
async fn a_part_of_the_rate_is_a_closed_loop_and_then_an_open_one() {
    let topology = Topology::start(&["--sql", "memory:"]).await;
    let result = measure(&topology, &[&SHORT[..], &["--rate", "50%", "--placement", "same"]].concat()).await;
    let [closed, open] = result["stretches"].as_array().unwrap().as_slice() else { panic!("{result}") };
    assert_sound(closed);
    assert_sound(open);
    assert_eq!((closed["loop"].as_str(), open["loop"].as_str()), (Some("closed"), Some("open")));
    let reached = closed["acknowledged_per_s"].as_f64().unwrap();
    assert!((open["wanted_per_s"].as_f64().unwrap() - reached / 2.0).abs() < 1.0);
}

#[tokio::test]
async fn idle_sessions_are_held_and_measured() {
    let topology = Topology::start(&["--sql", "memory:"]).await;
    let result = measure(&topology, &["--pairs", "0", "--idle", "5", "--duration", "0.1"]).await;
    assert_eq!((result["idle"]["sessions"].as_u64(), result["stretches"].as_array().unwrap().len()), (Some(5), 0));
    let memory = &result["idle"]["processes"][0];
    assert_eq!(memory["pid"], topology.pid());
    assert!(memory["resident_bytes_after"].as_u64().unwrap() > 1_000_000, "{memory}");
}

#[tokio::test]
async fn texts_are_compared_with_bare_inserts() {
    let topology = Topology::start(&[]).await;
    let (ready, file) = (topology.ready_file(), topology.directory().join("ratio.json"));
    let sql = format!("sqlite:{}", topology.directory().join("data/uschat.db").display());
    let options = ["--sql", &sql, "--ready-file", ready.to_str().unwrap(), "--json", file.to_str().unwrap()];
    let outcome = load(&[&["ratio", "--rounds", "2"][..], &SHORT, &options].concat()).await;
    assert_eq!((outcome.status, outcome.stderr.as_str()), (Some(0), ""), "{outcome:?}");
    let result = json(&file);
    assert_eq!(result["rows_per_transaction"], 24);
    let rounds = result["rounds"].as_array().unwrap();
    assert_eq!(rounds.len(), 2);
    for round in rounds {
        let value = |key: &str| round[key].as_f64().unwrap();
        assert!(value("texts_per_s") > 0.0 && value("rows_per_s") > 0.0);
        assert!((value("texts_per_s") / value("rows_per_s") - value("ratio")).abs() < 1e-9);
    }
    assert!(result["median"]["cpu_us_per_row"].is_number(), "{result}");
    assert!(outcome.stdout.contains("median") && outcome.stdout.contains("0 lost, 0 doubled, 0 out of order"));

    let outcome = load(&["insert", "--sql", &sql, "--batch", "10", "--duration", "0.2", "--warm-up", "0"]).await;
    assert_eq!(outcome.status, Some(0), "{outcome:?}");
    assert!(outcome.stdout.starts_with("10 rows a transaction: "), "{outcome:?}");
    topology.assert_no_panic();
}

mod real_server {
    use super::{SHORT, load};
    use crate::support::servers::{new_database, rows};

    #[tokio::test]
    async fn bare_inserts_into_mariadb_leave_nothing_behind() {
        let url = new_database().await;
        let outcome = load(&[&["insert", "--sql", &url][..], &SHORT].concat()).await;
        assert_eq!((outcome.status, outcome.stderr.as_str()), (Some(0), ""), "{outcome:?}");
        assert!(outcome.stdout.starts_with("24 rows a transaction: "), "{outcome:?}");
        assert!(rows(&url, "SHOW TABLES").await.is_empty());
    }
}
