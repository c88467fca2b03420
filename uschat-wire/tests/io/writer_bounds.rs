//! What waits is bounded, and whoever finds no room gets some in turn.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use uschat_wire::{EncodeError, Frame, FrameWriter, LocalFrameSender, SendError, TrySendError, WriterConfig};

use crate::sockets::{Sink, Wakes, poll, poll_counting, run_until_stalled};

type Sending<'a> = Pin<Box<dyn Future<Output = Result<(), SendError>> + 'a>>;

fn bounds(max_bytes: usize, max_frames: usize) -> WriterConfig {
    WriterConfig { max_bytes, max_frames, ..WriterConfig::default() }
}

/// Frames that go in until there is no room.
fn fill(sender: &LocalFrameSender, body: &[u8]) -> usize {
    let mut count = 0;
    while let Ok(()) = sender.try_send(9, body) {
        count += 1;
        assert!(count < 1_000_000, "there is no bound");
    }
    assert_eq!(sender.try_send(9, body), Err(TrySendError::Full));
    assert_eq!(sender.try_send_frame(Frame::new(9, body.to_vec())), Err(TrySendError::Full));
    count
}

#[test]
fn bytes_and_frames_are_bounded_exactly() {
    for (max_bytes, max_frames, body, expected) in [
        (1000, 4096, 96, 10),      // 100 bytes each
        (1001, 4096, 96, 11),      // the last one may reach beyond
        (1000, 7, 96, 7),          // frames
        (1 << 20, 4096, 0, 4096),  // frames without bodies
        (1 << 20, 4096, 64, 4096), // and with small ones
        (1 << 20, 1, 64, 1),       // one
        (10, 4096, 60_000, 1),     // longer than all that may wait
        (0, 0, 5, 1),              // at least one
        (40_960, 4096, 60, 640),   // the defaults
        (65_536, usize::MAX, 0, 16_384),
        (usize::MAX, 1000, 2000, 1000),
    ] {
        let (sender, _writer) = FrameWriter::new_local(Sink::new(), bounds(max_bytes, max_frames));
        assert_eq!(fill(&sender, &vec![7; body]), expected, "{max_bytes} bytes, {max_frames} frames, bodies of {body}");
    }
}

#[test]
fn frames_of_mixed_lengths_keep_within_both_bounds() {
    let (sender, mut writer) = FrameWriter::new_local(Sink::new(), bounds(20_000, 300));
    for round in 0..50 {
        let (mut frames, mut bytes) = (0, 0);
        while sender.try_send(1, &vec![0; (frames * 37 + round * 11) % 97]).is_ok() {
            assert!(bytes < 20_000 && frames < 300, "one frame too many");
            bytes += 4 + (frames * 37 + round * 11) % 97;
            frames += 1;
        }
        assert!(bytes >= 20_000 || frames == 300, "refused with {bytes} bytes and {frames} frames");
        assert!(run_until_stalled(writer.run()).is_none());
    }
}

#[test]
fn short_frames_behind_long_ones_are_counted_too() {
    let (sender, mut writer) = FrameWriter::new_local(Sink::new(), bounds(20_000, 5));
    for _ in 0..3 {
        assert_eq!(fill(&sender, &[7; 1000]), 5);
        assert!(run_until_stalled(writer.run()).is_none());
        // The buffer is not quite full when it is taken, so its bound was not met.
        for _ in 0..4 {
            sender.try_send(1, &[7; 1000]).unwrap();
        }
        let mut run = Box::pin(writer.run());
        assert!(poll(&mut run).is_pending(), "has written, and looks for more before it sleeps");
        assert_eq!(fill(&sender, b""), 5);
        assert!(run_until_stalled(run).is_none());
    }
}

#[test]
fn one_buffer_is_written_while_the_other_fills() {
    let (sender, mut writer) = FrameWriter::new_local(Sink::stalled(), bounds(1000, 4096));
    assert_eq!(fill(&sender, &[7; 96]), 10);
    assert!(run_until_stalled(writer.run()).is_none());
    assert_eq!(fill(&sender, &[7; 96]), 10);
    assert!(run_until_stalled(writer.run()).is_none());
    assert_eq!(sender.try_send(9, b""), Err(TrySendError::Full), "until the socket takes what is written");
    assert!(writer.capacity() <= 2 * 2048, "{}", writer.capacity());
}

#[test]
fn who_waits_is_served_in_order() {
    let sink = Sink::stalled();
    let (sender, mut writer) = FrameWriter::new_local(sink.clone(), bounds(1000, 2));
    fill(&sender, b"");
    let mut waiting: Vec<Sending<'_>> = (0..20).map(|id| Box::pin(sender.send(id, b"")) as Sending<'_>).collect();
    assert!(waiting.iter_mut().all(|sending| poll(sending).is_pending()));
    sink.open_window(usize::MAX);
    for _ in 0..20 {
        assert!(run_until_stalled(writer.run()).is_none());
        // The last come are polled first, and must not overtake.
        for index in (0..waiting.len()).rev() {
            if poll(&mut waiting[index]).is_ready() {
                drop(waiting.remove(index));
            }
        }
    }
    assert!(waiting.is_empty(), "{} were not served", waiting.len());
    assert!(run_until_stalled(writer.run()).is_none());
    assert_eq!(sink.ids()[2..], (0..20).collect::<Vec<_>>());
}

#[test]
fn one_place_of_each_buffer_is_kept_for_the_longest_waiting() {
    for (max_bytes, max_frames) in [(1000, 4096), (1 << 20, 8), (1 << 20, 1)] {
        let sink = Sink::new();
        let (sender, mut writer) = FrameWriter::new_local(sink.clone(), bounds(max_bytes, max_frames));
        let others = sender.clone();
        for id in 0..5 {
            fill(&others, &[7; 96]);
            let mut patient: Sending<'_> = Box::pin(sender.send(id, b"patient"));
            assert!(poll(&mut patient).is_pending());
            assert!(run_until_stalled(writer.run()).is_none(), "takes all that waited");
            // Somebody else takes all the room before the patient one is polled.
            while others.try_send(9, &[7; 96]).is_ok() {}
            assert_eq!(poll(&mut patient), Poll::Ready(Ok(())));
            assert_eq!(others.try_send(9, b""), Err(TrySendError::Full), "its place went to nobody else");
        }
        assert!(run_until_stalled(writer.run()).is_none());
        assert_eq!(sink.ids().into_iter().filter(|&id| id != 9).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    }
}

#[test]
fn a_place_that_was_kept_is_free_again_when_nobody_waits_any_more() {
    let (sender, mut writer) = FrameWriter::new_local(Sink::new(), bounds(1 << 20, 1));
    fill(&sender, b"");
    let mut patient: Sending<'_> = Box::pin(sender.send(1, b"patient"));
    assert!(poll(&mut patient).is_pending());
    assert!(run_until_stalled(writer.run()).is_none());
    assert_eq!(sender.try_send(2, b""), Err(TrySendError::Full));
    drop(patient);
    assert_eq!(sender.try_send(2, b""), Ok(()));
}

#[test]
fn room_wakes_one_who_waits_not_all() {
    let (sender, mut writer) = FrameWriter::new_local(Sink::new(), bounds(1000, 4096));
    fill(&sender, &[7; 96]);
    let wakes: Vec<_> = (0..20).map(|_| Arc::new(Wakes::default())).collect();
    let mut waiting: Vec<Sending<'_>> =
        wakes.iter().map(|_| Box::pin(sender.send(1, &[7; 96])) as Sending<'_>).collect();
    for (sending, wakes) in waiting.iter_mut().zip(&wakes) {
        assert!(poll_counting(sending, wakes).is_pending());
    }
    assert!(run_until_stalled(writer.run()).is_none());
    let woken: Vec<_> = wakes.iter().map(|wakes| wakes.count()).collect();
    assert_eq!(woken[0], 1);
    assert_eq!(woken[1..], [0; 19]);
    assert_eq!(poll(&mut waiting[0]), Poll::Ready(Ok(())));
    assert_eq!(wakes[1].count(), 1, "and that one the next");
}

#[test]
fn a_frame_that_may_not_be_sent_is_refused_and_takes_no_room() {
    let limits = uschat_wire::Limits::default().max_body(10);
    let (sender, mut writer) = FrameWriter::new_local(Sink::new(), WriterConfig { limits, ..bounds(1000, 2) });
    let refused = EncodeError::BodyTooLong { id: 1, len: 11, max: 10 };
    for _ in 0..5 {
        assert_eq!(run_until_stalled(sender.send(1, &[0; 11])), Some(Err(SendError::Frame(refused.clone().into()))));
        let frame = Frame::new(1, vec![0; 11]);
        assert_eq!(sender.try_send_frame(frame), Err(TrySendError::Frame(refused.clone().into())));
    }
    assert_eq!(writer.capacity(), 0);
    assert!(run_until_stalled(writer.run()).is_none());
    assert_eq!(writer.get_ref().far().writes, 0);
    assert_eq!(fill(&sender, b""), 2);
}
