//! A panic in a handler ends the session it served, and nothing else.

use std::future::Future;

use serde::{Deserialize, Serialize};
use uschat_server::{
    Reply,
    proto::{Json, Message, MessageId, Request},
    session::{CloseReason, SessionConfig},
};

use crate::app::*;

#[derive(Clone, Copy, Serialize, Deserialize)]
enum Panic {
    BeforeTheFirstAwait,
    AfterAnAwait,
    InWhatIsDeferred,
}

impl Message for Panic {
    const ID: MessageId = MessageId(100);
    type Encoding = Json;
}

impl Request for Panic {
    type Response = Echoed;
}

fn panics(_: Cx, when: Panic) -> impl Future<Output = Answer<Echoed>> {
    assert!(!matches!(when, Panic::BeforeTheFirstAwait), "expected by the test");
    async move {
        tokio::task::yield_now().await;
        assert!(!matches!(when, Panic::AfterAnAwait), "expected by the test");
        Ok(Reply::later(async {
            tokio::task::yield_now().await;
            panic!("expected by the test")
        }))
    }
}

async fn costs_one_session(when: Panic) {
    let fixture = serve_handlers(handlers().on(panics), SessionConfig::default());
    let mut other = fixture.log_in(2).await;
    let mut client = fixture.log_in(1).await;
    client.send(&Echo(1)).await;
    client.send(&Defer(2)).await;
    client.send(&when).await;
    fixture.app.open(2);
    assert_eq!(client.receive::<Echoed>().await, Echoed(1));
    assert_eq!(client.receive::<Deferred>().await, Deferred(2), "what was begun before is finished");
    assert!(client.receive_frame().await.is_none());
    match client.closed().await {
        CloseReason::HandlerPanicked(text) => assert_eq!(text, "expected by the test"),
        other => panic!("{other}"),
    }
    assert_eq!(fixture.app.journal().last().unwrap(), "closed: handler_panicked");
    assert!(fixture.server.sessions().of(&1).is_none());

    other.send(&Echo(3)).await;
    assert_eq!(other.receive::<Echoed>().await, Echoed(3));
    other.close().await;
    fixture.assert_nothing_left();
}

#[tokio::test(start_paused = true)]
async fn before_the_first_await() {
    costs_one_session(Panic::BeforeTheFirstAwait).await;
}

#[tokio::test(start_paused = true)]
async fn after_an_await() {
    costs_one_session(Panic::AfterAnAwait).await;
}

#[tokio::test(start_paused = true)]
async fn in_what_is_deferred() {
    costs_one_session(Panic::InWhatIsDeferred).await;
}
