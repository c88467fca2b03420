//! Many tasks send, each frame by itself; the reader takes all frames of a read.

use std::future::Future;
use std::hint::black_box;

use tokio::net::TcpStream;
use tokio::task::spawn_local;
use uschat_benches::FRAME_ID;
use uschat_wire::{Frame, FrameReader, FrameSender, FrameWriter, Layout, Limits, Sharing, WriterConfig};

use super::Load;

/// From the tasks of one thread.
pub(super) async fn local(load: Load, from: TcpStream, to: TcpStream) -> usize {
    let (sender, mut writer) = FrameWriter::new_local(from, WriterConfig::default());
    let writer = spawn_local(async move { writer.run().await });
    send(&load, sender);
    let seen = receive(to).await;
    writer.await.unwrap().unwrap();
    seen
}

/// From any thread, though here it is one.
pub(super) async fn threads(load: Load, from: TcpStream, to: TcpStream) -> usize {
    let (sender, mut writer) = FrameWriter::new(from, WriterConfig::default());
    let writer = spawn_local(async move { writer.run().await });
    send(&load, sender);
    let seen = receive(to).await;
    writer.await.unwrap().unwrap();
    seen
}

/// Bodies that the sender shares with the connection.
pub(super) async fn local_shared(load: Load, from: TcpStream, to: TcpStream) -> usize {
    let (sender, mut writer) = FrameWriter::new_local(from, WriterConfig::default());
    let writer = spawn_local(async move { writer.run().await });
    each_task(&load, |frames| {
        let (sender, body) = (sender.clone(), load.body.clone());
        async move {
            for _ in 0..frames {
                sender.send_frame(Frame::new(FRAME_ID, body.clone())).await.unwrap();
            }
        }
    });
    drop(sender);
    let seen = receive(to).await;
    writer.await.unwrap().unwrap();
    seen
}

fn send<L: Layout, S: Sharing>(load: &Load, sender: FrameSender<L, S>) {
    each_task(load, |frames| {
        let (sender, body) = (sender.clone(), load.body.clone());
        async move {
            let body = black_box(&body[..]);
            for _ in 0..frames {
                sender.send(FRAME_ID, body).await.unwrap();
            }
        }
    });
}

/// Starts the tasks of the load, each with its share of the frames.
fn each_task<F: Future<Output = ()> + 'static>(load: &Load, task: impl Fn(usize) -> F) {
    for index in 0..load.tasks {
        spawn_local(task((load.frames + index) / load.tasks));
    }
}

async fn receive(to: TcpStream) -> usize {
    let mut reader = FrameReader::new(to, Limits::default());
    let mut seen = 0;
    while let Some(frames) = reader.frames().await.unwrap() {
        for frame in frames {
            black_box(frame.unwrap().body.as_ptr());
            seen += 1;
        }
    }
    seen
}
