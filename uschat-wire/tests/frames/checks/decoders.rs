//! All ways to decode. Each is fed the stream in pieces and has to give, after each piece, exactly the events that the
//! bytes so far decide: nothing late, nothing early, at the right place, and with the right count of missing bytes.

use std::any::TypeId;

use bytes::BytesMut;
use uschat_wire::{DecodeError, FrameDecoder, FrameRef, Id16Length16, Layout, ReadBuffer, decode_slice, header_len};

use super::{Bounds, pieces, shape};

use crate::reference::{self, Event, Outcome};

/// Decodes `stream`, cut into pieces of these sizes, in every way.
pub(crate) fn every_way<L: Layout>(stream: &[u8], sizes: &[usize], bounds: &Bounds) {
    let expected = in_memory::<L>(stream, sizes, bounds);
    if TypeId::of::<L>() == TypeId::of::<Id16Length16>() {
        one_by_one(stream, bounds, &expected);
    }
    #[cfg(feature = "tokio")]
    super::framed::framed::<L>(stream, sizes, bounds, &expected);
}

/// Decodes it in the ways that have a layout and no socket.
pub(crate) fn in_memory<'a, L: Layout>(stream: &'a [u8], sizes: &[usize], bounds: &Bounds) -> Outcome<'a> {
    let expected = reference::decode(stream, shape::<L>(), &bounds.rules);
    for copied in [0, FrameDecoder::MAX_COPIED_BODY] {
        owned::<L>(stream, sizes, bounds, &expected, copied);
    }
    borrowed::<L>(stream, sizes, bounds, &expected);
    buffered::<L>(stream, sizes, bounds, &expected);
    read_into::<L>(stream, sizes, bounds, &expected);
    expected
}

/// Compares what a decoder gives, one after another, with what it should.
pub(super) struct Progress<'a> {
    way: &'static str,
    expected: &'a Outcome<'a>,
    seen: usize,
}

impl<'a> Progress<'a> {
    pub(super) fn new(way: &'static str, expected: &'a Outcome<'a>) -> Self {
        Self { way, expected, seen: 0 }
    }

    /// The next event. Says whether the decoder can go on.
    pub(super) fn event(&mut self, item: &Result<FrameRef<'_>, DecodeError>) -> bool {
        let Some(step) = self.expected.steps.get(self.seen) else {
            panic!("{}: {item:?} after the last event", self.way);
        };
        assert_eq!(event(item), step.event, "{}: event {}", self.way, self.seen);
        if let Err(error) = item {
            assert_eq!(error.offset(), step.offset, "{}: offset of {error:?}", self.way);
        }
        self.seen += 1;
        item.as_ref().err().is_none_or(DecodeError::can_continue)
    }

    /// With `fed` bytes of the stream, all events that they decide have been seen, and no other.
    pub(super) fn up_to_date(&self, fed: usize) {
        let (seen, rest) = self.expected.steps.split_at(self.seen);
        assert!(seen.last().is_none_or(|step| step.ready_at <= fed as u64), "{}: early at {fed}", self.way);
        assert!(rest.first().is_none_or(|step| step.ready_at > fed as u64), "{}: late at {fed}", self.way);
    }

    /// The last event was an error that is final.
    fn failed(&self) -> bool {
        self.expected.needs == 0 && self.seen == self.expected.steps.len()
    }

    /// The stream is at its end.
    pub(super) fn end(&self, consumed: u64, needs: usize) {
        assert_eq!(self.seen, self.expected.steps.len(), "{}: events", self.way);
        assert_eq!(consumed, self.expected.consumed, "{}: bytes done with", self.way);
        assert_eq!(needs as u64, self.expected.needs, "{}: bytes missing", self.way);
    }
}

fn event<'a>(item: &Result<FrameRef<'a>, DecodeError>) -> Event<'a> {
    match *item {
        Ok(FrameRef { id, body }) => Event::Frame { id, body },
        Err(DecodeError::UnknownId { id, len, .. }) => Event::UnknownId { id, len: len as u64 },
        Err(DecodeError::BodyTooLong { id, len, max, .. }) => {
            Event::BodyTooLong { id, len: len as u64, max: max as u64 }
        }
        Err(DecodeError::LengthTooShort { id, length, min, .. }) => {
            Event::LengthTooShort { id, length: length as u64, min: min as u64 }
        }
        Err(ref other) => panic!("an error that the reference does not know: {other:?}"),
    }
}

/// Owned frames off a `BytesMut`.
fn owned<L: Layout>(stream: &[u8], sizes: &[usize], bounds: &Bounds, expected: &Outcome<'_>, copied: usize) {
    let mut progress = Progress::new("FrameDecoder::decode", expected);
    let mut decoder = FrameDecoder::<L>::with_layout(bounds.limits.clone()).copy_up_to(copied);
    let mut buf = BytesMut::new();
    let mut fed = 0;
    for piece in pieces(stream, sizes) {
        buf.extend_from_slice(piece);
        fed += piece.len();
        loop {
            let ready = decoder.needs(&buf) == 0;
            let item = decoder.decode(&mut buf);
            assert_eq!(ready, item != Ok(None), "needs and decode disagree at {fed}");
            assert_eq!(decoder.offset() as usize + buf.len(), fed, "bytes were lost");
            let Some(item) = item.transpose() else { break };
            let item = item.as_ref().map(|frame| FrameRef { id: frame.id, body: &frame.body }).map_err(Clone::clone);
            if !progress.event(&item) {
                // Even if something acceptable comes.
                let mut innocent = BytesMut::from(&[0; 16][..]);
                assert_eq!(decoder.decode(&mut innocent).err(), item.err(), "a final error is repeated");
                progress.up_to_date(fed);
                return progress.end(decoder.offset(), decoder.needs(&buf));
            }
        }
        progress.up_to_date(fed);
    }
    progress.end(decoder.offset(), decoder.needs(&buf));
}

/// Frames where they lie, in a buffer of the caller's.
fn borrowed<L: Layout>(stream: &[u8], sizes: &[usize], bounds: &Bounds, expected: &Outcome<'_>) {
    let mut progress = Progress::new("FrameDecoder::frames", expected);
    let mut decoder = FrameDecoder::<L>::with_layout(bounds.limits.clone());
    let (mut start, mut fed) = (0, 0);
    for piece in pieces(stream, sizes) {
        fed += piece.len();
        let failed = progress.failed();
        let mut frames = decoder.frames(&stream[start..fed]);
        for item in &mut frames {
            if failed {
                assert!(item.is_err(), "a final error is repeated");
                continue;
            }
            if let (Ok(frame), Some(step)) = (&item, expected.steps.get(progress.seen)) {
                let place = step.offset as usize + header_len::<L>();
                assert_eq!(frame.body.as_ptr(), stream[place..].as_ptr(), "the body is where it was received");
            }
            progress.event(&item);
        }
        start = fed - frames.rest().len();
        assert_eq!(decoder.offset(), start as u64);
        progress.up_to_date(fed);
    }
    progress.end(decoder.offset(), decoder.needs(&stream[start..]));
}

/// A `ReadBuffer` that received bytes are copied into; all frames at once.
fn buffered<L: Layout>(stream: &[u8], sizes: &[usize], bounds: &Bounds, expected: &Outcome<'_>) {
    let mut progress = Progress::new("ReadBuffer::extend", expected);
    let mut buffer = ReadBuffer::<L>::with_layout(bounds.limits.clone());
    let mut fed = 0;
    for piece in pieces(stream, sizes) {
        buffer.extend(piece);
        fed += piece.len();
        let ready = buffer.needs() == 0;
        let seen = progress.seen;
        let failed = progress.failed();
        for item in buffer.frames() {
            if failed {
                assert!(item.is_err(), "a final error is repeated");
                continue;
            }
            progress.event(&item);
        }
        assert_eq!(ready, failed || progress.seen > seen, "needs and frames disagree at {fed}");
        progress.up_to_date(fed);
    }
    assert_eq!(buffer.bytes(), &stream[expected.consumed as usize..]);
    progress.end(expected.consumed, buffer.needs());
}

/// A `ReadBuffer` that is read into; one frame at a time, and its memory given back now and then.
fn read_into<L: Layout>(stream: &[u8], sizes: &[usize], bounds: &Bounds, expected: &Outcome<'_>) {
    let mut progress = Progress::new("ReadBuffer::spare", expected);
    let mut buffer = ReadBuffer::<L>::with_layout(bounds.limits.clone());
    let mut fed = 0;
    for (turn, piece) in pieces(stream, sizes).enumerate() {
        let mut unread = piece;
        while !unread.is_empty() {
            let min = 1 + turn % 7;
            let room = buffer.spare(min);
            assert!(room.len() >= min);
            let read = room.len().min(unread.len());
            room[..read].copy_from_slice(&unread[..read]);
            // A read may leave anything in the room that it did not fill.
            room[read..].iter_mut().take(8).for_each(|byte| *byte = 0xA5);
            buffer.advance(read);
            unread = &unread[read..];
        }
        fed += piece.len();
        while let Some(item) = buffer.next_frame().transpose() {
            if !progress.event(&item) {
                let error = item.err();
                assert_eq!(buffer.next_frame().err(), error, "a final error is repeated");
                progress.up_to_date(fed);
                return progress.end(expected.consumed, buffer.needs());
            }
        }
        progress.up_to_date(fed);
        if turn % 4 == 3 {
            buffer.release();
            assert_eq!(buffer.capacity(), buffer.bytes().len());
        }
    }
    assert_eq!(buffer.bytes(), &stream[expected.consumed as usize..]);
    progress.end(expected.consumed, buffer.needs());
}

/// `decode_slice`, which has no state: the caller goes on behind frames and unknown ids, and cuts nothing.
fn one_by_one(stream: &[u8], bounds: &Bounds, expected: &Outcome<'_>) {
    let mut offset = 0;
    for step in &expected.steps {
        assert_eq!(step.offset, offset as u64);
        let Some(rest) = stream.get(offset..) else { break };
        let item = decode_slice(rest, &bounds.limits);
        let item = item.transpose().expect("an event is there");
        let len = match &item {
            Ok((_, len)) => *len,
            Err(DecodeError::UnknownId { len, .. }) => header_len::<Id16Length16>() + len,
            Err(_) => 0,
        };
        assert_eq!(event(&item.map(|(frame, _)| frame)), step.event, "decode_slice");
        offset += len;
    }
    if expected.needs > 0 {
        let rest = stream.get(offset..).unwrap_or_default();
        assert_eq!(decode_slice(rest, &bounds.limits), Ok(None));
    }
}
