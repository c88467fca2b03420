//! Frames through all of uschat-wire's core, in a program that has no std.
//!
//! The panic handler below is the proof: there can be one in a program, and std brings its own. If uschat-wire or anything
//! it needs asked for std, this would not build. `scripts/features.sh` builds it, runs it, and sees it fail to build with
//! the feature `std`.
//!
//! The memory and the start of the program come from the C library, because a program must get them from somewhere.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;
use core::alloc::{GlobalAlloc, Layout};
use core::convert::Infallible;
use core::ffi::{c_char, c_int, c_void};
use core::panic::PanicInfo;

use bytes::{Buf, Bytes, BytesMut};
use uschat_wire::{Frame, FrameDecoder, Limits, ReadBuffer, WriteBuffer, encode, encode_with};

#[link(name = "c")]
unsafe extern "C" {
    fn aligned_alloc(align: usize, size: usize) -> *mut c_void;
    fn free(memory: *mut c_void);
    fn abort() -> !;
}

struct CLibrary;

#[global_allocator]
static MEMORY: CLibrary = CLibrary;

// SAFETY: memory of the asked size and alignment, or null, from an allocator that may be called from any thread.
unsafe impl GlobalAlloc for CLibrary {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // Some C libraries refuse the alignment of a byte.
        let align = layout.align().max(16);
        // SAFETY: the alignment is a power of two, and the size is made a multiple of it.
        unsafe { aligned_alloc(align, layout.size().next_multiple_of(align)).cast() }
    }

    unsafe fn dealloc(&self, memory: *mut u8, _: Layout) {
        // SAFETY: it came from `alloc`.
        unsafe { free(memory.cast()) }
    }
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    // SAFETY: it takes nothing and does not return.
    unsafe { abort() }
}

/// The compiled `alloc` names it for unwinding, and nothing unwinds here.
// SAFETY: there is one in the program, since std, which has the other, is not in it.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

/// Ends with 0 if all frames came back.
// SAFETY: there is one `main` in the program, and it is what the C library calls.
#[unsafe(no_mangle)]
extern "C" fn main(_: c_int, _: *const *const c_char) -> c_int {
    c_int::from(!(round_trip(&written_at_once()) && round_trip(&written_from_a_buffer())))
}

const BODIES: [&[u8]; 4] = [b"hello", b"", &[7; 2000], &[9; 9000]];

fn written_at_once() -> Vec<u8> {
    let mut stream = Vec::new();
    for (id, body) in (1..).zip(BODIES) {
        let written = match id % 2 {
            0 => encode(id, body, &mut stream).is_ok(),
            _ => {
                let write = |out: &mut Vec<u8>| {
                    out.extend_from_slice(body);
                    Ok::<_, Infallible>(())
                };
                encode_with(id, &mut stream, write).is_ok()
            }
        };
        assert!(written);
    }
    stream
}

fn written_from_a_buffer() -> Vec<u8> {
    let mut buffer = WriteBuffer::new(Limits::default());
    for (id, body) in (1..).zip(BODIES) {
        let frame = Frame::new(id, Bytes::from_static(body));
        assert!(buffer.push_frame(frame).is_ok());
    }
    let mut stream = Vec::new();
    while buffer.has_remaining() {
        let written = buffer.chunk().len().min(700);
        stream.extend_from_slice(&buffer.chunk()[..written]);
        buffer.advance(written);
    }
    stream
}

/// Whether the stream, in pieces, is these bodies to both decoders.
fn round_trip(stream: &[u8]) -> bool {
    let mut received = ReadBuffer::new(Limits::default());
    let mut decoder = FrameDecoder::new(Limits::default().only_known(1..=BODIES.len() as u16));
    let mut buf = BytesMut::new();
    let (mut borrowed, mut owned) = ((1..).zip(BODIES), (1..).zip(BODIES));
    for piece in stream.chunks(100) {
        received.extend(piece);
        for frame in received.frames() {
            if frame.ok().map(|frame| (frame.id, frame.body)) != borrowed.next() {
                return false;
            }
        }
        buf.extend_from_slice(piece);
        while let Ok(Some(frame)) = decoder.decode(&mut buf) {
            if Some((frame.id, &frame.body[..])) != owned.next() {
                return false;
            }
        }
    }
    borrowed.next().is_none() && owned.next().is_none() && received.is_empty() && buf.is_empty()
}
