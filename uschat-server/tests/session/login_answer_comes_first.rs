//! The answer to a login is the first thing a client sees; pushes that came meanwhile follow it.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use uschat_server::{
    Reply,
    proto::{ErrorCode, Json, Message, MessageId, Request},
    session::SessionConfig,
    testing,
};

use crate::app::*;

/// Logs in as `user` and answers when the gate of that number opens.
#[derive(Serialize, Deserialize)]
struct SlowLogin {
    user: u32,
    when: When,
}

/// Where the session is made the user's.
#[derive(Clone, Copy, Serialize, Deserialize)]
enum When {
    Handler,
    HandlerThatDefers,
    DeferredAnswer,
}

impl Message for SlowLogin {
    const ID: MessageId = MessageId(100);
    type Encoding = Json;
}

impl Request for SlowLogin {
    type Response = LoggedIn;
}

async fn slow_login(cx: Cx, SlowLogin { user, when }: SlowLogin) -> Answer<LoggedIn> {
    let enter = move |cx: &Cx| -> Result<(), ErrorCode> {
        cx.log_in(user)?;
        cx.note("entered");
        Ok(())
    };
    match when {
        When::Handler => {
            enter(&cx)?;
            cx.opened(user).await;
            Ok(Reply::Now(LoggedIn(user)))
        }
        When::HandlerThatDefers => {
            enter(&cx)?;
            Ok(Reply::later(async move {
                cx.opened(user).await;
                Ok(LoggedIn(user))
            }))
        }
        When::DeferredAnswer => Ok(Reply::later(async move {
            enter(&cx)?;
            cx.opened(user).await;
            Ok(LoggedIn(user))
        })),
    }
}

async fn pushes_follow_the_answer(when: When) {
    let fixture = serve_handlers(handlers().on_open(slow_login), SessionConfig::default());
    let mut client = testing::connect(&fixture.server);
    client.send(&SlowLogin { user: 5, when }).await;
    until(|| fixture.app.journal() == ["entered"]).await;
    fixture.session(5).push(&Told(1)).unwrap();
    let silence = timeout(Duration::from_secs(3), client.receive_frame()).await;
    assert!(silence.is_err(), "{silence:?}");
    fixture.app.open(5);
    assert_eq!(client.receive::<LoggedIn>().await, LoggedIn(5));
    assert_eq!(client.receive::<Told>().await, Told(1));
    fixture.session(5).push(&Told(2)).unwrap();
    assert_eq!(client.receive::<Told>().await, Told(2));
}

#[tokio::test(start_paused = true)]
async fn when_the_handler_logs_in() {
    pushes_follow_the_answer(When::Handler).await;
}

#[tokio::test(start_paused = true)]
async fn when_the_answer_is_deferred() {
    pushes_follow_the_answer(When::HandlerThatDefers).await;
}

#[tokio::test(start_paused = true)]
async fn when_what_the_handler_deferred_logs_in() {
    pushes_follow_the_answer(When::DeferredAnswer).await;
}

#[tokio::test(start_paused = true)]
async fn answers_to_other_requests_do_not_let_pushes_go() {
    let fixture = serve_handlers(handlers().on_open(slow_login), SessionConfig::default());
    let mut client = testing::connect(&fixture.server);
    client.send(&SlowLogin { user: 5, when: When::HandlerThatDefers }).await;
    client.send(&Tell(5)).await;
    client.send(&Echo(1)).await;
    assert_eq!(client.receive::<Echoed>().await, Echoed(1));
    fixture.app.open(5);
    assert_eq!(client.receive::<LoggedIn>().await, LoggedIn(5));
    assert_eq!(client.receive::<Told>().await, Told(5));
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_of_held_pushes_leaves_room_for_the_answer() {
    let config = SessionConfig { outbound_frames: 3, ..SessionConfig::default() };
    let fixture = serve_handlers(handlers().on_open(slow_login), config);
    let mut client = testing::connect(&fixture.server);
    client.send(&SlowLogin { user: 5, when: When::Handler }).await;
    until(|| fixture.app.journal() == ["entered"]).await;
    for number in 0..3 {
        fixture.session(5).push(&Told(number)).unwrap();
    }
    fixture.app.open(5);
    assert_eq!(client.receive::<LoggedIn>().await, LoggedIn(5));
    for number in 0..3 {
        assert_eq!(client.receive::<Told>().await, Told(number));
    }
}
