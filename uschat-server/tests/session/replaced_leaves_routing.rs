//! A session that a newer login replaced: out of routing before it is told, told once, closed after a grace period; what
//! it sends meanwhile is not handled.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use uschat_server::{
    Application, LogicSystem, Reply,
    proto::{ErrorCode, Message},
    session::{CloseReason, PushError, Server, Session, SessionConfig},
    testing,
    wire::Frame,
};

use crate::app::*;

#[tokio::test(start_paused = true)]
async fn it_is_told_and_closed_after_the_grace_period() {
    let fixture = serve(SessionConfig::default());
    let mut older = fixture.log_in(1).await;
    let older_session = fixture.session(1);
    let since = Instant::now();
    let mut newer = fixture.log_in(1).await;
    assert!(fixture.session(1) != older_session);
    assert_eq!(older.receive::<Kicked>().await, Kicked(1));
    assert!(matches!(older_session.push(&Told(9)), Err(PushError::Closed)));

    assert!(older.receive_frame().await.is_none());
    assert_eq!(since.elapsed().as_secs(), SessionConfig::default().replaced_grace.as_secs());
    assert!(matches!(older.closed().await, CloseReason::Replaced));
    fixture.session(1).push(&Told(2)).unwrap();
    assert_eq!(newer.receive::<Told>().await, Told(2), "the newer session is untouched by the end of the older");
    newer.close().await;
    fixture.assert_nothing_left();
}

#[tokio::test(start_paused = true)]
async fn it_ends_at_once_when_the_client_closes() {
    let fixture = serve(SessionConfig::default());
    let mut older = fixture.log_in(1).await;
    let since = Instant::now();
    let _newer = fixture.log_in(1).await;
    assert_eq!(older.receive::<Kicked>().await, Kicked(1));
    assert!(matches!(older.close().await, CloseReason::Replaced));
    assert!(since.elapsed() < Duration::from_millis(100), "{:?}", since.elapsed());
}

#[tokio::test(start_paused = true)]
async fn it_cannot_act_any_more() {
    let fixture = serve(SessionConfig::default());
    let mut older = fixture.log_in(1).await;
    let mut newer = fixture.log_in(1).await;
    assert_eq!(older.receive::<Kicked>().await, Kicked(1));
    older.send(&Echo(1)).await;
    older.send(&Tell(1)).await;
    sleep(Duration::from_secs(1)).await;
    newer.send(&Echo(2)).await;
    assert_eq!(newer.receive::<Echoed>().await, Echoed(2));
    assert_eq!(fixture.app.journal(), ["echo 2"]);
    assert!(older.receive_frame().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn what_it_had_begun_is_finished_and_what_it_had_sent_behind_is_not_begun() {
    let fixture = serve(SessionConfig::default());
    let mut older = fixture.log_in(1).await;
    older.send(&Defer(1)).await;
    older.send(&Wait(2)).await;
    older.send(&Echo(3)).await;
    until(|| fixture.app.journal() == ["wait 2"]).await;
    let _newer = fixture.log_in(1).await;
    assert_eq!(older.receive::<Kicked>().await, Kicked(1));
    fixture.app.open(2);
    assert_eq!(older.receive::<Waited>().await, Waited(2));
    fixture.app.open(1);
    assert_eq!(older.receive::<Deferred>().await, Deferred(1));
    assert!(older.receive_frame().await.is_none());
    assert_eq!(fixture.app.journal(), ["wait 2", "waited 2", "deferred 1", "closed: replaced"]);
}

#[tokio::test(start_paused = true)]
async fn a_session_already_ending_is_not_told() {
    let fixture = serve(SessionConfig::default());
    let mut client = fixture.log_in(1).await;
    fixture.session(1).close(CloseReason::Application("enough"));
    fixture.session(1).replace(Frame::new(Kicked::ID.0, "0"));
    assert!(client.receive_frame().await.is_none());
    assert!(matches!(client.closed().await, CloseReason::Application("enough")));
}

/// Here the first to log in stays.
struct FirstComes;

impl Application for FirstComes {
    type User = u32;
    type Session = ();

    fn supersedes(&self, newer: &Session<Self>, current: &Session<Self>) -> bool {
        newer.id() < current.id()
    }
}

async fn log_in(cx: uschat_server::Context<FirstComes>, Login(user): Login) -> Result<Reply<LoggedIn>, ErrorCode> {
    cx.log_in(user)?;
    Ok(Reply::Now(LoggedIn(user)))
}

#[tokio::test(start_paused = true)]
async fn an_application_may_prefer_the_older() {
    let logic = LogicSystem::builder().on_open(log_in).build().unwrap();
    let server = std::sync::Arc::new(Server::new(FirstComes, logic, SessionConfig::default()));
    let mut first = testing::connect(&server);
    first.send(&Login(1)).await;
    assert_eq!(first.receive::<LoggedIn>().await, LoggedIn(1));
    let mut second = testing::connect(&server);
    second.send(&Login(1)).await;
    assert_eq!(second.receive_frame().await.unwrap(), refusal(LoggedIn::ID, ErrorCode(3008)));
    assert!(matches!(second.closed().await, CloseReason::Replaced));
    server.sessions().of(&1).unwrap().push(&Told(3)).unwrap();
    assert_eq!(first.receive::<Told>().await, Told(3));
}
