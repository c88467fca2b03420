//! Beside original servers, which write `uip_` without a lease.

use std::time::Duration;

use uschat_proto::chat::UserId;
use uschat_server::store::{
    redis::{RedisOptions, RedisState},
    state::{Presence, Servers, Taken},
};

use super::keys::record;
use crate::redis::support::{Plain, RedisServer, holder, open, patient};

const TTL: Duration = Duration::from_secs(60);
const ADA: UserId = UserId(1001);

async fn beside_originals(server: &RedisServer) -> RedisState {
    let options = RedisOptions { originals: vec!["chatserver1".into(), "chatserver2".into()], ..patient() };
    RedisState::open(&server.url(), options).await.unwrap()
}

#[tokio::test]
async fn a_user_of_an_original_is_found_there() {
    let server = RedisServer::start().await;
    let (state, plain) = (beside_originals(&server).await, Plain::to(&server).await);
    plain.set("uip_1001", "chatserver2").await;
    assert_eq!(state.presence(ADA).await.unwrap(), Some(holder("chatserver2", 0, 0)));
    // A name that is nobody's, and one that nobody said is an original, are no holders.
    plain.set("uip_1001", "chatserver3").await;
    assert_eq!(state.presence(ADA).await.unwrap(), None);
    plain.set("uip_1001", "chatserver2").await;
    assert_eq!(open(&server).await.presence(ADA).await.unwrap(), None);
}

#[tokio::test]
async fn a_login_here_takes_a_user_over_from_an_original() {
    let server = RedisServer::start().await;
    let (state, plain) = (beside_originals(&server).await, Plain::to(&server).await);
    plain.set("uip_1001", "chatserver1").await;
    plain.set("usession_1001", "1f0c-of-the-original").await;
    let taken = state.take_presence(ADA, &holder("ours", 5, 7), TTL).await.unwrap();
    assert_eq!(taken, Taken::Granted { previous: Some(holder("chatserver1", 0, 0)) });
    assert_eq!(state.presence(ADA).await.unwrap(), Some(holder("ours", 5, 7)));
    assert_eq!(plain.get("uip_1001").await.as_deref(), Some("ours"));
    assert_eq!(plain.get("usession_1001").await.as_deref(), Some("5"));
    // The next renewal is one.
    let taken = state.take_presence(ADA, &holder("ours", 5, 7), TTL).await.unwrap();
    assert_eq!(taken, Taken::Granted { previous: None });
}

#[tokio::test]
async fn a_later_login_at_an_original_ends_the_lease_here() {
    let server = RedisServer::start().await;
    let (state, plain) = (beside_originals(&server).await, Plain::to(&server).await);
    for lease_is_lost in [false, true] {
        state.take_presence(ADA, &holder("ours", 5, 7), TTL).await.unwrap();
        plain.set("uip_1001", "chatserver1").await;
        plain.set("usession_1001", "1f0c-of-the-original").await;
        if lease_is_lost {
            plain.run::<i64>(uschat_pool::redis::redis::cmd("DEL").arg("uschat:lease:1001")).await;
        }
        assert_eq!(state.presence(ADA).await.unwrap(), Some(holder("chatserver1", 0, 0)));
        let taken = state.take_presence(ADA, &holder("ours", 5, 7), TTL).await.unwrap();
        assert_eq!(taken, Taken::Refused(holder("chatserver1", 0, 0)));
        assert!(!state.release_presence(ADA, 7).await.unwrap());
        // What the original wrote is as it wrote it.
        assert_eq!(plain.keys().await, ["uip_1001", "usession_1001"]);
        assert_eq!(plain.get("uip_1001").await.as_deref(), Some("chatserver1"));
        assert_eq!(plain.get("usession_1001").await.as_deref(), Some("1f0c-of-the-original"));
    }
}

#[tokio::test]
async fn a_living_server_of_ours_among_the_originals_ends_no_lease_by_a_shadow() {
    let server = RedisServer::start().await;
    let (state, plain) = (beside_originals(&server).await, Plain::to(&server).await);
    state.take_presence(ADA, &holder("ours", 5, 7), TTL).await.unwrap();
    state.announce_server(&record("chatserver1", 1), TTL).await.unwrap();
    // As it is while the login of a later server of ours, or its end, has not reached the shadow yet.
    plain.set("uip_1001", "chatserver1").await;
    let renewed = state.take_presence(ADA, &holder("ours", 5, 7), TTL).await.unwrap();
    assert_eq!(renewed, Taken::Granted { previous: None });

    state.retire_server("chatserver1", 1).await.unwrap();
    let renewed = state.take_presence(ADA, &holder("ours", 5, 7), TTL).await.unwrap();
    assert_eq!(renewed, Taken::Refused(holder("chatserver1", 0, 0)));
}

#[tokio::test]
async fn a_disconnect_here_leaves_a_login_at_an_original_alone() {
    let server = RedisServer::start().await;
    let (state, plain) = (beside_originals(&server).await, Plain::to(&server).await);
    state.take_presence(ADA, &holder("ours", 5, 7), TTL).await.unwrap();
    plain.set("uip_1001", "chatserver1").await;
    plain.set("usession_1001", "1f0c-of-the-original").await;
    assert!(state.release_presence(ADA, 7).await.unwrap());
    assert_eq!(plain.keys().await, ["uip_1001", "usession_1001"]);
    assert_eq!(state.presence(ADA).await.unwrap(), Some(holder("chatserver1", 0, 0)));
}
