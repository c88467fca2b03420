//! However a session ends, nothing of it stays: not in the registry, not in memory.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use uschat_server::{
    Application, Context, LogicSystem, Reply,
    proto::ErrorCode,
    session::{CloseReason, Server, SessionConfig},
    testing,
    wire::Frame,
};

use crate::app::*;

static LIVE: AtomicUsize = AtomicUsize::new(0);

struct Counted;

impl Default for Counted {
    fn default() -> Self {
        LIVE.fetch_add(1, Ordering::SeqCst);
        Self
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        LIVE.fetch_sub(1, Ordering::SeqCst);
    }
}

struct Counting;

impl Application for Counting {
    type User = u32;
    type Session = Counted;
}

async fn log_in(cx: Context<Counting>, Login(user): Login) -> Result<Reply<LoggedIn>, ErrorCode> {
    if let Some(older) = cx.log_in(user)? {
        older.replace(Frame::new(0, ""));
    }
    Ok(Reply::Now(LoggedIn(user)))
}

async fn panics(_: Context<Counting>, _: Echo) -> Result<Reply<Echoed>, ErrorCode> {
    panic!("expected by the test")
}

async fn never_returns(_: Context<Counting>, _: Wait) -> Result<Reply<Waited>, ErrorCode> {
    std::future::pending().await
}

#[tokio::test(start_paused = true)]
async fn whatever_ended_it() {
    let logic = LogicSystem::builder().on_open(log_in).on(panics).on(never_returns).build().unwrap();
    let server = Arc::new(Server::new(Counting, logic, SessionConfig::default()));
    let mut clients = Vec::new();
    for user in [1, 1, 2, 3, 4, 5] {
        let mut client = testing::connect(&server);
        client.send(&Login(user)).await;
        client.receive::<LoggedIn>().await;
        clients.push(client);
    }
    // Served by a future that is dropped while a handler runs.
    let (mut near, far) = tokio::io::duplex(1024);
    let dropped = tokio::spawn({
        let server = server.clone();
        async move { server.serve_connection(far, None).await }
    });
    tokio::io::AsyncWriteExt::write_all(&mut near, &[bytes_of(&Login(6)), bytes_of(&Wait(0))].concat()).await.unwrap();
    until(|| server.sessions().of(&6).is_some()).await;
    assert_eq!((server.sessions().open(), server.sessions().logged_in()), (7, 6));
    assert_eq!(LIVE.load(Ordering::SeqCst), 7);

    dropped.abort();
    clients[2].send(&Echo(0)).await;
    clients[3].send_bytes(&[0, 0, 0xff, 0xff]).await;
    server.sessions().of(&4).unwrap().close(CloseReason::Application("enough"));
    // The first was replaced, the second and the last close by themselves.
    for client in clients {
        client.close().await;
    }
    until(|| server.sessions().open() == 0).await;
    assert_eq!(server.sessions().logged_in(), 0);
    assert_eq!(LIVE.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn a_login_that_comes_too_late_does_not_enter_routing() {
    async fn log_in_late(cx: Cx, Wait(user): Wait) -> Answer<Waited> {
        tokio::spawn(async move {
            cx.opened(user).await;
            let entered = cx.log_in(user);
            cx.note(format!("late: {:?}", entered.map(|older| older.is_some())));
        });
        Ok(Reply::Now(Waited(user)))
    }
    let logic = LogicSystem::builder().on_open(log_in_late);
    let fixture = serve_handlers(logic, SessionConfig::default());
    let mut client = testing::connect(&fixture.server);
    client.send(&Wait(1)).await;
    client.receive::<Waited>().await;
    client.close().await;
    fixture.app.open(1);
    until(|| fixture.app.journal().last().is_some_and(|last| last == "late: Ok(false)")).await;
    fixture.assert_nothing_left();
}
