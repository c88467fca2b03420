//! A10: what the log says, and what it must not.

use std::{
    fmt,
    io::{self, BufRead, Read},
    ops::RangeInclusive,
};

/// Reads logs: there must be no panic in them, and each expected code as often as was expected.
///
/// A line has a code if the code stands in it as a word of its own, so JSON and human lines are read alike. A code is a
/// word of letters, digits, `_`, `-` and `.`; a reason such as `slow_consumer`, say.
///
/// ```
/// use uschat_examples::oracle::LogCheck;
///
/// let mut check = LogCheck::new().expect("slow_consumer", 1..=1);
/// check.read("chat1.log", &b"WARN session=7 reason=\"slow_consumer\" closed\n"[..])?;
/// assert!(check.faults().is_empty());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct LogCheck {
    expected: Vec<(Box<str>, RangeInclusive<u64>, u64)>,
    panics: Vec<LogFault>,
}

/// What is wrong with the log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogFault {
    /// A line says that something panicked. One panic may be told by two lines.
    Panic {
        /// The log's name as it was given.
        file: Box<str>,
        /// The line, from 1.
        line: u64,
        /// Its first 200 bytes.
        text: Box<str>,
    },
    /// A code is there too often or not often enough.
    Code {
        /// The code.
        code: Box<str>,
        /// In how many lines it was expected.
        expected: RangeInclusive<u64>,
        /// In how many it is.
        found: u64,
    },
}

impl LogCheck {
    /// At most so many panics are kept.
    pub const MAX_PANICS: usize = 20;
    /// At most so many bytes of a line are looked at. What is behind belongs to no code.
    pub const MAX_LINE: u64 = 64 * 1024;
    const MAX_TEXT: usize = 200;

    /// Expects no panic and knows no code.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Expects a code in so many lines of all logs together: `1..=1` for a fault that was caused once.
    #[must_use]
    pub fn expect(mut self, code: &str, times: RangeInclusive<u64>) -> Self {
        self.expected.push((code.into(), times, 0));
        self
    }

    /// Reads a log to its end.
    ///
    /// # Errors
    /// When reading fails. Bytes that are no UTF-8 are no error.
    pub fn read(&mut self, name: &str, mut log: impl BufRead) -> io::Result<()> {
        let mut bytes = Vec::new();
        for number in 1.. {
            bytes.clear();
            if log.by_ref().take(Self::MAX_LINE).read_until(b'\n', &mut bytes)? == 0 {
                break;
            }
            if !bytes.ends_with(b"\n") {
                log.skip_until(b'\n')?;
            }
            self.line(name, number, &String::from_utf8_lossy(&bytes));
        }
        Ok(())
    }

    /// What is wrong; empty if nothing is.
    #[must_use]
    pub fn faults(&self) -> Vec<LogFault> {
        let codes = self.expected.iter().filter(|(_, times, found)| !times.contains(found));
        let codes = codes.map(|(code, expected, found)| LogFault::Code {
            code: code.clone(),
            expected: expected.clone(),
            found: *found,
        });
        self.panics.iter().cloned().chain(codes).collect()
    }

    fn line(&mut self, name: &str, line: u64, text: &str) {
        // Both Rust's panic hook and the sessions, which catch panics, use this word.
        if has_word(text, "panicked") && self.panics.len() < Self::MAX_PANICS {
            let end = text.floor_char_boundary(Self::MAX_TEXT);
            self.panics.push(LogFault::Panic { file: name.into(), line, text: text[..end].trim_end().into() });
        }
        for (code, _, found) in &mut self.expected {
            *found += u64::from(has_word(text, code));
        }
    }
}

fn has_word(text: &str, word: &str) -> bool {
    let inside = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    text.match_indices(word).any(|(start, _)| {
        let (before, behind) = (&text[..start], &text[start + word.len()..]);
        !before.ends_with(inside) && !behind.starts_with(inside)
    })
}

impl fmt::Display for LogFault {
    /// One line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panic { file, line, text } => {
                write!(f, "{file} line {line}: {}", text.replace(char::is_control, " "))
            }
            Self::Code { code, expected, found } => {
                let (least, most) = expected.clone().into_inner();
                write!(f, "{code} is in {found} lines of the log, expected in {least} to {most}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{LogCheck, LogFault};

    fn check(log: &str) -> Vec<LogFault> {
        let mut check = LogCheck::new().expect("lease_lost", 1..=2);
        check.read("log", log.as_bytes()).unwrap();
        check.faults()
    }

    #[test]
    fn a_code_counts_once_a_line_and_as_a_word() {
        assert_eq!(check("{\"code\":\"lease_lost\",\"again\":\"lease_lost\"}\nWARN code=lease_lost\n"), []);
        let missing = |found| LogFault::Code { code: "lease_lost".into(), expected: 1..=2, found };
        assert_eq!(check("lease_lost_twice\nno-lease_lost lease_losts\n"), [missing(0)]);
        assert_eq!(check("lease_lost\nlease_lost\n(lease_lost)"), [missing(3)]);
        // A name is no word.
        assert_eq!(check("lease_lost uschat_handler_panicked_total 0"), []);
        assert_eq!(missing(3).to_string(), "lease_lost is in 3 lines of the log, expected in 1 to 2");
    }

    #[test]
    fn panics_are_found_in_the_words_of_rust_and_in_ours() {
        for line in [
            "thread 'main' panicked at src/main.rs:2:5:",
            "chatserver1: thread 'tokio-rt-worker' (4711) panicked at src/lib.rs:1:1:",
            "{\"level\":\"ERROR\",\"message\":\"a handler panicked\",\"panic\":\"index out of bounds\"}",
        ] {
            let faults = check(&format!("lease_lost\n{line}\n"));
            assert_eq!(faults, [LogFault::Panic { file: "log".into(), line: 2, text: line.into() }]);
        }
    }

    #[test]
    fn a_real_panic_is_found() {
        const PANIC: &str = "ORACLE_TEST_PANICS";
        assert!(std::env::var_os(PANIC).is_none(), "for the log");
        let name = "oracle::log_check::tests::a_real_panic_is_found";
        let mut again = std::process::Command::new(std::env::current_exe().unwrap());
        let output = again.args(["--exact", name, "--nocapture"]).env(PANIC, "1").output().unwrap();
        let log = String::from_utf8(output.stderr).unwrap();
        let faults = check(&format!("lease_lost\n{log}"));
        assert!(matches!(&faults[..], [LogFault::Panic { text, .. }] if text.contains("panicked")), "{log}");
    }

    #[test]
    fn any_bytes_and_any_length_are_read() {
        let long = "é".repeat(LogCheck::MAX_LINE as usize);
        assert_eq!(check(&format!("{long} lease_lost\n lease_lost")), []);
        let mut bytes = LogCheck::new();
        bytes.read("log", &b"\xff\xfe\n\n"[..]).unwrap();
        assert_eq!(bytes.faults(), []);
    }

    #[test]
    fn panics_are_kept_up_to_a_bound() {
        let mut check = LogCheck::new();
        check.read("log", "thread 'a' panicked at b\n".repeat(100).as_bytes()).unwrap();
        assert_eq!(check.faults().len(), LogCheck::MAX_PANICS);
    }
}
