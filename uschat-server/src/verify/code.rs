//! What a verification code looks like.

use rand::{
    TryRng,
    rngs::{SysError, SysRng},
};

/// Lower case and digits without the look-alikes 0 o 1 l. 32 of them, so that five random bits choose one evenly.
const ALPHABET: &[u8; 32] = b"23456789abcdefghijkmnpqrstuvwxyz";
const LENGTH: usize = 6;

/// Makes a code from the operating system's random source: one of 2^30.
pub(super) fn random_code() -> Result<String, SysError> {
    let mut bytes = [0_u8; LENGTH];
    SysRng.try_fill_bytes(&mut bytes)?;
    Ok(bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{ALPHABET, LENGTH, random_code};

    #[test]
    fn codes_are_six_readable_characters_and_differ() {
        let codes: HashSet<String> = (0..500).map(|_| random_code().unwrap()).collect();
        assert!(codes.len() > 490);
        for code in &codes {
            assert_eq!(code.len(), LENGTH);
            assert!(code.bytes().all(|byte| ALPHABET.contains(&byte)), "{code}");
            assert!(!code.contains(['0', 'o', '1', 'l', 'O', 'I']));
        }
    }

    #[test]
    fn every_character_occurs_once_in_the_alphabet() {
        assert_eq!(ALPHABET.iter().collect::<HashSet<_>>().len(), ALPHABET.len());
    }
}
