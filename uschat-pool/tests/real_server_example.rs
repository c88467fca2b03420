//! The example that survives the end of its Redis does so.
#![cfg(feature = "redis")]

#[allow(dead_code, reason = "its main function, of which the test calls the inner part")]
#[path = "../examples/redis_survives_kill.rs"]
mod redis_survives_kill;

use clap::Parser;

#[tokio::test]
async fn no_call_fails_while_redis_is_killed_and_started_again() {
    let options = redis_survives_kill::Options::parse_from(["redis_survives_kill", "--kills", "1"]);
    assert_eq!(redis_survives_kill::run(options).await, Ok(0));
}
