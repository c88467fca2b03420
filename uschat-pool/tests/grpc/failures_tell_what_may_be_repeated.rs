//! What never reached the server is made again for everybody, and what may have, only for those who said that it may.

use std::{
    future::poll_fn,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use h2::{Reason, server};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, copy, duplex, split},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tonic::{Code, codegen::http};
use uschat_pool::{CallError, CallFailure, PoolError, Repeat, Retry, grpc::GrpcError};

use crate::grpc_peer::{
    HELD, LONG, Peer, QUICK, call,
    proxy::{Mode, Proxy},
    shared,
};

#[derive(Clone, Copy)]
enum Answer {
    Served,
    Reset(Reason),
    /// The server takes no more calls: this is the last stream that it has looked at. 1 carries the pool's probe, 3 the first
    /// call.
    GoAway(u8),
    /// The server ends the connection, and says that it had taken this call.
    TakenThenGoAway,
    /// The connection is gone.
    HangUp,
}

/// An HTTP/2 server that answers a first call of ours with `first`, and all later ones properly.
async fn server(first: Answer) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, first, Arc::clone(&counted)));
        }
    });
    (address, calls)
}

async fn serve(stream: TcpStream, first: Answer, calls: Arc<AtomicUsize>) {
    let (goodbye, last_stream) = mpsc::channel(1);
    let mut connection = server::handshake(with_goodbye(stream, last_stream)).await.unwrap();
    let mut unanswered = Vec::new();
    while let Some(Ok((request, mut response))) = connection.accept().await {
        if request.uri().path() == HELD {
            unanswered.push(response);
            continue;
        }
        let is_probe = request.uri().path() != QUICK;
        let answer = match calls.fetch_add(usize::from(!is_probe), Ordering::Relaxed) {
            0 if !is_probe => first,
            _ => Answer::Served,
        };
        match answer {
            Answer::Served => answer_properly(&mut response),
            Answer::Reset(reason) => response.send_reset(reason),
            Answer::GoAway(last_stream) => {
                goodbye.send(last_stream).await.unwrap();
                unanswered.push(response);
            }
            Answer::TakenThenGoAway => {
                connection.abrupt_shutdown(Reason::NO_ERROR);
                let _ = poll_fn(|cx| connection.poll_closed(cx)).await;
                return;
            }
            Answer::HangUp => return,
        }
    }
}

/// Lets bytes through, and writes a GOAWAY that names this last stream, as a server does that has not seen later ones. h2 would
/// name the last one that came in.
fn with_goodbye(stream: TcpStream, mut last_stream: mpsc::Receiver<u8>) -> DuplexStream {
    let (ours, theirs) = duplex(64 * 1024);
    let (mut from_server, mut to_server) = split(ours);
    let (mut from_client, mut to_client) = stream.into_split();
    tokio::spawn(async move { copy(&mut from_client, &mut to_server).await });
    tokio::spawn(async move {
        let mut bytes = [0; 4_096];
        loop {
            let written = tokio::select! {
                count = from_server.read(&mut bytes) => match count {
                    Ok(count @ 1..) => to_client.write_all(&bytes[..count]).await,
                    _ => return,
                },
                Some(last) = last_stream.recv() => {
                    to_client.write_all(&[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, last, 0, 0, 0, 0]).await
                }
            };
            if written.is_err() {
                return;
            }
        }
    });
    theirs
}

fn answer_properly(response: &mut server::SendResponse<Bytes>) {
    let headers = http::Response::builder().header("content-type", "application/grpc").body(()).unwrap();
    let mut body = response.send_response(headers, false).unwrap();
    body.send_data(Bytes::from_static(&[0; 5]), false).unwrap();
    body.send_trailers([("grpc-status".parse().unwrap(), "0".parse().unwrap())].into_iter().collect()).unwrap();
}

async fn failure_of(first: Answer) -> (Repeat, bool) {
    let (address, _) = server(first).await;
    let shared = shared(address, 1);
    let handle = shared.handle().await.unwrap();
    let status = call(handle.clone(), QUICK).await.unwrap_err();
    assert_eq!(handle.is_broken(), status.is_connection_lost(), "the channel knows it as soon as the caller");
    (status.repeat(), status.is_connection_lost())
}

#[tokio::test]
async fn as_the_protocol_says() {
    assert_eq!(failure_of(Answer::Reset(Reason::REFUSED_STREAM)).await, (Repeat::Safe, false));
    assert_eq!(failure_of(Answer::Reset(Reason::INTERNAL_ERROR)).await, (Repeat::IfIdempotent, false));
    assert_eq!(failure_of(Answer::HangUp).await, (Repeat::IfIdempotent, true));
}

#[tokio::test]
async fn a_refused_call_is_made_again_and_a_broken_off_one_only_if_that_is_allowed() {
    for (first, is_made_again) in [
        (Answer::Served, true),
        (Answer::Reset(Reason::REFUSED_STREAM), true),
        (Answer::GoAway(1), true),
        (Answer::TakenThenGoAway, false),
        (Answer::Reset(Reason::CANCEL), false),
        (Answer::HangUp, false),
    ] {
        let (address, calls) = server(first).await;
        let shared = shared(address, 1);
        let once = Retry::within(LONG);
        let outcome = shared.call(once, |channel| call(channel, QUICK)).await;
        assert_eq!(outcome.is_ok(), is_made_again, "{outcome:?}");

        let before = calls.load(Ordering::Relaxed);
        shared.call(once.idempotent(), |channel| call(channel, QUICK)).await.unwrap();
        assert_eq!(calls.load(Ordering::Relaxed), before + 1);
    }
    for first in [Answer::Reset(Reason::CANCEL), Answer::HangUp] {
        let (address, calls) = server(first).await;
        let shared = shared(address, 1);
        shared.call(Retry::within(LONG).idempotent(), |channel| call(channel, QUICK)).await.unwrap();
        assert_eq!(calls.load(Ordering::Relaxed), 2, "the first was made again");
    }
}

/// What a server that shuts down has not looked at is made again by anybody, what it may have looked at is not.
#[tokio::test]
async fn a_server_that_shuts_down_says_how_far_it_came() {
    assert_eq!(failure_of(Answer::GoAway(1)).await, (Repeat::Safe, true));
    assert_eq!(failure_of(Answer::TakenThenGoAway).await, (Repeat::IfIdempotent, true));
}

#[tokio::test]
async fn nothing_more_is_sent_to_a_server_that_only_ends_what_it_has() {
    let (address, calls) = server(Answer::GoAway(3)).await;
    let shared = shared(address, 1);
    let handle = shared.handle().await.unwrap();
    let held = tokio::spawn(call(handle.clone(), HELD));
    tokio::task::yield_now().await; // it is sent first
    shared.call(Retry::within(LONG), |channel| call(channel, QUICK)).await.unwrap();
    assert_eq!(calls.load(Ordering::Relaxed), 2, "refused there, made again over a new channel");
    assert!(handle.is_broken());
    assert!(!held.is_finished(), "the server still works on it");
}

#[tokio::test]
async fn a_call_over_a_connection_that_has_ended_is_safe() {
    let peer = Peer::start().await;
    let proxy = Proxy::to(peer.address).await;
    let shared = shared(proxy.address, 1);
    let handle = shared.handle().await.unwrap();

    let held = tokio::spawn(call(handle.clone(), HELD));
    peer.begun().await;
    proxy.set(0, Mode::Ends);
    let cut = held.await.unwrap().unwrap_err();
    assert_eq!((cut.repeat(), cut.is_connection_lost()), (Repeat::IfIdempotent, true), "{cut:?}");
    assert!(handle.is_broken());

    let unsent = call(handle.clone(), QUICK).await.unwrap_err();
    assert_eq!((unsent.repeat(), unsent.is_connection_lost()), (Repeat::Safe, true), "{unsent:?}");
    assert_eq!(unsent.code(), Code::Unavailable);
    assert_eq!(peer.calls(), 1);
}

#[tokio::test]
async fn an_answer_of_the_application_is_final() {
    let peer = Peer::start().await;
    let shared = shared(peer.address, 1);
    let error =
        shared.call(Retry::within(LONG).idempotent(), |channel| call(channel, "/test.Peer/None")).await.unwrap_err();
    assert!(matches!(&error, CallError::Call(status) if status.code() == Code::Unimplemented), "{error:?}");
    assert_eq!(peer.calls(), 1);
    assert_eq!(shared.snapshot().live, 1, "its channel stays");
}

#[tokio::test]
async fn a_closed_port_is_tried_again_until_the_time_is_over() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let shared = shared(address, 1);
    let retry = Retry::within(std::time::Duration::from_millis(300));
    let error = shared.call(retry, |channel| call(channel, QUICK)).await.unwrap_err();
    assert!(
        matches!(
            error,
            CallError::Pool(PoolError::Connect(GrpcError::Transport(_)) | PoolError::BackingOff { .. })
                | CallError::Deadline { .. }
        ),
        "{error:?}"
    );
    let peer = Peer::start_on(address).await;
    shared.call(Retry::within(LONG), |channel| call(channel, QUICK)).await.unwrap();
    assert_eq!(peer.calls(), 1);
}
