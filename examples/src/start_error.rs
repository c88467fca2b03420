use std::fmt::{self, Write as _};

use serde::{Deserialize, Serialize};

/// A server could not start: which option is at fault, what is wrong, and what to do about it. Printed as one line.
///
/// Must never be given a password; see [`config`](crate::config) for how URLs are kept out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartError {
    key: String,
    problem: String,
    remedy: String,
}

impl StartError {
    /// The exit status of a process that could not start.
    pub const EXIT_STATUS: u8 = 2;

    /// An error of the option `key`, such as `--data-dir`.
    pub fn new(key: impl Into<String>, problem: impl fmt::Display, remedy: impl Into<String>) -> Self {
        Self { key: key.into(), problem: problem.to_string(), remedy: remedy.into() }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = format!("{}: {}; {}", self.key, self.problem, self.remedy);
        // Causes come from everywhere, and some of them (TOML's, a file name) span lines or move the cursor.
        line.chars().try_for_each(|c| f.write_char(if c.is_control() { ' ' } else { c }))
    }
}

impl std::error::Error for StartError {}

#[cfg(test)]
mod tests {
    use super::StartError;

    #[test]
    fn is_one_line_whatever_the_cause() {
        let error = StartError::new("--config", "broken\nhere\u{1b}[31m", "mend it");
        assert_eq!(error.to_string(), "--config: broken here [31m; mend it");
    }
}
