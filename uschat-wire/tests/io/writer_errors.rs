//! When the connection or its writer ends, everybody gets to know, at once.

use std::future::Future;
use std::io;
use std::pin::Pin;

use uschat_wire::{Frame, FrameWriter, LocalFrameSender, SendError, TrySendError, WriterConfig};

use crate::sockets::{Sink, poll, run_until_stalled, soon};

type Sending<'a> = Pin<Box<dyn Future<Output = Result<(), SendError>> + 'a>>;

fn one_frame_at_a_time() -> WriterConfig {
    WriterConfig { max_frames: 1, ..WriterConfig::default() }
}

fn three_who_wait(sender: &LocalFrameSender) -> Vec<Sending<'_>> {
    sender.try_send(1, b"in").expect("room");
    let mut waiting: Vec<Sending<'_>> = (0..3).map(|id| Box::pin(sender.send(id, b"out")) as Sending<'_>).collect();
    assert!(waiting.iter_mut().all(|sending| poll(sending).is_pending()));
    waiting
}

fn assert_closed(sender: &LocalFrameSender) {
    assert!(sender.is_closed());
    assert_eq!(run_until_stalled(sender.send(1, b"")), Some(Err(SendError::Closed)));
    assert_eq!(run_until_stalled(sender.send_frame(Frame::new(1, ""))), Some(Err(SendError::Closed)));
    assert_eq!(sender.try_send(1, b""), Err(TrySendError::Closed));
    assert_eq!(sender.try_send_frame(Frame::new(1, vec![0; 9000])), Err(TrySendError::Closed));
}

#[test]
fn an_error_of_the_socket_closes_the_senders_and_comes_again() {
    let sink = Sink::new();
    let (sender, mut writer) = FrameWriter::new_local(sink.clone(), one_frame_at_a_time());
    let waiting = three_who_wait(&sender);
    assert!(!sender.is_closed());
    sink.far().fails = Some(io::ErrorKind::ConnectionReset);
    for _ in 0..2 {
        let error = run_until_stalled(writer.run()).unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }
    for sending in waiting {
        assert_eq!(run_until_stalled(sending), Some(Err(SendError::Closed)));
    }
    assert_closed(&sender);
    assert_eq!(writer.capacity(), 0, "what cannot be written is not kept");
}

#[test]
fn a_socket_that_takes_nothing_is_an_error() {
    let sink = Sink::new();
    sink.far().per_write = 0;
    let (sender, mut writer) = FrameWriter::new_local(sink, WriterConfig::default());
    sender.try_send(1, b"").unwrap();
    let error = run_until_stalled(writer.run()).unwrap().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WriteZero);
    assert_closed(&sender);
}

#[test]
fn a_writer_that_is_dropped_closes_the_senders() {
    let (sender, writer) = FrameWriter::new_local(Sink::new(), one_frame_at_a_time());
    let waiting = three_who_wait(&sender);
    drop(writer);
    for sending in waiting {
        assert_eq!(run_until_stalled(sending), Some(Err(SendError::Closed)));
    }
    assert_closed(&sender);

    let (sender, writer) = FrameWriter::new_local(Sink::new(), WriterConfig::default());
    writer.into_inner();
    assert_closed(&sender);
}

#[tokio::test]
async fn senders_that_wait_in_tasks_are_woken_when_the_writer_ends() {
    let (sender, writer) = FrameWriter::new(Sink::stalled(), one_frame_at_a_time());
    sender.send(1, b"").await.unwrap();
    let tasks: Vec<_> = (0..10)
        .map(|id| {
            let sender = sender.clone();
            tokio::spawn(async move { sender.send(id, b"").await })
        })
        .collect();
    tokio::task::yield_now().await;
    drop(writer);
    for task in tasks {
        assert_eq!(soon(task).await.unwrap(), Err(SendError::Closed));
    }
}

#[test]
fn the_last_sender_that_is_dropped_ends_the_writer_when_all_is_written_and_flushed() {
    let sink = Sink::stalled();
    let (sender, mut writer) = FrameWriter::new_local(sink.clone(), WriterConfig::default());
    let other = sender.clone();
    let mut run = Box::pin(writer.run());
    assert!(run_until_stalled(run.as_mut()).is_none());
    other.try_send(1, b"last words").unwrap();
    drop(other);
    assert!(run_until_stalled(run.as_mut()).is_none());
    drop(sender);
    assert!(run_until_stalled(run.as_mut()).is_none(), "the socket takes nothing yet");
    sink.open_window(usize::MAX);
    assert!(run_until_stalled(run).unwrap().is_ok());
    assert_eq!(sink.ids(), [1]);
    assert_eq!(sink.counts(), (1, 1));
    assert!(run_until_stalled(writer.run()).unwrap().is_ok(), "and stays ended");
    assert_eq!(writer.capacity(), 0);
}

#[tokio::test]
async fn a_writer_that_sleeps_is_woken_when_the_last_sender_goes() {
    let (sender, mut writer) = FrameWriter::new(Sink::new(), WriterConfig::default());
    let writing = tokio::spawn(async move { writer.run().await });
    tokio::task::yield_now().await;
    drop(sender);
    soon(writing).await.unwrap().unwrap();
}

#[test]
fn debug_shows_no_byte_of_what_waits() {
    let (sender, mut writer) = FrameWriter::new_local(Vec::new(), WriterConfig::default());
    sender.try_send(1, b"hunter2").unwrap();
    assert_eq!(format!("{sender:?}"), "FrameSender { closed: false, .. }");
    assert_eq!(format!("{writer:?}"), "FrameWriter { io: [], writing: 0, failed: None, .. }");
    assert_eq!(writer.get_mut().len(), 0);
}
