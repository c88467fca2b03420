use std::fmt;

use crate::StartError;

/// Why there is no result. Printed as one line; never shows a password, a code or a token.
#[derive(Debug)]
pub(super) enum LoadError {
    /// An option cannot be used as it is.
    Option(StartError),
    /// A run could not be finished.
    Failed(String),
}

impl LoadError {
    pub(super) fn option(key: &str, problem: impl fmt::Display, remedy: &str) -> Self {
        Self::Option(StartError::new(key, problem, remedy))
    }

    pub(super) fn failed(what: impl Into<String>) -> Self {
        Self::Failed(what.into())
    }

    /// Clap explains itself in several paragraphs, of which the first says what is wrong.
    pub(super) fn of_clap(error: &clap::Error) -> Self {
        let text = error.to_string();
        let paragraph = text.split("\n\n").next().unwrap_or_default();
        let problem = paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
        Self::option("options", problem.strip_prefix("error: ").unwrap_or(&problem), "see `load --help`")
    }

    pub(super) fn exit_status(&self) -> u8 {
        match self {
            Self::Option(_) => StartError::EXIT_STATUS,
            Self::Failed(_) => 1,
        }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Option(error) => error.fmt(f),
            Self::Failed(what) => f.write_str(&what.replace(char::is_control, " ")),
        }
    }
}
