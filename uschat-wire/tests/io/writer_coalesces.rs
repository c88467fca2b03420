//! What many tasks send one by one leaves in few writes.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use uschat_wire::{Frame, FrameWriter, WriterConfig};

use crate::sockets::{Sink, Wakes, poll, poll_counting, run_until_stalled, soon};

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

#[test]
fn frames_of_many_tasks_share_one_write() {
    let sink = Sink::new();
    let (sender, mut writer) = FrameWriter::new_local(sink.clone(), WriterConfig::default());
    for id in 0..500 {
        let sender = sender.clone();
        run_until_stalled(async move { sender.send(id, b"hello").await }).unwrap().unwrap();
    }
    assert!(run_until_stalled(writer.run()).is_none(), "a sender is left");
    assert_eq!(sink.counts(), (1, 1));
    assert_eq!(sink.ids(), (0..500).collect::<Vec<_>>());
}

#[tokio::test]
async fn on_a_runtime_too() {
    let sink = Sink::new();
    let (sender, mut writer) = FrameWriter::new(sink.clone(), WriterConfig::default());
    // The writer sleeps already when the tasks begin.
    let writing = tokio::spawn(async move { writer.run().await });
    tokio::task::yield_now().await;
    let tasks: Vec<_> = (0..100)
        .map(|id| {
            let sender = sender.clone();
            tokio::spawn(async move {
                for _ in 0..10 {
                    sender.send(id, b"hello").await.unwrap();
                }
            })
        })
        .collect();
    drop(sender);
    for task in tasks {
        soon(task).await.unwrap();
    }
    soon(writing).await.unwrap().unwrap();
    assert_eq!(sink.frames().len(), 1000);
    assert_eq!(sink.far().writes, 1);
}

#[test]
fn only_the_first_frame_after_a_pause_wakes_the_writer() {
    let sink = Sink::new();
    let (sender, mut writer) = FrameWriter::new_local(sink.clone(), WriterConfig::default());
    let wakes = Arc::new(Wakes::default());
    let mut run: Boxed<'_, _> = Box::pin(writer.run());
    assert!(poll_counting(&mut run, &wakes).is_pending());
    for pause in 0..3 {
        let before = wakes.count();
        for id in 0..100 {
            sender.try_send(id, b"").unwrap();
        }
        assert_eq!(wakes.count(), before + 1, "after pause {pause}");
        // Lets others run, writes, lets others run, flushes and sleeps: it wakes itself twice.
        for _ in 0..3 {
            assert!(poll_counting(&mut run, &wakes).is_pending());
        }
        assert_eq!(wakes.count(), before + 3);
        assert_eq!(sink.counts(), (pause + 1, pause + 1));
    }
}

#[test]
fn while_a_write_waits_the_next_frames_gather() {
    let sink = Sink::stalled();
    let (sender, mut writer) = FrameWriter::new_local(sink.clone(), WriterConfig::default());
    let mut run: Boxed<'_, _> = Box::pin(writer.run());
    sender.try_send(0, b"first").unwrap();
    assert!(poll(&mut run).is_pending());
    for id in 1..=200 {
        sender.try_send(id, b"later").unwrap();
        assert!(poll(&mut run).is_pending());
    }
    sink.open_window(usize::MAX);
    assert!(run_until_stalled(run.as_mut()).is_none());
    assert_eq!(sink.far().writes, 2);
    assert_eq!(sink.ids(), (0..=200).collect::<Vec<_>>());
}

#[test]
fn a_lone_frame_does_not_wait_for_company() {
    let sink = Sink::new();
    let (sender, mut writer) = FrameWriter::new_local(sink.clone(), WriterConfig::default());
    let mut run = Box::pin(writer.run());
    assert!(run_until_stalled(run.as_mut()).is_none());
    for id in 0..5 {
        sender.try_send(id, b"hi").unwrap();
        assert!(run_until_stalled(run.as_mut()).is_none());
        assert_eq!(sink.far().writes, usize::from(id) + 1);
    }
}

#[test]
fn long_bodies_are_written_from_where_they_lie() {
    let sink = Sink::new();
    sink.far().vectored = true;
    let (sender, mut writer) = FrameWriter::new_local(sink.clone(), WriterConfig::default());
    let bodies: Vec<_> = [10_000, 100, 8192].map(|len| Bytes::from(vec![7; len])).into();
    let places: Vec<_> = bodies.iter().map(|body| body.as_ptr() as usize).collect();
    for (id, body) in (0..).zip(&bodies) {
        run_until_stalled(sender.send_frame(Frame::new(id, body.clone()))).unwrap().unwrap();
    }
    sender.try_send_frame(Frame::new(3, bodies[0].clone())).unwrap();
    assert!(run_until_stalled(writer.run()).is_none());
    let far = sink.far();
    assert_eq!(far.writes, 1);
    let lengths: Vec<_> = far.slices.iter().map(|&(_, len)| len).collect();
    assert_eq!(lengths, [4, 10_000, 4 + 100 + 4, 8192, 4, 10_000]);
    assert_eq!([far.slices[1].0, far.slices[3].0, far.slices[5].0], [places[0], places[2], places[0]]);
}

#[test]
fn a_socket_that_cannot_write_vectored_gets_the_same_bytes() {
    for per_write in [1, 7, 1448, usize::MAX] {
        for vectored in [false, true] {
            let sink = Sink::new();
            sink.far().vectored = vectored;
            sink.far().per_write = per_write;
            let (sender, mut writer) = FrameWriter::new_local(sink.clone(), WriterConfig::default());
            let frames: Vec<_> =
                (0..9).map(|id| Frame::new(id, vec![id as u8; [0, 9000, 30][usize::from(id) % 3]])).collect();
            for frame in &frames {
                sender.try_send_frame(frame.clone()).unwrap();
            }
            assert!(run_until_stalled(writer.run()).is_none());
            assert_eq!(sink.frames(), frames);
        }
    }
}

#[tokio::test]
async fn a_steady_stream_is_written_without_a_pause() {
    let sink = Sink::new();
    let config = WriterConfig { max_bytes: 1000, ..WriterConfig::default() };
    let (sender, mut writer) = FrameWriter::new(sink.clone(), config);
    let writing = tokio::spawn(async move { writer.run().await });
    let sending = tokio::spawn(async move {
        for id in 0..1000 {
            sender.send(id, &[7; 96]).await.unwrap();
        }
    });
    soon(sending).await.unwrap();
    soon(writing).await.unwrap().unwrap();
    assert_eq!(sink.ids(), (0..1000).collect::<Vec<_>>());
    assert_eq!(sink.counts(), (100, 1), "ten frames a write, and one flush at the end");
}
