//! The work depends on the bytes, not on how they were cut or when frames are taken. It is counted, not timed: bytes that
//! a buffer moved, and bytes of memory that it asked for.

use std::convert::Infallible;

use bytes::{Buf, Bytes, BytesMut};
use uschat_wire::{Frame, FrameDecoder, Limits, ReadBuffer, WriteBuffer, encode};

/// What a buffer did beside taking the bytes in once.
#[derive(Debug, Default, Clone, Copy)]
struct Work {
    moved: usize,
    allocated: usize,
}

impl Work {
    /// The bytes at `place` in a buffer of this capacity were somewhere else, or had less room, before.
    fn count(&mut self, before: (*const u8, usize, usize), after: (*const u8, usize)) {
        let (place, capacity, len) = before;
        let (new_place, new_capacity) = after;
        self.moved += if place == new_place { 0 } else { len };
        self.allocated += if capacity == new_capacity { 0 } else { new_capacity };
    }

    fn total(self) -> usize {
        self.moved + self.allocated
    }
}

/// About 256 KiB in frames of this body length.
fn stream_of(body_len: usize) -> Vec<u8> {
    let body = vec![7; body_len];
    let mut stream = Vec::new();
    while stream.len() < 256 * 1024 {
        encode(1, &body, &mut stream).expect("it fits");
    }
    stream
}

const BODIES: [usize; 6] = [0, 16, 64, 1024, 16 * 1024, 65_531];
const CHUNKS: [usize; 4] = [1, 7, 1448, 65_536];

fn each_stream(work_of: impl Fn(&[u8], usize) -> Work) {
    for body_len in BODIES {
        let stream = stream_of(body_len);
        for chunk in CHUNKS {
            let work = work_of(&stream, chunk);
            let bound = 2 * stream.len() + 512 * 1024;
            assert!(work.total() <= bound, "{body_len} bytes by {chunk}: {work:?} of {bound}");
        }
    }
}

fn limits() -> Limits {
    Limits::default().max_body(65_535)
}

#[test]
fn a_read_buffer_that_bytes_are_copied_into() {
    each_stream(|stream, chunk| {
        let mut buffer = ReadBuffer::new(limits());
        let mut work = Work::default();
        for piece in stream.chunks(chunk) {
            let before = (buffer.bytes().as_ptr(), buffer.capacity(), buffer.bytes().len());
            buffer.extend(piece);
            work.count(before, (buffer.bytes().as_ptr(), buffer.capacity()));
            assert!(buffer.frames().all(|frame| frame.is_ok()));
        }
        assert!(buffer.is_empty());
        work
    });
}

#[test]
fn a_read_buffer_that_is_read_into() {
    each_stream(|stream, chunk| {
        let mut buffer = ReadBuffer::new(limits());
        let mut work = Work::default();
        for piece in stream.chunks(chunk) {
            let before = (buffer.bytes().as_ptr(), buffer.capacity(), buffer.bytes().len());
            // As a socket is read: much room is offered, and little may come.
            buffer.spare(65_536)[..piece.len()].copy_from_slice(piece);
            buffer.advance(piece.len());
            work.count(before, (buffer.bytes().as_ptr(), buffer.capacity()));
            assert!(buffer.frames().all(|frame| frame.is_ok()));
        }
        assert!(buffer.is_empty());
        work
    });
}

/// Who takes one frame for each that comes keeps the backlog of the start, and must not pay for it again and again.
#[test]
fn a_read_buffer_with_a_backlog() {
    const ROUNDS: usize = 1024;
    for backlog in (0..600).chain([1023, 1024, 1025]) {
        for room in [0, 4, 100] {
            let mut buffer = ReadBuffer::new(limits());
            buffer.extend(&[0; 4].repeat(backlog));
            let mut work = Work::default();
            for _ in 0..ROUNDS {
                let before = (buffer.bytes().as_ptr(), buffer.capacity(), buffer.bytes().len());
                if room == 0 {
                    buffer.extend(&[0; 4]);
                } else {
                    buffer.spare(room)[..4].fill(0);
                    buffer.advance(4);
                }
                work.count(before, (buffer.bytes().as_ptr(), buffer.capacity()));
                assert_eq!(buffer.next_frame().unwrap().unwrap().body.len(), 0);
            }
            let bound = 2 * 4 * ROUNDS + 16 * (4 * backlog + room) + 4096;
            assert!(work.total() <= bound, "{backlog} frames wait, room for {room}: {work:?} of {bound}");
            assert!(buffer.capacity() <= 8 * (4 * backlog + room) + 256, "{backlog}: {}", buffer.capacity());
        }
    }
}

#[test]
fn a_bytes_mut_of_the_callers() {
    each_stream(|stream, chunk| {
        let mut decoder = FrameDecoder::new(limits());
        let mut buf = BytesMut::new();
        let mut work = Work::default();
        for piece in stream.chunks(chunk) {
            let before = (buf.as_ptr(), buf.capacity(), buf.len());
            buf.extend_from_slice(piece);
            work.count(before, (buf.as_ptr(), buf.capacity()));
            loop {
                let before = (buf.as_ptr(), buf.capacity(), buf.len());
                // Taking a frame goes on in the buffer; only an unfinished frame may make room.
                if decoder.decode(&mut buf).unwrap().is_none() {
                    work.count(before, (buf.as_ptr(), buf.capacity()));
                    break;
                }
            }
        }
        assert!(buf.is_empty());
        work
    });
}

/// How a frame gets into a `WriteBuffer`.
type Push = fn(&mut WriteBuffer, usize, &'static [u8]);

const PUSHES: [(&str, Push); 4] = [
    ("push", |buffer, _, body| buffer.push(1, body).expect("it fits")),
    ("push_frame", |buffer, _, body| buffer.push_frame(Frame::new(1, Bytes::from_static(body))).expect("it fits")),
    ("push_with", |buffer, _, body| push_with(buffer, body)),
    ("all in turn", |buffer, turn, body| PUSHES[turn % 3].1(buffer, turn, body)),
];

fn push_with(buffer: &mut WriteBuffer, body: &[u8]) {
    let write = |out: &mut Vec<u8>| {
        out.extend_from_slice(body);
        Ok::<_, Infallible>(())
    };
    buffer.push_with(1, write).expect("it fits");
}

/// However a socket takes the bytes, even if it never takes all.
#[test]
fn a_write_buffer_that_is_never_empty() {
    static BODY: [u8; 20_000] = [7; 20_000];
    for (way, push) in PUSHES {
        for body_len in [0, 16, 64, 1024, 20_000] {
            for left in [1, 100, 5000] {
                let mut buffer = WriteBuffer::new(Limits::unrestricted());
                let mut work = Work::default();
                let mut pushed = 0;
                for turn in 0..4000 {
                    let before = (buffer.chunk().as_ptr(), buffer.capacity(), buffer.remaining());
                    push(&mut buffer, turn, &BODY[..body_len]);
                    if before.2 > 0 {
                        work.count(before, (buffer.chunk().as_ptr(), buffer.capacity()));
                    }
                    pushed += 4 + body_len;
                    buffer.advance(buffer.remaining().saturating_sub(left));
                }
                let (bound, room) = (2 * pushed + 512 * 1024, 4 * (left + 4 + body_len) + 512);
                assert!(work.total() <= bound, "{way}, {body_len} bytes, {left} left: {work:?} of {bound}");
                assert!(buffer.capacity() <= room, "{way}, {body_len} bytes, {left} left: {}", buffer.capacity());
            }
        }
    }
}

#[test]
fn what_waits_is_all_that_a_released_write_buffer_holds() {
    for (way, push) in PUSHES {
        let mut buffer = WriteBuffer::new(Limits::unrestricted());
        for turn in 0..100 {
            push(&mut buffer, turn, &[7; 1000]);
        }
        buffer.advance(buffer.remaining() - 10);
        buffer.release();
        assert!((10..=16).contains(&buffer.capacity()), "{way}: {}", buffer.capacity());
        assert_eq!(buffer.copy_to_bytes(10), &[7; 10][..]);
    }
}
