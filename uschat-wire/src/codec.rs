//! The frames as a tokio-util codec (feature `tokio`).

use std::io;

use bytes::BytesMut;
use thiserror::Error;
use tokio_util::codec::{Decoder, Encoder};

use crate::decoder::FrameDecoder;
use crate::encoder::FrameEncoder;
use crate::error::{DecodeError, EncodeError};
use crate::frame::Frame;
use crate::layout::{Id16Length16, Layout};
use crate::limits::Limits;

/// [`FrameDecoder`] and [`FrameEncoder`] for `tokio_util::codec::Framed` and its
/// halves.
///
/// For sockets, [`FrameReader`](crate::FrameReader) and
/// [`FrameWriter`](crate::FrameWriter) cost much less: `Framed` hands over one
/// frame a call, and its `send` makes one write of each.
///
/// After [`DecodeError::UnknownId`] the stream ends, as after every error.
/// Polled again it goes on behind that frame, but it reads from the socket before
/// it looks at what it holds, and at the end of the socket that is lost. Who wants
/// to go on takes `FrameReader`.
///
/// ```
/// use bytes::BytesMut;
/// use tokio_util::codec::{Decoder, Encoder};
/// use uschat_wire::{Frame, FrameCodec, Limits};
///
/// let mut codec = FrameCodec::new(Limits::default());
/// let mut buf = BytesMut::new();
/// codec.encode(Frame::new(1023, "{}"), &mut buf)?;
/// assert_eq!(codec.decode(&mut buf)?, Some(Frame::new(1023, "{}")));
/// # Ok::<(), uschat_wire::CodecError>(())
/// ```
#[derive(Debug, Clone)]
pub struct FrameCodec<L: Layout = Id16Length16> {
    decoder: FrameDecoder<L>,
    encoder: FrameEncoder<L>,
}

impl FrameCodec {
    /// A codec for the start of a stream in the default layout.
    ///
    /// `limits` hold for what is received; a sent body may always have up to
    /// [`MAX_BODY_LEN`](crate::MAX_BODY_LEN) bytes.
    pub fn new(limits: Limits) -> Self {
        Self::with_layout(limits, Limits::unrestricted())
    }
}

impl<L: Layout> FrameCodec<L> {
    /// A codec for the start of a stream, in the layout that the type says, with
    /// limits for each direction.
    pub fn with_layout(receive: Limits, send: Limits) -> Self {
        Self { decoder: FrameDecoder::with_layout(receive), encoder: FrameEncoder::with_layout(send) }
    }

    /// Sets the longest body that is copied out of the read buffer, in bytes
    /// ([`FrameDecoder::copy_up_to`]).
    #[must_use]
    pub fn copy_up_to(mut self, bytes: usize) -> Self {
        self.decoder = self.decoder.copy_up_to(bytes);
        self
    }
}

/// In the default layout, with the default limits for what is received.
impl Default for FrameCodec {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl<L: Layout> Decoder for FrameCodec<L> {
    type Item = Frame;
    type Error = CodecError;

    #[inline(always)]
    fn decode(&mut self, src: &mut BytesMut) -> Result<Option<Frame>, CodecError> {
        self.decoder.decode(src).map_err(CodecError::Decode)
    }

    fn decode_eof(&mut self, src: &mut BytesMut) -> Result<Option<Frame>, CodecError> {
        if let Some(frame) = self.decoder.decode(src)? {
            return Ok(Some(frame));
        }
        match self.decoder.unfinished(src) {
            Some((received, missing)) => Err(CodecError::UnexpectedEof { received, missing }),
            None => Ok(None),
        }
    }
}

impl<L: Layout> Encoder<Frame> for FrameCodec<L> {
    type Error = CodecError;

    #[inline]
    fn encode(&mut self, frame: Frame, dst: &mut BytesMut) -> Result<(), CodecError> {
        Ok(self.encoder.encode(frame.id, &frame.body, dst)?)
    }
}

/// A connection read or written through [`FrameCodec`] failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The peer sent bytes that are not acceptable. The connection does not
    /// survive.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The caller gave a frame that cannot be sent. Nothing was written and the
    /// connection survives.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The stream ended inside a frame: the peer went away in the middle of
    /// sending. Connect again if the message matters; what was received of it
    /// is of no use.
    #[error("the stream ended inside a frame: {received} bytes received, {missing} or more missing")]
    UnexpectedEof {
        /// Bytes of the unfinished frame that did arrive, header included. Of a
        /// frame that was refused none is kept, so there this is zero.
        received: usize,
        /// Bytes missing, at least: the rest of the header if that is
        /// unfinished, else the rest of the frame.
        missing: usize,
    },
    /// The transport failed. Its error tells why; connect again.
    #[error("the transport failed")]
    Io(#[from] io::Error),
}
