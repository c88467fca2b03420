//! Input shared by the benchmarks: the same bytes for every contender.
//!
//! The contenders themselves live in `benches/` and are dev-dependencies.

#![forbid(unsafe_code)]

/// Body lengths to measure, in bytes: a heartbeat, a short text, a long text, a
/// profile, a list.
pub const BODY_LENS: [usize; 5] = [16, 64, 256, 1024, 16_384];

/// The longest stream [`stream`] makes, in bytes: one generous read.
pub const MAX_STREAM_LEN: usize = 64 * 1024;

/// The id in front of every generated body.
pub const FRAME_ID: u16 = 1017;

/// Bytes in front of a body: id and length, both u16 big-endian.
pub const HEADER_LEN: usize = 4;

/// `len` printable bytes without a short period, the same on every run.
///
/// # Panics
///
/// If `len` is more than a header can announce, 65,535.
#[must_use]
pub fn body(len: usize) -> Vec<u8> {
    assert!(len <= usize::from(u16::MAX), "no frame holds {len} bytes");
    let mut state: u32 = 0x2545_F491;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        b' ' + (state % 95) as u8
    })
    .take(len)
    .collect()
}

/// How many frames of this body length [`stream`] holds: as many as fit.
#[must_use]
pub fn frames_in_stream(body_len: usize) -> usize {
    MAX_STREAM_LEN / (HEADER_LEN + body_len)
}

/// Whole frames back to back, built by hand so that no contender made them.
///
/// # Panics
///
/// If `body_len` is more than a header can announce, 65,535.
#[must_use]
pub fn stream(body_len: usize) -> Vec<u8> {
    let body = body(body_len);
    let mut frame = Vec::with_capacity(HEADER_LEN + body_len);
    frame.extend(FRAME_ID.to_be_bytes());
    frame.extend((body_len as u16).to_be_bytes());
    frame.extend(&body);
    frame.repeat(frames_in_stream(body_len))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_whole_frames_and_nearly_full() {
        for body_len in BODY_LENS {
            let stream = stream(body_len);
            let frame_len = HEADER_LEN + body_len;
            assert_eq!(stream.len(), frames_in_stream(body_len) * frame_len);
            assert!(stream.len() + frame_len > MAX_STREAM_LEN);
            assert_eq!(stream[..2], FRAME_ID.to_be_bytes());
            assert_eq!(stream[2..4], (body_len as u16).to_be_bytes());
            assert_eq!(stream[4..frame_len], body(body_len));
        }
    }
}
