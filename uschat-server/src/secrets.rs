use subtle::ConstantTimeEq;

/// Compares tokens and codes in a time that does not tell where they differ.
pub(crate) fn same_secret(one: &str, other: &str) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}
