//! Why a command failed, and what to do about it.

use std::error::Error;
use std::fmt;

use uschat_client::{ConnectError, ErrorCode, GateError, RequestError, SendError, StartError};

use super::print::escape;

/// Printed as `error CODE WHAT-TO-DO`.
pub(crate) struct Failure {
    code: String,
    advice: String,
}

impl Failure {
    pub(crate) fn new(code: impl fmt::Display, advice: impl Into<String>) -> Self {
        Self { code: code.to_string(), advice: advice.into() }
    }

    pub(crate) fn usage(usage: &str) -> Self {
        Self::new("usage", usage)
    }

    pub(crate) fn not_logged_in() -> Self {
        Self::new(ErrorCode::NOT_LOGGED_IN, advice_for(ErrorCode::NOT_LOGGED_IN))
    }

    pub(crate) fn not_connected() -> Self {
        Self::new("disconnected", "not connected: wait for `connected`, or `login` again")
    }

    fn refused(code: ErrorCode) -> Self {
        Self::new(code, advice_for(code))
    }

    /// The error with its causes, in one line.
    fn caused(code: &str, error: &dyn Error) -> Self {
        let mut advice = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            let text = error.to_string();
            // Some errors quote their cause already.
            if !advice.contains(&text) {
                advice = format!("{advice}: {text}");
            }
            cause = error.source();
        }
        Self::new(code, advice)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error {} {}", self.code, escape(&self.advice))
    }
}

impl From<GateError> for Failure {
    fn from(error: GateError) -> Self {
        match error {
            GateError::Refused(code) => Self::refused(code),
            GateError::TimedOut => Self::new("timeout", "the gate did not answer in time: try again"),
            GateError::Http(_) => {
                let failure = Self::caused("gate", &error);
                Self { advice: format!("is it running, and is --gate right? {}", failure.advice), ..failure }
            }
            error => Self::caused("gate", &error),
        }
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Refused(code) => Self::refused(code),
            ConnectError::TimedOut { .. } => Self::caused("timeout", &error),
            error => Self::caused("connect", &error),
        }
    }
}

impl From<RequestError> for Failure {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::Refused(code) => Self::refused(code),
            RequestError::TimedOut { .. } => Self::caused("timeout", &error),
            RequestError::Disconnected(_) => {
                let failure = Self::caused("disconnected", &error);
                Self { advice: format!("it connects again, then repeat this: {}", failure.advice), ..failure }
            }
            error => Self::caused("request", &error),
        }
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Gate(error) => error.into(),
            StartError::Connect(error) => error.into(),
            error => Self::caused("connect", &error),
        }
    }
}

impl From<SendError> for Failure {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Refused(code) => Self::refused(code),
            SendError::Limit(error) => error.into(),
            SendError::TimedOut { .. } => Self::caused("timeout", &error),
            SendError::Ended(_) => {
                let failure = Self::caused("disconnected", &error);
                Self { advice: format!("`login` again: {}", failure.advice), ..failure }
            }
            error => Self::caused("request", &error),
        }
    }
}

fn advice_for(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::RPC_FAILED => "a server behind the gate does not answer: try again later",
        ErrorCode::CODE_EXPIRED => "no code is waiting for this address: ask for one with `code`",
        ErrorCode::CODE_WRONG => "this is not the mailed code: read it again",
        ErrorCode::USER_EXISTS => "the name or the e-mail address is taken: choose another, or `login`",
        ErrorCode::EMAIL_NOT_MATCHED => "no user of this name has this e-mail address",
        ErrorCode::PASSWORD_INVALID => "wrong e-mail address or password: try again, `signup`, or `reset`",
        ErrorCode::TOKEN_INVALID => "another login was faster: `login` again",
        ErrorCode::UID_INVALID => "there is no such user",
        ErrorCode::NOT_LOGGED_IN => "`login` first",
        ErrorCode::NOT_FRIENDS => "you are not friends: `add` them and let them `approve`",
        ErrorCode::NO_APPLICATION => "they never applied: `add` them yourself",
        ErrorCode::TOO_LARGE => "the text is too long: shorten it",
        ErrorCode::INVALID_FIELD => "a value is too long, empty, or of a wrong form",
        ErrorCode::TOO_MANY_ATTEMPTS => "too many attempts: wait some minutes",
        code if code.is_retryable() => "the server is busy: try again",
        _ => "the server refused",
    }
}
