use std::{error::Error as _, io, time::Duration};

use lettre::transport::smtp::Error;

/// The longest reply of a mail server that is repeated.
const MAX_REPLY_CHARS: usize = 200;

/// Why a mail server was not found usable, or did not take a mail: one sentence, with the remedy where there is one.
///
/// Texts and `Debug` hold neither the URL nor the password nor a code.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SmtpError {
    /// The URL is wrong; this is what of it.
    #[error("the SMTP URL is not usable: {0}; it looks like smtps://user:password@host:465?from=codes@example.org")]
    BadUrl(String),
    /// The file that `ca=` names is not usable.
    #[error(
        "the certificates of ca= in the SMTP URL cannot be read ({0}); name a PEM file with the authority's certificate"
    )]
    BadCertificates(String),
    /// No connection, or nobody who speaks SMTP at its other end. A retry may help.
    #[error("the mail server cannot be reached ({0}); check host and port in the SMTP URL, and that the server runs")]
    Unreachable(String),
    /// The connection could not be encrypted.
    #[error(
        "no TLS with the mail server ({0}); check that host and port fit smtp:// (STARTTLS) or smtps://, and name a private \
         authority with ca=FILE in the SMTP URL"
    )]
    Tls(String),
    /// The connection is not encrypted, and the password stays here.
    #[error(
        "the mail server offers no STARTTLS, so the password was not sent; use smtps://, or tls=none in the SMTP URL if the \
         network may read it"
    )]
    PasswordUnprotected,
    /// User or password are wrong, or the server knows no way to check them that we know (PLAIN, LOGIN).
    #[error("the mail server refused to authenticate ({0}); check user and password in the SMTP URL")]
    AuthenticationRefused(String),
    /// The server does not let us send from this address.
    #[error(
        "the mail server refused the sender ({0}); set from= in the SMTP URL to an address it accepts, or add a user"
    )]
    SenderRefused(String),
    /// The server does not take mail for this address.
    #[error("the mail server refused the recipient ({0})")]
    RecipientRefused(String),
    /// The server did not take this mail.
    #[error("the mail server refused the mail ({0})")]
    MailRefused(String),
    /// The server, or a place among the connections to it, was not there in time; the mail was not handed over. A retry may
    /// help.
    #[error("the mail server was too slow ({step} took longer than {limit:?}); try again, or give it longer")]
    TimedOut {
        /// What was waited for.
        step: &'static str,
        /// How long.
        limit: Duration,
    },
    /// The server had the whole mail and did not say what became of it.
    #[error("the mail server did not confirm the mail ({0})")]
    Unconfirmed(String),
}

/// What went wrong while connecting.
pub(super) fn connecting(error: &Error) -> SmtpError {
    if error.is_tls() || is_handshake(error) {
        SmtpError::Tls(what(error))
    } else {
        SmtpError::Unreachable(what(error))
    }
}

/// The TLS library's errors arrive as this kind of I/O error.
fn is_handshake(error: &Error) -> bool {
    let io = cause(error).and_then(|cause| cause.downcast_ref::<io::Error>());
    io.is_some_and(|error| error.kind() == io::ErrorKind::InvalidData)
}

/// What lettre's error is about; it may hold another one of its kind.
fn cause(error: &Error) -> Option<&(dyn std::error::Error + 'static)> {
    let source = error.source()?;
    source.downcast_ref::<Error>().map_or(Some(source), cause)
}

/// The server's reply, or what came instead of one.
pub(super) fn what(error: &Error) -> String {
    let cause = cause(error).map(ToString::to_string).unwrap_or_default();
    let text = match error.status() {
        Some(status) => format!("{status} {cause}"),
        None => cause,
    };
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_REPLY_CHARS).collect()
}

/// The same, without a text in which the server may repeat a secret.
pub(super) fn what_without(error: &Error, secret: &str) -> String {
    let text = what(error);
    if text.to_lowercase().contains(&secret.to_lowercase()) { status(error) } else { text }
}

/// The number of the reply only.
pub(super) fn status(error: &Error) -> String {
    error.status().map_or_else(|| "without a reply".to_owned(), |status| status.to_string())
}
