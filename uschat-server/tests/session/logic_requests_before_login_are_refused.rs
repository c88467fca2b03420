//! The login guard: on unless switched off, it refuses what comes before the login, and counts it.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use uschat_server::{
    proto::{ErrorCode, Message},
    session::SessionConfig,
    testing,
};

use crate::app::*;

#[tokio::test(start_paused = true)]
async fn a_request_before_the_login_is_refused_and_the_session_goes_on() {
    let fixture = serve(SessionConfig::default());
    let mut client = testing::connect(&fixture.server);
    client.send(&Echo(1)).await;
    let answer = client.receive_frame().await.unwrap();
    assert_eq!(answer, refusal(Echoed::ID, ErrorCode::NOT_LOGGED_IN));
    client.send(&Tell(5)).await;
    client.send(&Login(5)).await;
    assert_eq!(client.receive::<LoggedIn>().await, LoggedIn(5));
    client.send(&Echo(2)).await;
    assert_eq!(client.receive::<Echoed>().await, Echoed(2));
    assert_eq!(fixture.app.journal(), ["echo 2"]);
}

#[tokio::test(start_paused = true)]
async fn a_second_login_of_one_session_is_refused_and_pushes_still_arrive() {
    let fixture = serve(SessionConfig::default());
    let mut client = fixture.log_in(5).await;
    client.send(&Login(6)).await;
    assert_eq!(client.receive_frame().await.unwrap(), refusal(LoggedIn::ID, ErrorCode(3008)));
    assert!(fixture.server.sessions().of(&6).is_none());
    fixture.session(5).push(&Told(1)).unwrap();
    assert_eq!(client.receive::<Told>().await, Told(1));
}

#[tokio::test(start_paused = true)]
async fn without_the_guard_no_login_is_wanted() {
    let fixture = serve_handlers(handlers().without_login_guard(), SessionConfig::default());
    let mut client = testing::connect(&fixture.server);
    client.send(&Echo(1)).await;
    assert_eq!(client.receive::<Echoed>().await, Echoed(1));
    // Nor is there a deadline for it.
    tokio::time::sleep(SessionConfig::default().login * 10).await;
    client.send(&Echo(2)).await;
    assert_eq!(client.receive::<Echoed>().await, Echoed(2));
}

#[tokio::test(start_paused = true)]
async fn refusals_are_counted() {
    let refused = Refused::default();
    let _guard = metrics::set_default_local_recorder(&refused);
    let fixture = serve(SessionConfig::default());
    let mut client = testing::connect(&fixture.server);
    client.send(&Echo(1)).await;
    client.receive_frame().await.unwrap();
    client.send(&Tell(1)).await;
    client.close().await;
    assert_eq!(refused.0.load(Ordering::Relaxed), 2);
}

/// Counts requests refused for want of a login.
#[derive(Default)]
struct Refused(Arc<AtomicU64>);

impl Recorder for Refused {
    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let not_logged_in = key.labels().any(|label| (label.key(), label.value()) == ("error", "3001"));
        if key.name() == "uschat_requests_refused_total" && not_logged_in {
            return Counter::from_arc(self.0.clone());
        }
        Counter::noop()
    }
    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }
    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
}
