//! What `load` says of servers that lose, double or swap texts, refuse them, or close.

use serde_json::Value;

use crate::harness::{Double, Fault, json, load};

/// Runs a second against a server with this fault; the exit status, the counts of the JSON, and what people read.
async fn run(fault: Fault) -> (Option<i32>, Value, String) {
    let double = Double::start(fault).await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("result.json");
    let arguments =
        ["--pairs", "2", "--window", "4", "--duration", "0.3", "--warm-up", "0.1", "--settle", "0.5", "--json"];
    let outcome = load(&[&["--gate", &double.gate][..], &arguments, &[file.to_str().unwrap()]].concat()).await;
    assert_eq!(outcome.stderr, "", "{outcome:?}");
    let stretch = json(&file)["stretches"][0].clone();
    assert!(stretch["counts"]["acknowledged"].as_u64().unwrap() > 10, "{stretch}");
    (outcome.status, stretch, outcome.stdout)
}

/// The counts that should be 0, but for one.
#[track_caller]
fn assert_only(stretch: &Value, what: &str) -> u64 {
    let counts = &stretch["counts"];
    for other in ["lost", "doubled", "reordered", "unanswered"].into_iter().filter(|&other| other != what) {
        assert_eq!(counts[other], 0, "{counts}");
    }
    counts[what].as_u64().unwrap_or_default()
}

#[tokio::test]
async fn a_sound_server_is_0() {
    let (status, stretch, _) = run(Fault::None).await;
    assert_eq!(status, Some(0));
    assert_only(&stretch, "");
    assert_eq!(stretch["counts"]["sent"], stretch["counts"]["delivered"]);
}

#[tokio::test]
async fn lost_texts_are_1() {
    let (status, stretch, said) = run(Fault::Lose).await;
    assert_eq!(status, Some(1));
    let lost = assert_only(&stretch, "lost");
    let counts = &stretch["counts"];
    assert_eq!(counts["acknowledged"].as_u64().unwrap() - counts["delivered"].as_u64().unwrap(), lost);
    assert!(lost > 0 && said.contains(&format!("  {lost} lost, 0 doubled, 0 out of order")), "{said}");
}

#[tokio::test]
async fn doubled_texts_are_1() {
    let (status, stretch, _) = run(Fault::Double).await;
    assert_eq!(status, Some(1));
    assert!(assert_only(&stretch, "doubled") > 0);
}

#[tokio::test]
async fn texts_out_of_order_are_1() {
    let (status, stretch, _) = run(Fault::Swap).await;
    assert_eq!(status, Some(1));
    let counts = &stretch["counts"];
    assert!(counts["reordered"].as_u64().unwrap() > 0, "{counts}");
    assert_eq!(counts["doubled"], 0, "{counts}");
}

#[tokio::test]
async fn refusals_are_counted_and_lose_nothing() {
    let (status, stretch, said) = run(Fault::Refuse).await;
    assert_eq!(status, Some(0));
    assert_only(&stretch, "");
    let refused = stretch["counts"]["refused"]["3103"].as_u64().unwrap();
    assert!(refused > 0 && said.contains(&format!("refused with code 3103: {refused}")), "{said}");
}

#[tokio::test]
async fn a_connection_that_ends_is_1() {
    let (status, stretch, said) = run(Fault::Close).await;
    assert_eq!(status, Some(1));
    assert!(said.contains("connections ended, "), "{said}");
    let ended = stretch["connections_ended"].as_object().unwrap();
    assert_eq!(ended.values().filter_map(Value::as_u64).sum::<u64>(), 2, "both senders: {ended:?}");
    assert!(stretch["counts"]["unanswered"].as_u64().unwrap() > 0, "{stretch}");
}

#[tokio::test]
async fn an_open_loop_keeps_its_rate_and_counts_from_the_intended_times() {
    let double = Double::start(Fault::None).await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("result.json");
    let arguments = ["--pairs", "2", "--rate", "400", "--duration", "1", "--warm-up", "0.2", "--json"];
    let outcome = load(&[&["--gate", &double.gate][..], &arguments, &[file.to_str().unwrap()]].concat()).await;
    assert_eq!(outcome.status, Some(0), "{outcome:?}");
    let stretch = &json(&file)["stretches"][0];
    assert_eq!((stretch["loop"].as_str(), stretch["wanted_per_s"].as_f64()), (Some("open"), Some(400.0)));
    // All texts that were to be sent in that second, whenever they arrived; one more or less on its borders.
    let count = stretch["acknowledgement"]["count"].as_u64().unwrap();
    assert!(count.abs_diff(400) <= 1, "{stretch}");
    assert_eq!(stretch["counts"]["sent"], 480, "those of a second and a fifth");
}

#[tokio::test]
async fn a_rate_out_of_reach_is_refused() {
    let double = Double::start(Fault::None).await;
    let outcome = load(&["--gate", &double.gate, "--pairs", "1", "--rate", "10000000"]).await;
    assert!(outcome.assert_refused("--rate: ").contains("do not keep up"), "{outcome:?}");
}
