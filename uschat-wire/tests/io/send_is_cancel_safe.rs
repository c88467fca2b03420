//! A `send` that is dropped sent nothing, one that was ready sent its frame once; and `run` may be dropped at any time.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::Poll;

use bytes::Bytes;
use proptest::prelude::*;
use uschat_wire::{Frame, FrameWriter, SendError, WriterConfig};

use crate::sockets::{Sink, poll, run_until_stalled};

type Sending<'a> = Pin<Box<dyn Future<Output = Result<(), SendError>> + 'a>>;

/// One thing that happens.
#[derive(Debug, Clone)]
enum Step {
    /// A sender begins to send a frame with so many bytes, and is polled.
    Send {
        sender: usize,
        len: usize,
        frame: bool,
    },
    TrySend {
        sender: usize,
        len: usize,
    },
    /// The future of a sender is polled.
    Poll(usize),
    /// The future of a sender is dropped.
    Cancel(usize),
    /// `run` is polled so often, then dropped.
    Run(usize),
    /// The socket takes so many bytes more.
    Open(usize),
}

const SENDERS: usize = 4;

fn step() -> impl Strategy<Value = Step> {
    let sender = 0..SENDERS;
    let len = prop_oneof![6 => 2..60_usize, 1 => 8190..8200_usize];
    prop_oneof![
        4 => (sender.clone(), len.clone(), any::<bool>())
            .prop_map(|(sender, len, frame)| Step::Send { sender, len, frame }),
        1 => (sender.clone(), len).prop_map(|(sender, len)| Step::TrySend { sender, len }),
        4 => sender.clone().prop_map(Step::Poll),
        2 => sender.prop_map(Step::Cancel),
        3 => (1..5_usize).prop_map(Step::Run),
        3 => (1..300_usize).prop_map(Step::Open),
    ]
}

/// The number of the frame, and bytes that follow from it.
fn body(number: u16, len: usize) -> Bytes {
    let mut body = vec![number as u8; len];
    body[..2].copy_from_slice(&number.to_be_bytes());
    body.into()
}

fn outcome(steps: &[Step], config: WriterConfig, vectored: bool) {
    let max_frames = config.max_frames;
    let sink = Sink::stalled();
    sink.far().vectored = vectored;
    let (first, mut writer) = FrameWriter::new_local(sink.clone(), config);
    let senders: Vec<_> = (0..SENDERS).map(|_| first.clone()).collect();
    drop(first);
    let mut sending: [Option<(Frame, Sending<'_>)>; SENDERS] = [const { None }; SENDERS];
    // In the order in which they became ready, which is that of the wire.
    let mut sent = Vec::new();
    let mut row: VecDeque<usize> = VecDeque::new();
    let mut number = 0;

    for step in steps {
        match *step {
            Step::Send { sender, len, frame } if sending[sender].is_none() => {
                number += 1;
                let body = body(number, len);
                let content = Frame::new(sender as u16, body.clone());
                let senders = &senders;
                let future: Sending<'_> = if frame {
                    Box::pin(senders[sender].send_frame(content.clone()))
                } else {
                    Box::pin(async move { senders[sender].send(sender as u16, &body).await })
                };
                sending[sender] = Some((content, future));
                row.push_back(sender);
                poll_sender(sender, &mut sending, &mut sent, &mut row);
            }
            Step::TrySend { sender, len } if sending[sender].is_none() => {
                number += 1;
                let frame = Frame::new(sender as u16, body(number, len));
                if senders[sender].try_send(frame.id, &frame.body).is_ok() {
                    sent.push(frame);
                }
            }
            Step::Poll(sender) => poll_sender(sender, &mut sending, &mut sent, &mut row),
            Step::Cancel(sender) => {
                sending[sender] = None;
                row.retain(|&waiting| waiting != sender);
            }
            Step::Run(polls) => {
                let mut run = Box::pin(writer.run());
                for _ in 0..polls {
                    assert!(poll(&mut run).is_pending());
                }
            }
            Step::Open(bytes) => sink.open_window(bytes),
            Step::Send { .. } | Step::TrySend { .. } => {}
        }
    }

    // Everybody who still waits gets through, at least one with each buffer.
    sink.open_window(usize::MAX);
    for _ in 0..=SENDERS {
        assert!(run_until_stalled(writer.run()).is_none());
        for sender in row.clone() {
            poll_sender(sender, &mut sending, &mut sent, &mut row);
        }
    }
    assert!(row.is_empty(), "{} still wait, with room for {max_frames} frames", row.len());
    drop(sending);
    drop(senders);
    assert!(matches!(run_until_stalled(writer.run()), Some(Ok(()))));
    assert_eq!(sink.frames(), sent);
    assert_eq!(writer.capacity(), 0);
}

fn poll_sender(
    sender: usize,
    sending: &mut [Option<(Frame, Sending<'_>)>; SENDERS],
    sent: &mut Vec<Frame>,
    row: &mut VecDeque<usize>,
) {
    let Some((frame, future)) = &mut sending[sender] else { return };
    if let Poll::Ready(result) = poll(future) {
        assert_eq!(result, Ok(()));
        sent.push(frame.clone());
        sending[sender] = None;
        row.retain(|&waiting| waiting != sender);
    }
}

proptest! {
    #[test]
    fn no_frame_is_lost_doubled_torn_or_overtaken(
        steps in prop::collection::vec(step(), 0..200),
        max_bytes in 1..300_usize,
        max_frames in 1..6_usize,
        vectored in any::<bool>(),
    ) {
        outcome(&steps, WriterConfig { max_bytes, max_frames, ..WriterConfig::default() }, vectored);
    }
}

#[test]
fn a_cancelled_send_leaves_its_place_to_the_next() {
    for cancelled in 0..3 {
        let sink = Sink::new();
        let config = WriterConfig { max_frames: 1, ..WriterConfig::default() };
        let (sender, mut writer) = FrameWriter::new_local(sink.clone(), config);
        sender.try_send(9, b"").unwrap();
        let mut waiting: Vec<Sending<'_>> = (0..3).map(|id| Box::pin(sender.send(id, b"")) as Sending<'_>).collect();
        assert!(waiting.iter_mut().all(|sending| poll(sending).is_pending()));
        // There is room, and the first one was woken but not polled.
        assert!(run_until_stalled(writer.run()).is_none());
        drop(waiting.remove(cancelled));
        for mut sending in waiting {
            assert_eq!(poll(&mut sending), Poll::Ready(Ok(())));
            assert!(run_until_stalled(writer.run()).is_none());
        }
        let expected: Vec<u16> = (0..3).filter(|&id| usize::from(id) != cancelled).collect();
        assert_eq!(sink.ids()[1..], expected);
    }
}

#[test]
fn run_goes_on_where_it_was_dropped_in_the_middle_of_a_frame() {
    let sink = Sink::stalled();
    let (sender, mut writer) = FrameWriter::new_local(sink.clone(), WriterConfig::default());
    let frames: Vec<_> = (0..5).map(|id| Frame::new(id, vec![id as u8; 20])).collect();
    for frame in &frames {
        sender.try_send_frame(frame.clone()).unwrap();
        for _ in 0..24 {
            sink.open_window(1);
            assert!(run_until_stalled(writer.run()).is_none());
        }
    }
    assert_eq!(sink.frames(), frames);
}

#[test]
fn a_frame_sent_while_nobody_runs_the_writer_is_not_forgotten() {
    let sink = Sink::new();
    let (sender, mut writer) = FrameWriter::new_local(sink.clone(), WriterConfig::default());
    assert!(run_until_stalled(writer.run()).is_none(), "asleep, and dropped");
    sender.try_send(1, b"").unwrap();
    assert!(run_until_stalled(writer.run()).is_none());
    assert_eq!(sink.ids(), [1]);
}
