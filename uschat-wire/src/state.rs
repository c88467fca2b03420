//! What a decoder remembers of its stream.

use core::marker::PhantomData;

use crate::error::DecodeError;
use crate::frame::FrameRef;
use crate::frames::{First, first, refusal};
use crate::layout::{Header, Layout, header_len};
use crate::limits::Limits;

/// How far a stream has been decoded, and whether it goes on.
#[derive(Debug, Clone)]
pub(crate) struct DecoderState<L> {
    /// Bodies shorter than this need no closer look. Zero where all do: with
    /// limits for single ids, and while `status` is not `Reading`.
    plain_bound: u32,
    /// Bytes of the stream in front of what is decoded next.
    pub(crate) offset: u64,
    pub(crate) limits: Limits,
    pub(crate) status: Status,
    layout: PhantomData<fn() -> L>,
}

/// What a look at the longest body alone tells about the next frame.
pub(crate) enum Plain<'a> {
    /// Here it is, and what is behind it.
    Frame(FrameRef<'a>, &'a [u8]),
    /// It is not complete.
    Incomplete,
    /// Nothing: [`DecoderState::take`] has to look closer.
    Unsettled,
}

#[derive(Debug, Clone)]
pub(crate) enum Status {
    /// A header comes next.
    Reading,
    /// So many bytes of a refused frame come first.
    Skipping(usize),
    /// This header was refused, and nothing behind it can be read.
    Failed(Header),
}

impl<L: Layout> DecoderState<L> {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { plain_bound: limits.bound_of_all(), offset: 0, limits, status: Status::Reading, layout: PhantomData }
    }

    /// Takes the frame at the front of `bytes` if the longest body is all that
    /// has to be looked at.
    #[inline(always)]
    pub(crate) fn take_plain<'a>(&mut self, bytes: &'a [u8]) -> Plain<'a> {
        match first::<L>(bytes, |header| header.body_len < self.plain_bound) {
            First::Frame(frame, rest) => {
                self.pass(header_len::<L>() + frame.body.len());
                Plain::Frame(frame, rest)
            }
            First::Incomplete if self.plain_bound != 0 => Plain::Incomplete,
            _ => Plain::Unsettled,
        }
    }

    /// Takes the frame at the front of `bytes`, and tells what is behind
    /// everything that is done with now.
    pub(crate) fn take<'a>(&mut self, bytes: &'a [u8]) -> (Result<Option<FrameRef<'a>>, DecodeError>, &'a [u8]) {
        let bytes = self.behind_refused(bytes);
        match &self.status {
            Status::Reading => {}
            &Status::Failed(header) => return (Err(self.refusal(header)), bytes),
            Status::Skipping(_) => return (Ok(None), bytes),
        }
        match first::<L>(bytes, |header| self.limits.accept(header)) {
            First::Frame(frame, rest) => {
                self.pass(header_len::<L>() + frame.body.len());
                (Ok(Some(frame)), rest)
            }
            First::Incomplete => (Ok(None), bytes),
            First::Refused(header) => (Err(self.refuse(header)), bytes),
        }
    }

    /// What is behind the rest of a refused frame, which is done with as far as
    /// it is there.
    pub(crate) fn behind_refused<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let Status::Skipping(missing) = self.status else {
            return bytes;
        };
        let (skipped, rest) = bytes.split_at(missing.min(bytes.len()));
        self.pass(skipped.len());
        self.skip(missing - skipped.len());
        rest
    }

    /// These bytes are done with.
    #[inline(always)]
    fn pass(&mut self, bytes: usize) {
        self.offset = self.offset.wrapping_add(bytes as u64);
    }

    /// So many bytes are to be thrown away before the next header.
    fn skip(&mut self, missing: usize) {
        (self.status, self.plain_bound) = match missing {
            0 => (Status::Reading, self.limits.bound_of_all()),
            _ => (Status::Skipping(missing), 0),
        };
    }

    fn refuse(&mut self, header: Header) -> DecodeError {
        let error = self.refusal(header);
        if error.can_continue() {
            self.skip(header_len::<L>() + header.body_len as usize);
        } else {
            self.status = Status::Failed(header);
            self.plain_bound = 0;
        }
        error
    }

    fn refusal(&self, header: Header) -> DecodeError {
        refusal::<L>(header, &self.limits, self.offset)
    }
}
