//! Handlers of one session run one after another; what they deferred runs beside later requests and leaves in order.

use std::time::Duration;

use proptest::{collection::vec, prelude::*};
use tokio::time::timeout;
use uschat_server::{proto::Message, session::SessionConfig, testing::Client};

use crate::app::*;

async fn assert_silent(client: &mut Client) {
    let silence = timeout(Duration::from_secs(3), client.receive_frame()).await;
    assert!(silence.is_err(), "{silence:?}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_at_once_overtakes_deferred_ones() {
    let fixture = serve(SessionConfig::default());
    let mut client = fixture.log_in(1).await;
    client.send(&Defer(1)).await;
    client.send(&Echo(2)).await;
    assert_eq!(client.receive::<Echoed>().await, Echoed(2));
    fixture.app.open(1);
    assert_eq!(client.receive::<Deferred>().await, Deferred(1));
}

#[tokio::test(start_paused = true)]
async fn deferred_answers_leave_in_the_order_of_requests() {
    let fixture = serve(SessionConfig::default());
    let mut client = fixture.log_in(1).await;
    client.send(&Defer(1)).await;
    client.send(&Defer(2)).await;
    fixture.app.open(2);
    assert_silent(&mut client).await;
    assert_eq!(fixture.app.journal(), [""; 0], "they do not run beside one another");
    fixture.app.open(1);
    assert_eq!(client.receive::<Deferred>().await, Deferred(1));
    assert_eq!(client.receive::<Deferred>().await, Deferred(2));
}

#[tokio::test(start_paused = true)]
async fn an_ordered_answer_at_once_waits_for_earlier_deferred_ones() {
    let fixture = serve(SessionConfig::default());
    let mut client = fixture.log_in(1).await;
    client.send(&Ordered { number: 1, how: How::Later }).await;
    client.send(&Ordered { number: 2, how: How::Now }).await;
    client.send_frame(Ordered::ID.0, b"no such body").await;
    assert_silent(&mut client).await;
    fixture.app.open(1);
    assert_eq!(client.receive::<OrderedDone>().await, OrderedDone(1));
    assert_eq!(client.receive::<OrderedDone>().await, OrderedDone(2));
    assert_eq!(&client.receive_frame().await.unwrap().body[..], br#"{"error":1001}"#);
}

#[tokio::test(start_paused = true)]
async fn handlers_of_one_session_run_one_after_another_until_they_return() {
    let fixture = serve(SessionConfig::default());
    let mut client = fixture.log_in(1).await;
    let mut other = fixture.log_in(2).await;
    client.send(&Wait(1)).await;
    client.send(&Echo(2)).await;
    other.send(&Echo(3)).await;
    assert_eq!(other.receive::<Echoed>().await, Echoed(3));
    assert_silent(&mut client).await;
    fixture.app.open(1);
    assert_eq!(client.receive::<Waited>().await, Waited(1));
    assert_eq!(client.receive::<Echoed>().await, Echoed(2));
    assert_eq!(fixture.app.journal(), ["wait 1", "echo 3", "waited 1", "echo 2"]);
}

#[tokio::test(start_paused = true)]
async fn a_deferred_answer_does_not_wait_for_a_later_handler() {
    let fixture = serve(SessionConfig::default());
    let mut client = fixture.log_in(1).await;
    client.send(&Defer(1)).await;
    client.send(&Wait(2)).await;
    until(|| fixture.app.journal() == ["wait 2"]).await;
    fixture.app.open(1);
    assert_eq!(client.receive::<Deferred>().await, Deferred(1));
    fixture.app.open(2);
    assert_eq!(client.receive::<Waited>().await, Waited(2));
}

#[tokio::test(start_paused = true)]
async fn too_many_deferred_answers_stop_the_reading() {
    let fixture = serve(SessionConfig { deferred_answers: 2, ..SessionConfig::default() });
    let mut client = fixture.log_in(1).await;
    // One runs, two wait, and the fourth finds no room.
    for gate in 1..=4 {
        client.send(&Defer(gate)).await;
    }
    client.send(&Echo(5)).await;
    assert_silent(&mut client).await;
    fixture.app.open(1);
    assert_eq!(client.receive::<Deferred>().await, Deferred(1));
    assert_eq!(client.receive::<Echoed>().await, Echoed(5));
}

fn any_request() -> impl Strategy<Value = How> {
    prop_oneof![Just(How::Now), Just(How::Later), Just(How::Refuse)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the mix and whenever the deferred ones are ready, ordered requests are answered in their order.
    #[test]
    fn ordered_requests_are_answered_in_order(
        (requests, openings) in vec(any_request(), 1..40).prop_flat_map(|requests| {
            let openings = Just((0..requests.len() as u32).collect::<Vec<_>>()).prop_shuffle();
            (Just(requests), openings)
        }),
        deferred_answers in 1_usize..5,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let fixture = serve(SessionConfig { deferred_answers, ..SessionConfig::default() });
            let mut client = fixture.log_in(1).await;
            for (number, how) in (0..).zip(&requests) {
                client.send(&Ordered { number, how: *how }).await;
            }
            let app = fixture.app.clone();
            let opening = tokio::spawn(async move {
                for gate in openings {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    app.open(gate);
                }
            });
            for (number, how) in (0..).zip(&requests) {
                let body = client.receive_frame().await.unwrap().body;
                let expected = match how {
                    How::Refuse => format!("{{\"error\":{number}}}"),
                    How::Now | How::Later => number.to_string(),
                };
                assert_eq!(body, expected.as_bytes());
            }
            opening.await.unwrap();
        });
    }
}
