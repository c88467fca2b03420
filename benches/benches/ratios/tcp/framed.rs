//! tokio-util's `Framed` with its `LengthDelimitedCodec`, whose own header has
//! as many bytes as ours.

use std::hint::black_box;

use bytes::Bytes;
use futures_util::{Sink, SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::task::spawn_local;
use tokio_util::codec::{FramedRead, FramedWrite};

use super::Load;
use crate::contenders::length_delimited_encoder as codec;

/// Each frame is flushed.
pub(super) async fn send(load: Load, from: TcpStream, to: TcpStream) -> usize {
    let writer = spawn_local(async move {
        let mut sink = sink(from);
        for _ in 0..load.frames {
            sink.send(load.body.clone()).await.unwrap();
        }
    });
    let seen = receive(to).await;
    writer.await.unwrap();
    seen
}

/// Some frames at a time are flushed.
pub(super) async fn feed(load: Load, from: TcpStream, to: TcpStream) -> usize {
    let writer = spawn_local(async move {
        let mut sink = sink(from);
        for frame in 1..=load.frames {
            sink.feed(load.body.clone()).await.unwrap();
            if frame % load.flush_each == 0 {
                sink.flush().await.unwrap();
            }
        }
        sink.flush().await.unwrap();
    });
    let seen = receive(to).await;
    writer.await.unwrap();
    seen
}

/// Names the item, because the codec takes slices too.
fn sink(from: TcpStream) -> impl Sink<Bytes, Error = std::io::Error> + Unpin {
    FramedWrite::new(from, codec())
}

async fn receive(to: TcpStream) -> usize {
    let mut stream = FramedRead::new(to, codec());
    let mut seen = 0;
    while let Some(frame) = stream.next().await {
        black_box(frame.unwrap().as_ptr());
        seen += 1;
    }
    seen
}
