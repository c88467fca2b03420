//! Bytes for bodies.

/// More than the longest body of a two-byte length. Its period is no power of two, so that bytes in a wrong place are seen.
pub(crate) static PATTERN: [u8; 70_000] = {
    let mut bytes = [0; 70_000];
    let mut i = 0;
    while i < bytes.len() {
        bytes[i] = (i % 251) as u8;
        i += 1;
    }
    bytes
};
