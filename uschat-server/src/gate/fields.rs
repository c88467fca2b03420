//! What the fields of a new account may be. Checked after the codes that the protocol fixes the order of.

use uschat_proto::{ErrorCode, chat::xor_password};

use crate::email::is_email;

const MAX_NAME_CHARS: usize = 64;
const MAX_PASSWORD_BYTES: usize = 255;
const MAX_ICON_BYTES: usize = 255;

pub(super) fn email(text: &str) -> Result<(), ErrorCode> {
    valid(is_email(text))
}

pub(super) fn name(text: &str) -> Result<(), ErrorCode> {
    valid(!text.is_empty() && text.chars().count() <= MAX_NAME_CHARS && !text.contains(char::is_control))
}

pub(super) fn icon(text: &str) -> Result<(), ErrorCode> {
    valid(text.len() <= MAX_ICON_BYTES && !text.contains(char::is_control))
}

/// Undoes the clients' transformation.
pub(super) fn password(transformed: &str) -> Result<String, ErrorCode> {
    let plain = xor_password(transformed);
    valid((1..=MAX_PASSWORD_BYTES).contains(&plain.len())).map(|()| plain)
}

fn valid(holds: bool) -> Result<(), ErrorCode> {
    if holds { Ok(()) } else { Err(ErrorCode::INVALID_FIELD) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_1_to_64_characters_that_can_be_printed() {
        assert!(name("ada").is_ok() && name(&"\u{4f8b}".repeat(64)).is_ok());
        for bad in ["", "a\nb", "a\u{0}", "a\u{1b}[31m", &"a".repeat(65)] {
            assert_eq!(name(bad), Err(ErrorCode::INVALID_FIELD), "{bad:?}");
        }
    }

    #[test]
    fn passwords_have_1_to_255_bytes_after_the_transformation_is_undone() {
        assert_eq!(password("{mkzm|9)").as_deref(), Ok("secret1!"));
        assert_eq!(password(&"a".repeat(255)).map(|plain| plain.len()), Ok(255));
        assert_eq!(password(""), Err(ErrorCode::INVALID_FIELD));
        assert_eq!(password(&"a".repeat(256)), Err(ErrorCode::INVALID_FIELD));
    }

    #[test]
    fn icons_are_bounded() {
        assert!(icon("").is_ok() && icon(":/res/head_1.jpg").is_ok());
        assert!(icon(&"a".repeat(256)).is_err() && icon("a\r").is_err());
    }
}
