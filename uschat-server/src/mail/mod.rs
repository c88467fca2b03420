//! Mail with a verification code: the port, an SMTP mailer (feature `smtp`), and an outbox in memory for development and
//! tests.

mod outbox;
#[cfg(feature = "smtp")]
mod smtp;
#[cfg(feature = "smtp")]
mod template;

use std::error::Error;

use async_trait::async_trait;

pub use self::outbox::{Outbox, ReadOutbox};
#[cfg(feature = "smtp")]
pub use self::smtp::{SmtpError, SmtpMailer, SmtpOptions};

/// Sends verification codes.
#[async_trait]
pub trait Mailer: Send + Sync + 'static {
    /// Mails `code` to `email`; returns when a mail server has taken the responsibility.
    ///
    /// Verification drops the future at its deadline, and counts the mail then, because it may have been sent.
    ///
    /// # Errors
    /// When the mail was not accepted; it then does not count against the limit of its address. Or when nobody knows
    /// whether it was ([`MailError::in_doubt`]); it then counts.
    async fn send_code(&self, email: &str, code: &str) -> Result<(), MailError>;
}

/// A mail was not accepted, or it is in doubt whether it was. The text of the cause goes to the log, so it must not contain
/// the code.
#[derive(Debug, thiserror::Error)]
#[error("{}: {cause}", if *.in_doubt { "the mail may not have been accepted" } else { "the mail was not accepted" })]
pub struct MailError {
    #[source]
    cause: Box<dyn Error + Send + Sync>,
    in_doubt: bool,
}

impl MailError {
    /// The mail was certainly not accepted. Wraps the cause, or a plain text.
    pub fn new(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { cause: cause.into(), in_doubt: false }
    }

    /// The mail may have been accepted: the server had all of it and did not say. Wraps the cause, or a plain text.
    pub fn in_doubt(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { cause: cause.into(), in_doubt: true }
    }

    /// Whether the mail may have been accepted all the same.
    #[must_use]
    pub fn is_in_doubt(&self) -> bool {
        self.in_doubt
    }
}
