//! What can go wrong between bytes and frames.

use thiserror::Error;

/// The received bytes are not acceptable.
///
/// The peer is at fault (or the two sides disagree about [`Limits`]); a retry
/// does not help. [`can_continue`](Self::can_continue) tells whether the
/// connection may go on.
///
/// Every variant says where in the stream the frame began: `offset` counts the
/// bytes before its header since the decoder was made (for
/// [`decode_slice`](crate::decode_slice), which has no state, it is 0).
///
/// [`Limits`]: crate::Limits
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// A header announces a longer body than the receiver accepts. It is
    /// reported as soon as the header is there, before anything is reserved for
    /// the body. The stream holds no marker from which to start again, so close
    /// the connection.
    #[error("frame {id} at byte {offset} announces a body of {len} bytes, at most {max} are accepted")]
    BodyTooLong {
        /// The id in the header.
        id: u16,
        /// The announced length in bytes.
        len: usize,
        /// The longest accepted length in bytes.
        max: usize,
        /// Where the frame began.
        offset: u64,
    },
    /// The receiver knows all its ids ([`Limits::only_known`]), and this is
    /// none of them. Its length is acceptable, so the stream can continue: the
    /// next call goes on behind the frame, and its body is thrown away as it
    /// comes.
    ///
    /// [`Limits::only_known`]: crate::Limits::only_known
    #[error("frame {id} at byte {offset}, with a body of {len} bytes, has an id that is not known here")]
    UnknownId {
        /// The id in the header.
        id: u16,
        /// The announced length in bytes.
        len: usize,
        /// Where the frame began.
        offset: u64,
    },
    /// In a layout whose length counts the header, a length is shorter than
    /// that. The end of the frame is unknown, so close the connection.
    #[error(
        "frame {id} at byte {offset} announces a length of {length}, which does not even count its header of {min}"
    )]
    LengthTooShort {
        /// The id in the header.
        id: u16,
        /// The number in the length field.
        length: usize,
        /// The smallest possible one: the bytes of the header.
        min: usize,
        /// Where the frame began.
        offset: u64,
    },
}

impl DecodeError {
    /// Whether the decoder can go on with the frame behind this one. If not,
    /// the connection has to be closed, and the decoder repeats the error.
    pub fn can_continue(&self) -> bool {
        matches!(self, Self::UnknownId { .. })
    }

    /// The bytes of the stream in front of the frame that was refused.
    pub fn offset(&self) -> u64 {
        match self {
            Self::BodyTooLong { offset, .. } | Self::UnknownId { offset, .. } | Self::LengthTooShort { offset, .. } => {
                *offset
            }
        }
    }
}

/// The frame cannot be put on the wire.
///
/// The caller is at fault. Trying the same frame again does not help. Nothing
/// was written, so the connection survives and other frames can follow.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The body is longer than the header can express or the sender's limits
    /// allow. Divide the message.
    #[error("a body of {len} bytes does not fit into frame {id}, at most {max} do")]
    BodyTooLong {
        /// The id of the frame.
        id: u16,
        /// The length of the body in bytes.
        len: usize,
        /// The longest possible length in bytes.
        max: usize,
    },
    /// The sender's limits know all ids ([`Limits::only_known`]), and this is
    /// none of them.
    ///
    /// [`Limits::only_known`]: crate::Limits::only_known
    #[error("frame {id} has an id that may not be sent here")]
    UnknownId {
        /// The id of the frame.
        id: u16,
    },
    /// The id does not fit into this layout's header.
    #[error("the header has no room for id {id}, the largest is {max}")]
    IdTooLarge {
        /// The id of the frame.
        id: u16,
        /// The largest id the header can carry.
        max: u16,
    },
}

/// [`encode_with`] did not produce a frame.
///
/// The caller is at fault in both cases. Nothing was written, so the connection
/// survives and other frames can follow.
///
/// [`encode_with`]: crate::encode_with
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EncodeWithError<E> {
    /// The body was written, but it does not fit into a frame. A retry does not
    /// help.
    #[error(transparent)]
    Frame(#[from] EncodeError),
    /// The closure that writes the body failed. Whether a retry helps is for
    /// its own error to say.
    #[error("the body could not be written")]
    Body(#[source] E),
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;
    use core::error::Error;

    use super::*;

    #[test]
    fn messages_tell_what_was_seen_what_was_allowed_and_where() {
        let too_long = DecodeError::BodyTooLong { id: 1017, len: 40_000, max: 32_767, offset: 12 };
        let unknown = DecodeError::UnknownId { id: 9, len: 3, offset: 7 };
        let short = DecodeError::LengthTooShort { id: 9, length: 3, min: 4, offset: 0 };
        assert_eq!(
            too_long.to_string(),
            "frame 1017 at byte 12 announces a body of 40000 bytes, at most 32767 are accepted"
        );
        assert_eq!(unknown.to_string(), "frame 9 at byte 7, with a body of 3 bytes, has an id that is not known here");
        assert_eq!(
            short.to_string(),
            "frame 9 at byte 0 announces a length of 3, which does not even count its header of 4"
        );
        assert_eq!([&too_long, &unknown, &short].map(DecodeError::can_continue), [false, true, false]);
        assert_eq!([&too_long, &unknown, &short].map(DecodeError::offset), [12, 7, 0]);
    }

    #[test]
    fn a_failed_body_keeps_its_cause_as_source() {
        let error = EncodeWithError::Body(core::fmt::Error);
        assert!(error.source().unwrap().is::<core::fmt::Error>());
    }
}
