//! A peer that goes away takes nothing with it: handlers and what they deferred run to their end, and the session then
//! ends without waiting for anybody.

use std::time::Duration;

use tokio::{
    io::{AsyncWriteExt, duplex},
    time::{Instant, sleep},
};
use uschat_server::{
    session::{CloseReason, SessionConfig},
    testing,
};

use crate::app::*;

#[tokio::test(start_paused = true)]
async fn handlers_run_to_their_end() {
    let fixture = serve(SessionConfig::default());
    let mut client = fixture.log_in(1).await;
    client.send(&Defer(1)).await;
    client.send(&Wait(2)).await;
    until(|| fixture.app.journal() == ["wait 2"]).await;
    drop(client);
    sleep(Duration::from_secs(1)).await;
    fixture.app.open(2);
    until(|| fixture.app.journal() == ["wait 2", "waited 2"]).await;
    fixture.app.open(1);
    until(|| fixture.server.sessions().open() == 0).await;
    assert_eq!(fixture.app.journal(), ["wait 2", "waited 2", "deferred 1", "closed: peer_closed"]);
    fixture.assert_nothing_left();
}

#[tokio::test(start_paused = true)]
async fn also_when_a_write_finds_it_out() {
    let fixture = serve(SessionConfig::default());
    let mut client = fixture.log_in(1).await;
    client.send(&Defer(1)).await;
    client.send(&Wait(2)).await;
    until(|| fixture.app.journal() == ["wait 2"]).await;
    let session = fixture.session(1);
    drop(client);
    while session.push(&Told(0)).is_ok() {
        tokio::task::yield_now().await;
    }
    fixture.app.open(2);
    until(|| fixture.app.journal() == ["wait 2", "waited 2"]).await;
    fixture.app.open(1);
    until(|| fixture.server.sessions().open() == 0).await;
    assert_eq!(fixture.app.journal(), ["wait 2", "waited 2", "deferred 1", "closed: broken"]);
}

#[tokio::test(start_paused = true)]
async fn requests_that_arrived_before_the_end_are_handled() {
    let fixture = serve(SessionConfig::default());
    let mut client = fixture.log_in(1).await;
    client.send(&Wait(1)).await;
    client.send(&Echo(2)).await;
    client.finish_sending().await;
    sleep(Duration::from_secs(1)).await;
    fixture.app.open(1);
    assert_eq!(client.receive::<Waited>().await, Waited(1));
    assert_eq!(client.receive::<Echoed>().await, Echoed(2));
    assert!(client.receive_frame().await.is_none());
    assert!(matches!(client.closed().await, CloseReason::PeerClosed));
}

#[tokio::test(start_paused = true)]
async fn deferred_answers_reach_a_peer_that_only_stopped_sending() {
    let fixture = serve(SessionConfig::default());
    let mut client = fixture.log_in(1).await;
    client.send(&Defer(1)).await;
    client.finish_sending().await;
    sleep(Duration::from_secs(1)).await;
    assert!(fixture.server.sessions().of(&1).is_none(), "it is out of routing");
    fixture.app.open(1);
    assert_eq!(client.receive::<Deferred>().await, Deferred(1));
    assert!(client.receive_frame().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn an_end_within_a_frame_is_told_apart() {
    let fixture = serve(SessionConfig::default());
    let mut client = testing::connect(&fixture.server);
    client.send_bytes(&[0, 3, 0]).await;
    assert!(matches!(client.close().await, CloseReason::PeerClosedMidFrame));
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_peer_that_has_closed_and_does_not_read() {
    let fixture = serve(SessionConfig::default());
    let (mut near, far) = duplex(64);
    let server = fixture.server.clone();
    let session = tokio::spawn(async move { server.serve_connection(far, None).await });
    near.write_all(&bytes_of(&Login(1))).await.unwrap();
    until(|| fixture.server.sessions().of(&1).is_some()).await;
    (0..100).for_each(|number| fixture.session(1).push(&Told(number)).unwrap());
    near.shutdown().await.unwrap();
    let since = Instant::now();
    assert!(matches!(session.await.unwrap(), CloseReason::PeerClosed));
    assert!(since.elapsed() < Duration::from_secs(4), "{:?}", since.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_has_gone_entirely_costs_no_time() {
    let fixture = serve(SessionConfig::default());
    let client = fixture.log_in(1).await;
    (0..100).for_each(|number| fixture.session(1).push(&Told(number)).unwrap());
    let since = Instant::now();
    drop(client);
    until(|| fixture.app.journal().len() == 1).await;
    assert!(since.elapsed() < Duration::from_millis(100), "{:?}", since.elapsed());
}
