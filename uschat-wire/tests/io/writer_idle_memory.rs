//! A writer that has written everything holds nothing.

use std::sync::Arc;

use uschat_wire::{Frame, FrameWriter, WriterConfig};

use crate::sockets::{Sink, Wakes, poll, poll_counting, run_until_stalled};

#[test]
fn nothing_is_held_before_the_first_frame_and_after_the_last() {
    let (sender, mut writer) = FrameWriter::new_local(Sink::new(), WriterConfig::default());
    assert_eq!(writer.capacity(), 0);
    for round in 1..=3 {
        for id in 0..300 {
            sender.try_send(id, &[7; 100]).unwrap();
        }
        sender.try_send_frame(Frame::new(300, vec![7; 10_000])).unwrap();
        assert!(writer.capacity() >= 300 * 104);
        assert!(run_until_stalled(writer.run()).is_none());
        assert_eq!(writer.capacity(), 0, "round {round}");
    }
}

#[test]
fn nothing_is_held_when_the_writer_has_ended() {
    let (sender, mut writer) = FrameWriter::new_local(Sink::new(), WriterConfig::default());
    let mut run = Box::pin(writer.run());
    for _ in 0..2 {
        sender.try_send(1, &[7; 1000]).unwrap();
        assert!(poll(&mut run).is_pending(), "has written, and looks for more before it sleeps");
    }
    drop(sender);
    run_until_stalled(run).unwrap().unwrap();
    assert_eq!(writer.capacity(), 0);
}

#[test]
fn while_a_peer_does_not_read_little_more_is_held_than_waits() {
    let (sender, mut writer) = FrameWriter::new_local(Sink::stalled(), WriterConfig::default());
    sender.try_send(1, b"hello").unwrap();
    assert!(run_until_stalled(writer.run()).is_none());
    sender.try_send(2, b"hello").unwrap();
    assert!(writer.capacity() <= 512, "{}", writer.capacity());
}

#[test]
fn buffers_are_used_again_as_long_as_there_is_something_to_write() {
    let sink = Sink::stalled();
    let (sender, mut writer) = FrameWriter::new_local(sink.clone(), WriterConfig::default());
    let mut held = Vec::new();
    for _ in 0..20 {
        while sender.try_send(1, &[7; 60]).is_ok() {}
        assert!(run_until_stalled(writer.run()).is_none());
        held.push(writer.capacity());
        sink.open_window(40_960);
    }
    assert!(held[2..].iter().all(|&capacity| capacity == held[2]), "{held:?}");
    assert!(held[2] <= 4 * 40_960, "{held:?}");
}

#[test]
fn buffers_stay_for_a_sender_that_was_woken_and_go_if_it_gives_up() {
    let sink = Sink::new();
    let (sender, mut writer) = FrameWriter::new_local(sink.clone(), WriterConfig::default());
    for gives_up in [false, true, false] {
        while sender.try_send(1, &[7; 60]).is_ok() {}
        let mut patient = Box::pin(sender.send(2, b"patient"));
        assert!(poll(&mut patient).is_pending());
        assert!(run_until_stalled(writer.run()).is_none(), "has written all");
        assert!(writer.capacity() >= 40_960, "{}", writer.capacity());
        let mut run = Box::pin(writer.run());
        assert!(run_until_stalled(run.as_mut()).is_none());
        if gives_up {
            drop(patient);
        } else {
            assert!(poll(&mut patient).is_ready());
        }
        assert!(run_until_stalled(run).is_none());
        assert_eq!(writer.capacity(), 0);
    }
    assert_eq!(sink.ids().iter().filter(|&&id| id == 2).count(), 2);
}

#[test]
fn a_writer_that_waits_for_a_sender_is_woken_if_that_one_gives_up() {
    let (sender, mut writer) = FrameWriter::new_local(Sink::new(), WriterConfig::default());
    while sender.try_send(1, &[7; 60]).is_ok() {}
    let mut patient = Box::pin(sender.send(2, b"patient"));
    assert!(poll(&mut patient).is_pending());
    let wakes = Arc::new(Wakes::default());
    let mut run = Box::pin(writer.run());
    let mut before = usize::MAX;
    while before != wakes.count() {
        before = wakes.count();
        assert!(poll_counting(&mut run, &wakes).is_pending());
    }
    drop(patient);
    assert_eq!(wakes.count(), before + 1);
}
