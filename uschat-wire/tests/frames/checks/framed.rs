//! `FrameCodec` through `FramedRead`, polled by hand.

use std::io;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::BytesMut;
use futures_util::Stream;
use tokio::io::{AsyncRead, ReadBuf};
use tokio_util::codec::{Decoder, FramedRead};
use uschat_wire::{CodecError, DecodeError, Frame, FrameCodec, FrameRef, Layout, Limits, header_len};

use super::decoders::Progress;
use super::{Bounds, pieces};

use crate::reference::Outcome;

pub(super) fn framed<L: Layout>(stream: &[u8], sizes: &[usize], bounds: &Bounds, expected: &Outcome<'_>) {
    let mut progress = Progress::new("FramedRead", expected);
    let codec = FrameCodec::<L>::with_layout(bounds.limits.clone(), Limits::unrestricted());
    let socket = Socket { pieces: pieces(stream, sizes), piece: &[], fed: 0, pending: false };
    let mut reader = FramedRead::with_capacity(socket, codec, 64);
    loop {
        match next(&mut reader) {
            Some(Ok(frame)) => {
                progress.event(&Ok(FrameRef { id: frame.id, body: &frame.body }));
            }
            Some(Err(CodecError::Decode(error))) => {
                let goes_on = progress.event(&Err(error.clone()));
                assert!(next(&mut reader).is_none(), "an error ends the stream");
                if !goes_on {
                    return repeated(&mut reader, &error);
                }
                behind_the_refused(&mut reader, &mut progress);
            }
            Some(Err(CodecError::UnexpectedEof { received, missing })) => {
                let rest = stream.len() as u64 - expected.consumed;
                // Of a refused frame nothing is kept, and what is needed goes up to the header behind it.
                let behind = if rest == 0 { header_len::<L>() as u64 } else { 0 };
                assert_eq!((received as u64, missing as u64), (rest, expected.needs - behind));
                assert!(next(&mut reader).is_none());
                return progress.up_to_date(stream.len());
            }
            Some(Err(other)) => panic!("{other}"),
            None => {
                assert_eq!(expected.consumed, stream.len() as u64, "a clean end inside a frame");
                assert_eq!(expected.needs, header_len::<L>() as u64, "a clean end inside a refused frame");
                return progress.up_to_date(stream.len());
            }
        }
    }
}

/// `FramedRead` does not look at the bytes it has behind an error until it has read more, and at the end of the stream
/// not at all. So who wants to go on has to look there first.
fn behind_the_refused<S, L: Layout>(reader: &mut FramedRead<S, FrameCodec<L>>, progress: &mut Progress<'_>) {
    let mut buf = mem::take(reader.read_buffer_mut());
    loop {
        match reader.decoder_mut().decode(&mut buf) {
            Ok(Some(frame)) => progress.event(&Ok(FrameRef { id: frame.id, body: &frame.body })),
            Ok(None) => break,
            Err(CodecError::Decode(error)) if !error.can_continue() => break,
            Err(CodecError::Decode(error)) => progress.event(&Err(error)),
            Err(other) => panic!("{other}"),
        };
    }
    *reader.read_buffer_mut() = buf;
}

/// Whatever comes, a final error stays.
fn repeated<S, L: Layout>(reader: &mut FramedRead<S, FrameCodec<L>>, error: &DecodeError) {
    let again = reader.decoder_mut().decode(&mut BytesMut::from(&[0; 16][..]));
    assert!(matches!(again, Err(CodecError::Decode(again)) if again == *error));
}

fn next<R: AsyncRead + Unpin, L: Layout>(
    reader: &mut FramedRead<R, FrameCodec<L>>,
) -> Option<Result<Frame, CodecError>> {
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(item) = Pin::new(&mut *reader).poll_next(&mut context) {
            return item;
        }
    }
}

/// Gives a piece a read, and has to be waited for before each.
struct Socket<'a, I> {
    pieces: I,
    piece: &'a [u8],
    fed: usize,
    pending: bool,
}

impl<'a, I: Iterator<Item = &'a [u8]> + Unpin> AsyncRead for Socket<'a, I> {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.pending = !this.pending;
        if this.pending {
            return Poll::Pending;
        }
        if this.piece.is_empty() {
            // A read of no bytes would be the end of the stream.
            this.piece = this.pieces.find(|piece| !piece.is_empty()).unwrap_or_default();
        }
        let (read, rest) = this.piece.split_at(this.piece.len().min(buf.remaining()));
        buf.put_slice(read);
        this.fed += read.len();
        this.piece = rest;
        Poll::Ready(Ok(()))
    }
}
