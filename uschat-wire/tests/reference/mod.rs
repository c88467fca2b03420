//! A decoder that is too simple to be wrong: it sees the whole stream at once,
//! copies everything and shares no code with the crate.

use uschat_wire::{DecodeError, Frame};

/// What a stream of bytes comes to.
#[derive(Debug, PartialEq)]
pub(crate) struct Outcome {
    /// Every complete frame in front of the first refused header.
    pub(crate) frames: Vec<Frame>,
    /// Why decoding stopped, unless it ran out of bytes.
    pub(crate) error: Option<DecodeError>,
    /// The bytes that belong to no delivered frame.
    pub(crate) rest: Vec<u8>,
}

pub(crate) fn decode_all(stream: &[u8], max: usize) -> Outcome {
    let mut rest = stream.to_vec();
    let mut offset = 0;
    let mut frames = Vec::new();
    let mut error = None;
    while rest.len() >= 4 {
        let id = u16::from(rest[0]) * 256 + u16::from(rest[1]);
        let len = usize::from(rest[2]) * 256 + usize::from(rest[3]);
        if len > max {
            error = Some(DecodeError::BodyTooLong { id, len, max, offset });
            break;
        }
        if rest.len() < 4 + len {
            break;
        }
        let behind = rest.split_off(4 + len);
        offset += 4 + len as u64;
        frames.push(Frame::new(id, rest[4..].to_vec()));
        rest = behind;
    }
    Outcome { frames, error, rest }
}
