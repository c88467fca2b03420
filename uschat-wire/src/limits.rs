//! What a receiver accepts.

use crate::frame::MAX_BODY_LEN;

/// The original C++ servers keep lengths in a signed 16-bit integer, so this is
/// the longest body they can announce.
const DEFAULT_MAX_BODY: usize = i16::MAX as usize;

/// What a receiver accepts from its peer.
///
/// Only the length of a body is limited. Ids are not: every id is legal on the
/// wire, and an unknown one is a matter of the layer above.
///
/// Sending has one limit, [`MAX_BODY_LEN`], because the header sets it. A
/// program that talks to the original C++ servers has to stay below *their*
/// receive limits, which are lower (PROTOCOL.md lists them).
///
/// ```
/// use uschat_wire::Limits;
///
/// assert_eq!(Limits::default().max_body_len(), 32_767);
/// assert_eq!(Limits::default().max_body(2048).max_body_len(), 2048);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    max_body: usize,
}

impl Limits {
    /// Sets the longest body to accept, in bytes. Default 32,767: the longest
    /// one that the original C++ servers, which keep lengths in signed 16-bit
    /// integers, can announce (PROTOCOL.md). Values above [`MAX_BODY_LEN`] mean
    /// [`MAX_BODY_LEN`]; zero admits only empty bodies.
    #[must_use]
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes.min(MAX_BODY_LEN);
        self
    }

    /// The longest body that is accepted, in bytes.
    #[inline]
    pub fn max_body_len(&self) -> usize {
        self.max_body
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_body: DEFAULT_MAX_BODY }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_capped_at_what_a_header_can_say() {
        let max_of = |bytes| Limits::default().max_body(bytes).max_body_len();
        assert_eq!(max_of(0), 0);
        assert_eq!(max_of(65_535), 65_535);
        assert_eq!(max_of(65_536), 65_535);
        assert_eq!(max_of(usize::MAX), 65_535);
    }
}
