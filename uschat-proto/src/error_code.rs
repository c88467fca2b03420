use std::fmt;

use serde::{Deserialize, Serialize};

/// The number in the `error` key of a reply: open, so that a code nobody here knows survives and prints.
///
/// 0 is success. The codes of the original servers keep their numbers (feature `chat`); codes of ours are 3001–3099 where the
/// same request would be refused again, and 3101–3199 where a later retry may succeed. PROTOCOL.md, "Error codes".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ErrorCode(pub i32);

impl ErrorCode {
    /// The request was carried out.
    pub const SUCCESS: Self = Self(0);
    /// The body is not what this message id carries: not JSON, a key missing or of the wrong type.
    pub const INVALID_PAYLOAD: Self = Self(1001);
    /// The session has not logged in.
    pub const NOT_LOGGED_IN: Self = Self(3001);
    /// A handler or a store failed; the request may or may not have had an effect. Worth a retry.
    pub const UNAVAILABLE: Self = Self(3101);

    /// Whether the request was carried out.
    #[must_use]
    pub const fn is_success(self) -> bool {
        self.0 == 0
    }

    /// Whether the same request may succeed later: true for the range 3101–3199.
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        self.0 > 3100 && self.0 < 3200
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::ErrorCode;

    #[test]
    fn only_the_upper_range_is_retryable() {
        assert!(ErrorCode::UNAVAILABLE.is_retryable());
        assert!(!ErrorCode::NOT_LOGGED_IN.is_retryable());
        assert!(!ErrorCode::INVALID_PAYLOAD.is_retryable());
        assert!(!ErrorCode(3100).is_retryable() && !ErrorCode(3200).is_retryable());
    }
}
