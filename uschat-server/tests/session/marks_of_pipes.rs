//! Of a connection that cannot be asked what its peer has, marks are confirmed by an end in good order and by nothing else.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, duplex},
    time::sleep,
};
use uschat_server::{
    Application, LogicSystem,
    proto::Message,
    session::{CloseReason, Server, Session, SessionConfig},
    testing::{self, Client},
    wire::Frame,
};

use crate::app::*;

/// A client to which a push is on its way, and a mark behind it.
async fn client_with_a_mark(fixture: &Fixture) -> Client {
    let client = fixture.log_in(1).await;
    fixture.session(1).push(&Told(1)).unwrap();
    fixture.session(1).mark(3);
    client
}

#[tokio::test(start_paused = true)]
async fn a_clean_close_confirms() {
    let fixture = serve(SessionConfig::default());
    let mut client = client_with_a_mark(&fixture).await;
    assert_eq!(client.receive::<Told>().await, Told(1));
    sleep(Duration::from_secs(60)).await;
    assert_eq!(fixture.session(1).confirmed(), 0);
    client.close().await;
    assert_eq!(fixture.app.settled(), [3]);
}

#[tokio::test(start_paused = true)]
async fn the_middle_of_a_frame_is_no_clean_close() {
    let fixture = serve(SessionConfig::default());
    let mut client = client_with_a_mark(&fixture).await;
    client.send_bytes(&[0, 3]).await;
    assert!(matches!(client.close().await, CloseReason::PeerClosedMidFrame));
    assert_eq!(fixture.app.settled(), [0]);
}

#[tokio::test(start_paused = true)]
async fn our_close_confirms_if_the_client_closes_in_turn() {
    let fixture = serve(SessionConfig::default());
    let mut client = client_with_a_mark(&fixture).await;
    fixture.session(1).close(CloseReason::Application("enough"));
    assert_eq!(client.receive::<Told>().await, Told(1));
    assert!(client.receive_frame().await.is_none());
    client.close().await;
    assert_eq!(fixture.app.settled(), [3]);
}

#[tokio::test(start_paused = true)]
async fn our_close_confirms_nothing_if_the_client_does_not() {
    let fixture = serve(SessionConfig::default());
    let client = client_with_a_mark(&fixture).await;
    fixture.session(1).close(CloseReason::Application("enough"));
    until(|| !fixture.app.settled().is_empty()).await;
    assert_eq!(fixture.app.settled(), [0]);
    drop(client);
}

#[tokio::test(start_paused = true)]
async fn a_newer_login_confirms_nothing() {
    let fixture = serve(SessionConfig::default());
    let client = client_with_a_mark(&fixture).await;
    fixture.session(1).replace(Frame::new(Kicked::ID.0, "1"));
    assert!(matches!(client.close().await, CloseReason::Replaced));
    assert_eq!(fixture.app.settled(), [0]);
}

#[tokio::test(start_paused = true)]
async fn what_the_pipe_did_not_take_is_not_confirmed() {
    let fixture = serve(SessionConfig::default());
    let (mut near, far) = duplex(64);
    let server = fixture.server.clone();
    let serving = tokio::spawn(async move { server.serve_connection(far, None).await });
    near.write_all(&bytes_of(&Login(1))).await.unwrap();
    near.read_exact(&mut vec![0; bytes_of(&LoggedIn(1)).len()]).await.unwrap();
    fixture.session(1).push_frame(Frame::new(Told::ID.0, vec![b' '; 1_000])).unwrap();
    fixture.session(1).mark(3);
    near.shutdown().await.unwrap();
    assert!(matches!(serving.await.unwrap(), CloseReason::PeerClosed));
    assert_eq!(fixture.app.settled(), [0]);
    drop(near);
}

/// Notes the order of what it is told.
#[derive(Default)]
struct Ends(std::sync::Mutex<Vec<&'static str>>);

impl Application for Ends {
    type User = u32;
    type Session = ();

    async fn closed(&self, _: &Session<Self>, _: &CloseReason) {
        self.0.lock().unwrap().push("closed");
        panic!("this costs nobody the second one");
    }

    async fn settled(&self, _: &Session<Self>) {
        self.0.lock().unwrap().push("settled");
    }
}

#[tokio::test(start_paused = true)]
async fn the_application_hears_of_the_end_at_once_and_of_the_final_number_later() {
    let app = std::sync::Arc::new(Ends::default());
    let logic = LogicSystem::<Ends>::builder().build().unwrap();
    let server = std::sync::Arc::new(Server::new(app.clone(), logic, SessionConfig::default()));
    let client = testing::connect(&server);
    until(|| server.sessions().open() == 1).await;
    server.stop();
    until(|| app.0.lock().unwrap().as_slice() == ["closed"]).await;
    client.close().await;
    assert_eq!(*app.0.lock().unwrap(), ["closed", "settled"]);
}
