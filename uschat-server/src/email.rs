//! What passes for an e-mail address, to the gate and to the verification service alike.

/// The longest address SMTP can carry.
const MAX_BYTES: usize = 254;

/// True for at most 254 bytes with exactly one `@`, something on either side of it, and neither white space nor control
/// characters. Whether anybody reads mail there only a mail can tell.
pub(crate) fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else { return false };
    text.len() <= MAX_BYTES
        && !local.is_empty()
        && !domain.is_empty()
        && !domain.contains('@')
        && !text.contains(|c: char| c.is_control() || c.is_whitespace())
}

/// One counter for all spellings of an address: mailboxes do not tell upper from lower case.
pub(crate) fn counter(what: &str, email: &str) -> String {
    format!("{what}:{}", email.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::{counter, is_email};

    #[test]
    fn accepts_addresses() {
        for email in ["a@b", "ada.lovelace+x@example.org", "\u{e4}@\u{4f8b}.cn"] {
            assert!(is_email(email), "{email}");
        }
        assert!(is_email(&format!("{}@b", "a".repeat(252))));
    }

    #[test]
    fn refuses_what_is_none() {
        for email in ["", "a", "@", "@b", "a@", "a@b@c", "a b@c", "a@b\r\nBcc: x", "a@b\u{7f}", "a@b\u{85}"] {
            assert!(!is_email(email), "{email:?}");
        }
        assert!(!is_email(&format!("{}@b", "a".repeat(253))));
    }

    #[test]
    fn spellings_share_a_counter() {
        assert_eq!(counter("mail", "Ada@Example.ORG"), "mail:ada@example.org");
    }
}
