//! The example `embed`, over TCP, with the bytes that its top tells to try.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
};
use uschat_server::{
    LogicSystem,
    session::{Server, SessionConfig},
};

// Its `main` is left out: the test listens on a port of its own.
#[allow(dead_code)]
#[path = "../../examples/embed.rs"]
mod embed;

async fn listen(listener: TcpListener, stop: impl Future) {
    let logic = LogicSystem::builder().on_open(embed::join).build().unwrap();
    Server::new(embed::Room, logic, SessionConfig::default()).listen_until(listener, stop).await.unwrap();
}

async fn read(stream: &mut TcpStream, expected: &[u8]) {
    let mut seen = vec![0; expected.len()];
    stream.read_exact(&mut seen).await.unwrap();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn two_users_meet() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(listen(listener, stopped));

    let mut ann = TcpStream::connect(address).await.unwrap();
    ann.write_all(b"\0\x01\0\x03ann").await.unwrap();
    read(&mut ann, b"\0\x02\0\x0cwelcome, ann").await;
    let mut bob = TcpStream::connect(address).await.unwrap();
    bob.write_all(b"\0\x01\0\x03bob").await.unwrap();
    read(&mut bob, b"\0\x02\0\x0cwelcome, bob").await;
    read(&mut ann, b"\0\x02\0\x0bbob is here").await;

    // A second ann takes the place of the first, who is disconnected; only bob hears of it.
    let mut second = TcpStream::connect(address).await.unwrap();
    second.write_all(b"\0\x01\0\x03ann").await.unwrap();
    read(&mut second, b"\0\x02\0\x0cwelcome, ann").await;
    read(&mut bob, b"\0\x02\0\x0bann is here").await;
    assert_eq!(ann.read(&mut [0; 1]).await.unwrap(), 0);

    stop.send(()).unwrap();
    assert_eq!(bob.read(&mut [0; 1]).await.unwrap(), 0);
    assert_eq!(second.read(&mut [0; 1]).await.unwrap(), 0);
    drop((ann, bob, second));
    serving.await.unwrap();
}

#[test]
fn the_readme_shows_it_as_it_is() {
    let readme = include_str!("../../../README.md").replace("\r\n", "\n");
    let example = include_str!("../../examples/embed.rs").replace("\r\n", "\n");
    assert!(readme.contains(&format!("```rust\n{example}```\n")), "copy examples/embed.rs into README.md");
}
