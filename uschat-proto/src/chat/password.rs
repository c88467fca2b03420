//! The Qt clients' transformation of passwords. PROTOCOL.md, "Passwords".

/// XORs every UTF-16 unit with the number of units modulo 255; applying it twice gives the text back.
///
/// The transformation hides nothing from anyone; it is here because every existing client applies it.
///
/// ```
/// use uschat_proto::chat::xor_password;
/// assert_eq!(xor_password("123456"), "745230");
/// assert_eq!(xor_password("745230"), "123456");
/// ```
#[must_use]
pub fn xor_password(text: &str) -> String {
    let units = text.encode_utf16().count();
    let key = u16::try_from(units % 255).unwrap_or_default();
    // The key is below 255, and what makes a unit half of a pair is its upper byte: pairs stay pairs.
    char::decode_utf16(text.encode_utf16().map(|unit| unit ^ key))
        .map(|decoded| decoded.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::xor_password;

    #[test]
    fn agrees_with_the_values_seen_from_the_qt_client() {
        for (plain, sent) in [("123456", "745230"), ("abcdefg", "fedcba`"), ("secret1!", "{mkzm|9)"), ("", "")] {
            assert_eq!(xor_password(plain), sent);
            assert_eq!(xor_password(sent), plain);
        }
    }

    #[test]
    fn counts_units_not_characters() {
        assert_eq!(xor_password(&xor_password("pass\u{1F600}word")), "pass\u{1F600}word");
    }

    proptest::proptest! {
        #[test]
        fn any_text_comes_back(text in ".{0,600}") {
            proptest::prop_assert_eq!(xor_password(&xor_password(&text)), text);
        }
    }
}
