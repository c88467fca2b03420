use std::io::{IsTerminal, Write, stderr};

/// One line that is written over again and again, where somebody looks at a terminal.
#[derive(Debug)]
pub(super) struct Progress {
    shown: bool,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self { shown: stderr().is_terminal() }
    }

    pub(super) fn say(&self, line: &str) {
        if self.shown {
            // Whoever reads it may have gone; that ends nothing.
            let _ = write!(stderr(), "\r\x1b[K{line}").and_then(|()| stderr().flush());
        }
    }

    /// Clears the line, for what comes instead.
    pub(super) fn end(&self) {
        self.say("");
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
    }
}
