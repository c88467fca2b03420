//! What can go wrong between bytes and frames.

use thiserror::Error;

/// The received bytes are not acceptable.
///
/// The peer is at fault (or the two sides disagree about [`Limits`]). A retry
/// does not help and the connection does not survive: the stream holds no
/// marker from which to start again, so close it.
///
/// [`Limits`]: crate::Limits
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// A header announces a longer body than the receiver accepts. It is
    /// reported as soon as the four header bytes are there, before anything
    /// is reserved for the body.
    #[error("frame {id} announces a body of {len} bytes, at most {max} are accepted")]
    BodyTooLong {
        /// The id in the header.
        id: u16,
        /// The announced length in bytes.
        len: usize,
        /// The longest accepted length in bytes.
        max: usize,
    },
}

/// The frame cannot be put on the wire.
///
/// The caller is at fault. Trying the same body again does not help. Nothing
/// was written, so the connection survives and other frames can follow.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The body is longer than the header can express. Divide the message.
    #[error("a body of {len} bytes does not fit into a frame, at most {max} do")]
    BodyTooLong {
        /// The length of the body in bytes.
        len: usize,
        /// The longest possible length in bytes: [`MAX_BODY_LEN`].
        ///
        /// [`MAX_BODY_LEN`]: crate::MAX_BODY_LEN
        max: usize,
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
    use std::error::Error;

    use super::*;

    #[test]
    fn messages_tell_what_was_seen_and_what_was_allowed() {
        let decode = DecodeError::BodyTooLong { id: 1017, len: 40_000, max: 32_767 };
        assert_eq!(decode.to_string(), "frame 1017 announces a body of 40000 bytes, at most 32767 are accepted");
    }

    #[test]
    fn a_failed_body_keeps_its_cause_as_source() {
        let error = EncodeWithError::Body(std::fmt::Error);
        assert!(error.source().unwrap().is::<std::fmt::Error>());
    }
}
