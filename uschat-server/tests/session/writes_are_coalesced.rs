//! Without pacing, everything that waits goes into one write, up to 64 frames or 16 KiB.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex};
use uschat_server::{session::SessionConfig, wire::Frame};

use crate::app::*;

/// Notes the size of every write.
struct Counting {
    io: DuplexStream,
    writes: Arc<Mutex<Vec<usize>>>,
}

impl AsyncRead for Counting {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Counting {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.writes.lock().unwrap().push(buf.len());
        Pin::new(&mut self.io).poll_write(cx, buf)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// Pushes frames with bodies of this length all at once; returns the sizes of the writes they took.
async fn writes_for(frames: usize, body: usize) -> Vec<usize> {
    let fixture = serve(SessionConfig::default());
    let (mut near, io) = duplex(1024 * 1024);
    let writes = Arc::new(Mutex::new(Vec::new()));
    let (server, counting) = (fixture.server.clone(), Counting { io, writes: writes.clone() });
    tokio::spawn(async move { server.serve_connection(counting, None).await });
    near.write_all(&bytes_of(&Login(1))).await.unwrap();
    until(|| !writes.lock().unwrap().is_empty()).await;
    writes.lock().unwrap().clear();
    for _ in 0..frames {
        fixture.session(1).push_frame(Frame::new(50, vec![0; body])).unwrap();
    }
    let total = |writes: &Vec<usize>| writes.iter().sum::<usize>();
    until(|| total(&writes.lock().unwrap()) == frames * (body + 4)).await;
    writes.lock().unwrap().clone()
}

#[tokio::test(start_paused = true)]
async fn a_burst_is_one_write() {
    assert_eq!(writes_for(50, 16).await, [50 * 20]);
}

#[tokio::test(start_paused = true)]
async fn a_write_takes_64_frames() {
    assert_eq!(writes_for(150, 16).await, [64 * 20, 64 * 20, 22 * 20]);
}

#[tokio::test(start_paused = true)]
async fn a_write_takes_no_frame_after_16_kib() {
    let frame = 4_096;
    assert_eq!(writes_for(10, frame - 4).await, [4 * frame, 4 * frame, 2 * frame]);
}

#[tokio::test(start_paused = true)]
async fn answers_to_requests_in_one_segment_are_one_write() {
    let fixture = serve(SessionConfig::default());
    let (mut near, io) = duplex(1024 * 1024);
    let writes = Arc::new(Mutex::new(Vec::new()));
    let (server, counting) = (fixture.server.clone(), Counting { io, writes: writes.clone() });
    let session = tokio::spawn(async move { server.serve_connection(counting, None).await });
    let mut requests = bytes_of(&Login(1));
    (0..50).for_each(|_| requests.extend(bytes_of(&Echo(7))));
    near.write_all(&requests).await.unwrap();
    near.shutdown().await.unwrap();
    session.await.unwrap();
    assert_eq!(*writes.lock().unwrap(), [bytes_of(&LoggedIn(1)).len() + 50 * bytes_of(&Echoed(7)).len()]);
}
