//! Lines to the terminal or to a script.

use std::fmt::Write as _;
use std::io::Write as _;

/// Writes whole lines, and a prompt where somebody types.
#[derive(Clone)]
pub(crate) struct Printer {
    interactive: bool,
}

impl Printer {
    pub(crate) fn new(interactive: bool) -> Self {
        Self { interactive }
    }

    /// Says hello to somebody who types; scripts get no line they did not ask for.
    pub(crate) fn greet(&self, text: &str) {
        if self.interactive {
            self.write(&format!("{text}\n"));
        }
    }

    pub(crate) fn prompt(&self) {
        if self.interactive {
            self.write("> ");
        }
    }

    /// An answer. Where somebody types it takes the place of a prompt that an event may have left.
    pub(crate) fn line(&self, text: &str) {
        if self.interactive { self.write(&format!("\r\x1b[K{text}\n")) } else { self.write(&format!("{text}\n")) }
    }

    /// An event, which may come while somebody types: a new prompt follows it.
    pub(crate) fn event(&self, text: &str) {
        self.line(text);
        self.prompt();
    }

    fn write(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        // A reader that went away, as in `client | head`, is no reason to fail.
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }
}

/// `text` as part of one line: what could move the cursor, break the line or turn the direction is spelled out.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '\\' | '\n' | '\r' | '\t' => out.extend(char.escape_default()),
            '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}' => {
                out.extend(char.escape_unicode())
            }
            char if char.is_control() => {
                let _ = write!(out, "{}", char.escape_unicode());
            }
            char => out.push(char),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn nothing_a_stranger_writes_moves_the_cursor_or_breaks_the_line() {
        assert_eq!(escape("a\nb\tc\\n"), r"a\nb\tc\\n");
        assert_eq!(escape("\u{1b}[2J\u{7f}\u{9b}"), r"\u{1b}[2J\u{7f}\u{9b}");
        assert_eq!(escape("\u{202e}\u{2028}"), r"\u{202e}\u{2028}");
    }

    #[test]
    fn everything_else_stays() {
        assert_eq!(escape("héllo 你好 🎉 \"x\" 'y'"), "héllo 你好 🎉 \"x\" 'y'");
    }
}
