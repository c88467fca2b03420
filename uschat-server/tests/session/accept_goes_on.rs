//! What keeps a listener from accepting (no free place, no free file descriptor) makes newcomers wait and nobody else.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use uschat_server::{CancellationToken, session::SessionConfig};

use crate::app::*;

async fn echo_over(stream: &mut TcpStream, number: u32) {
    stream.write_all(&bytes_of(&Echo(number))).await.unwrap();
    let mut answer = vec![0; bytes_of(&Echoed(number)).len()];
    timeout(Duration::from_secs(10), stream.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(answer, bytes_of(&Echoed(number)));
}

#[tokio::test]
async fn connections_beyond_the_places_wait() {
    let config = SessionConfig { connections: 2, ..SessionConfig::default() };
    let fixture = serve_handlers(handlers().without_login_guard(), config);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = fixture.server.clone();
    tokio::spawn(async move { server.listen(listener, CancellationToken::new()).await });
    let mut first = TcpStream::connect(address).await.unwrap();
    let mut second = TcpStream::connect(address).await.unwrap();
    echo_over(&mut first, 1).await;
    echo_over(&mut second, 2).await;
    let mut third = TcpStream::connect(address).await.unwrap();
    third.write_all(&bytes_of(&Echo(3))).await.unwrap();
    let refused = timeout(Duration::from_millis(200), third.read_u8()).await;
    assert!(refused.is_err(), "it waits in the backlog");
    assert_eq!(fixture.server.sessions().open(), 2);
    drop(first);
    let mut answer = vec![0; bytes_of(&Echoed(3)).len()];
    timeout(Duration::from_secs(10), third.read_exact(&mut answer)).await.unwrap().unwrap();
    echo_over(&mut second, 4).await;
}

/// Runs the test below in a process that may open few files.
#[cfg(unix)]
#[test]
fn without_file_descriptors_it_pauses_and_recovers() {
    let output = std::process::Command::new("sh")
        .args(["-c", "ulimit -n 40 && exec \"$0\" --exact accept_goes_on::with_few_files --ignored --nocapture"])
        .arg(std::env::current_exe().unwrap())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
#[ignore = "run by without_file_descriptors_it_pauses_and_recovers, which limits the open files"]
async fn with_few_files() {
    let fixture = serve_handlers(handlers().without_login_guard(), SessionConfig::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = fixture.server.clone();
    let serving = tokio::spawn(async move { server.listen(listener, CancellationToken::new()).await });
    let mut honest = TcpStream::connect(address).await.unwrap();
    echo_over(&mut honest, 1).await;

    // Into the backlog: the server gets no turn before the last descriptor is gone.
    let mut crowd = Vec::new();
    let exhausted = loop {
        match std::net::TcpStream::connect(address) {
            Ok(stream) => crowd.push(stream),
            Err(error) => break error,
        }
    };
    assert_eq!(exhausted.raw_os_error(), Some(24), "EMFILE");
    assert!(!crowd.is_empty());
    for number in 2..10 {
        echo_over(&mut honest, number).await;
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    assert_eq!(fixture.server.sessions().open(), 1, "nobody of the crowd can be accepted");
    assert!(!serving.is_finished());
    drop(crowd);
    let mut newcomer = loop {
        // The server frees its side of the crowd's connections a moment later.
        match TcpStream::connect(address).await {
            Ok(stream) => break stream,
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    };
    echo_over(&mut newcomer, 10).await;
}
