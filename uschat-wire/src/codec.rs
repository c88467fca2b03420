//! The frames as a tokio-util codec (feature `tokio`).

use std::io;

use bytes::BytesMut;
use thiserror::Error;
use tokio_util::codec::{Decoder, Encoder};

use crate::decoder::FrameDecoder;
use crate::encoder::encode;
use crate::error::{DecodeError, EncodeError};
use crate::frame::Frame;
use crate::limits::Limits;

/// [`FrameDecoder`] and [`encode`] for `tokio_util::codec::Framed` and its
/// halves.
///
/// [`Limits`] hold for what is received; a sent body may always have up to
/// [`MAX_BODY_LEN`](crate::MAX_BODY_LEN) bytes.
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
#[derive(Debug, Clone, Default)]
pub struct FrameCodec {
    decoder: FrameDecoder,
}

impl FrameCodec {
    /// A codec for the start of a stream.
    pub fn new(limits: Limits) -> Self {
        Self { decoder: FrameDecoder::new(limits) }
    }
}

impl Decoder for FrameCodec {
    type Item = Frame;
    type Error = CodecError;

    #[inline]
    fn decode(&mut self, src: &mut BytesMut) -> Result<Option<Frame>, CodecError> {
        Ok(self.decoder.decode(src)?)
    }

    fn decode_eof(&mut self, src: &mut BytesMut) -> Result<Option<Frame>, CodecError> {
        match self.decoder.decode(src)? {
            None if !src.is_empty() => {
                Err(CodecError::UnexpectedEof { received: src.len(), missing: self.decoder.needs(src) })
            }
            frame => Ok(frame),
        }
    }
}

impl Encoder<Frame> for FrameCodec {
    type Error = CodecError;

    #[inline]
    fn encode(&mut self, frame: Frame, dst: &mut BytesMut) -> Result<(), CodecError> {
        Ok(encode(frame.id, &frame.body, dst)?)
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
        /// Bytes of the unfinished frame that did arrive, header included.
        received: usize,
        /// Bytes missing, at least: the rest of the header if that is
        /// unfinished, else the rest of the frame.
        missing: usize,
    },
    /// The transport failed. Its error tells why; connect again.
    #[error("the transport failed")]
    Io(#[from] io::Error),
}
