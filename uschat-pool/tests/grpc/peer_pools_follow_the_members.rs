//! There are connections to exactly those who are on the list of members, at the address it names.

use std::sync::{Arc, atomic::Ordering};

use uschat_pool::{ConfigError, MembersError, PeerError, PeersConfig, PoolError};

use crate::peers::peers;

#[tokio::test]
async fn nothing_is_connected_before_it_is_asked_for() {
    let (peers, connects) = peers(PeersConfig::default());
    let changes = peers.update([("one", "1"), ("two", "2")]).unwrap();
    assert_eq!(changes.added, ["one", "two"]);
    assert_eq!(connects.load(Ordering::SeqCst), 0);

    assert_eq!(peers.handle("two").await.unwrap().address, "2");
    assert_eq!(connects.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn those_that_stay_keep_their_connections() {
    let (peers, connects) = peers(PeersConfig::default());
    peers.update([("one", "1"), ("two", "2")]).unwrap();
    let before = peers.handle("one").await.unwrap().number;

    let changes = peers.update([("three", "3"), ("one", "1")]).unwrap();

    assert_eq!(changes.added, ["three"]);
    assert_eq!(changes.removed, ["two"]);
    assert!(changes.moved.is_empty() && changes.refused.is_empty());
    assert_eq!(peers.handle("one").await.unwrap().number, before);
    assert_eq!(connects.load(Ordering::SeqCst), 1);
    let mut names = peers.names();
    names.sort();
    assert_eq!(names, ["one", "three"]);
}

#[tokio::test]
async fn one_that_moved_is_connected_to_where_it_is_now() {
    let (peers, _) = peers(PeersConfig::default());
    peers.update([("one", "1")]).unwrap();
    let held_set = peers.get("one").unwrap();
    let in_use = peers.handle("one").await.unwrap();

    let changes = peers.update([("one", "elsewhere")]).unwrap();

    assert_eq!(changes.moved, ["one"]);
    assert!(changes.added.is_empty() && changes.removed.is_empty());
    assert_eq!(peers.handle("one").await.unwrap().address, "elsewhere");
    assert!(matches!(held_set.handle().await, Err(PoolError::Closed)));
    assert_eq!(in_use.address, "1", "what is under way goes on");
    let watched = Arc::downgrade(&in_use);
    drop(in_use);
    assert_eq!(watched.strong_count(), 0, "and then its connection ends");
}

#[tokio::test]
async fn one_that_left_is_unknown() {
    let (peers, _) = peers(PeersConfig::default());
    peers.update([("one", "1")]).unwrap();
    let held_set = peers.get("one").unwrap();
    let connection = Arc::downgrade(&*held_set.handle().await.unwrap());
    assert_eq!(connection.strong_count(), 1, "it rests");

    peers.update::<&str, &str>([]).unwrap();

    assert_eq!(connection.strong_count(), 0);
    let error = peers.handle("one").await.unwrap_err();
    assert!(matches!(&error, PeerError::Unknown { name } if name == "one"), "{error:?}");
    assert!(peers.get("one").is_none());
    assert!(matches!(held_set.handle().await, Err(PoolError::Closed)));
    assert!(peers.names().is_empty() && peers.snapshots().is_empty());

    peers.update([("one", "1")]).unwrap();
    assert_eq!(peers.handle("one").await.unwrap().address, "1", "it came back");
}

#[tokio::test]
async fn one_that_cannot_be_a_peer_keeps_nobody_else_out() {
    let (peers, _) = peers(PeersConfig::default());
    peers.update([("one", "1")]).unwrap();
    let held_set = peers.get("one").unwrap();

    let changes = peers.update([("one", "bad"), ("two", "2")]).unwrap();

    assert_eq!(changes.refused.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["one"]);
    assert_eq!(changes.removed, ["one"], "nobody is at its old address any more");
    assert!(matches!(held_set.handle().await, Err(PoolError::Closed)));
    assert!(matches!(peers.handle("one").await, Err(PeerError::Unknown { .. })));
    assert_eq!(peers.handle("two").await.unwrap().address, "2");

    assert_eq!(peers.update([("one", "1"), ("two", "2")]).unwrap().added, ["one"]);
}

#[tokio::test]
async fn a_list_that_cannot_be_right_changes_nothing() {
    let (peers, _) = peers(PeersConfig { max_peers: 2, ..PeersConfig::default() });
    peers.update([("one", "1")]).unwrap();
    let before = peers.handle("one").await.unwrap().number;

    let endless = (0..).map(|number| (format!("peer {number}"), "1"));
    assert_eq!(peers.update(endless).unwrap_err(), MembersError::TooMany { max: 2 });
    let twice = [("one", "2"), ("one", "3")];
    assert_eq!(peers.update(twice).unwrap_err(), MembersError::Twice { name: "one".into() });

    assert_eq!(peers.handle("one").await.unwrap().number, before);
    assert_eq!(peers.names(), ["one"]);
}

#[tokio::test]
async fn each_peer_has_a_name_of_its_own_in_snapshots() {
    let (peers, _) = peers(PeersConfig::default());
    peers.update([("one", "1")]).unwrap();
    let _handle = peers.handle("one").await.unwrap();
    let snapshots = peers.snapshots();
    assert_eq!((snapshots.len(), &*snapshots[0].name, snapshots[0].live), (1, "peers one", 1));
}

#[test]
fn the_limits_are_checked() {
    for (max_peers, is_allowed) in [(0, false), (1, true), (4_096, true), (4_097, false)] {
        let outcome = PeersConfig { max_peers, ..PeersConfig::default() }.validate();
        assert_eq!(outcome.is_ok(), is_allowed, "{max_peers}");
    }
    let mut config = PeersConfig::default();
    config.shared.size = 0;
    assert!(matches!(config.validate(), Err(ConfigError::OutOfRange { field: "size", .. })));
}
