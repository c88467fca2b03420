//! A mark costs memory until it is confirmed, and nothing afterwards.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::sleep,
};
use uschat_server::{CancellationToken, session::SessionConfig};

use crate::app::*;

#[test]
fn an_idle_session_holds_what_it_held_before() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (fixture, _client) = runtime.block_on(async {
        let fixture = serve(SessionConfig::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let server = fixture.server.clone();
        tokio::spawn(async move { server.listen(listener, CancellationToken::new()).await });
        client.write_all(&bytes_of(&Login(1))).await.unwrap();
        client.read_exact(&mut vec![0; bytes_of(&LoggedIn(1)).len()]).await.unwrap();
        (fixture, client)
    });
    let session = fixture.session(1);
    let push = |mark: u64| {
        session.push(&Told(1)).unwrap();
        session.mark(mark);
    };
    let round = |mark: u64| {
        runtime.block_on(async {
            push(mark);
            until(|| session.confirmed() == mark).await;
            // The writer is done with the look.
            tokio::task::yield_now().await;
        });
    };
    // The queue keeps a few places from the first push on.
    round(1);
    assert_eq!(allocation_counter::measure(|| round(2)).bytes_current, 0);

    let unconfirmed = allocation_counter::measure(|| {
        runtime.block_on(async {
            push(3);
            sleep(Duration::from_millis(50)).await;
        });
    });
    assert_eq!(session.confirmed(), 2);
    assert!(unconfirmed.bytes_current > 0, "it would be seen");
}
