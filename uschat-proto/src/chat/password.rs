//! The Qt clients' transformation of passwords. PROTOCOL.md, "Passwords".

/// XORs every UTF-16 unit with the number of units modulo 255; applying it twice gives the text back.
///
/// Returns `None` where the outcome is not text: a unit became half of a surrogate pair. No Qt client can send that.
/// The transformation hides nothing from anyone; it is here because every existing client applies it.
///
/// ```
/// use uschat_proto::chat::xor_password;
/// assert_eq!(xor_password("123456").as_deref(), Some("745230"));
/// assert_eq!(xor_password("745230").as_deref(), Some("123456"));
/// ```
#[must_use]
pub fn xor_password(text: &str) -> Option<String> {
    let units = text.encode_utf16().count();
    // Below 255, so it fits a unit.
    let key = u16::try_from(units % 255).unwrap_or_default();
    char::decode_utf16(text.encode_utf16().map(|unit| unit ^ key)).collect::<Result<_, _>>().ok()
}

#[cfg(test)]
mod tests {
    use super::xor_password;

    #[test]
    fn agrees_with_the_values_seen_from_the_qt_client() {
        for (plain, sent) in [("123456", "745230"), ("abcdefg", "fedcba`"), ("secret1!", "{mkzm|9)"), ("", "")] {
            assert_eq!(xor_password(plain).as_deref(), Some(sent));
            assert_eq!(xor_password(sent).as_deref(), Some(plain));
        }
    }

    #[test]
    fn counts_units_not_characters() {
        let twice = xor_password("pass\u{1F600}word").and_then(|sent| xor_password(&sent));
        assert_eq!(twice.as_deref(), Some("pass\u{1F600}word"));
    }
}
