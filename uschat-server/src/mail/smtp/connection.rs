//! One connection to a mail server, and how a mail goes over it.
//!
//! Step by step rather than through lettre's own transport, because that does not say how far a failed mail got, would keep
//! a connection on which a mail was given up halfway, and authenticates without encryption if the server lets it.

use std::{future::Future, time::Duration};

use lettre::{
    Address,
    transport::smtp::{
        Error,
        authentication::DEFAULT_MECHANISMS,
        client::AsyncSmtpConnection,
        commands::{Data, Mail, Rcpt, Rset},
        extension::{ClientId, Extension, MailBodyParameter, MailParameter},
        response::Severity,
    },
};
use tokio::time::{Instant, timeout};

use super::{
    SmtpError,
    error::{connecting, status, what, what_without},
    server::{Encryption, Server},
};

/// How long a farewell may take; nothing depends on it.
const QUIT: Duration = Duration::from_millis(500);

/// A mail, ready to go.
pub(super) struct Outgoing<'a> {
    pub(super) from: &'a Address,
    pub(super) to: &'a Address,
    pub(super) content: &'a [u8],
    /// What must not be repeated in an error.
    pub(super) code: &'a str,
}

/// Bounds every step, and all of them together.
#[derive(Clone, Copy)]
pub(super) struct Deadline(Instant);

/// Why a mail did not go.
pub(super) enum Failure {
    /// The connection failed before the mail was handed over: another one may do better.
    Lost(SmtpError),
    /// Another connection does not help, or the server may have the mail already.
    Final(SmtpError),
}

/// A connection that is encrypted and authenticated as the URL says.
pub(super) struct Connection(AsyncSmtpConnection);

impl Deadline {
    pub(super) fn after(whole: Duration) -> Self {
        Self(Instant::now() + whole)
    }

    /// Runs a step of at most `limit`.
    pub(super) async fn bound<T>(
        self,
        step: &'static str,
        limit: Duration,
        work: impl Future<Output = T>,
    ) -> Result<T, SmtpError> {
        let limit = limit.min(self.0.saturating_duration_since(Instant::now()));
        timeout(limit, work).await.map_err(|_| SmtpError::TimedOut { step, limit })
    }
}

impl Connection {
    /// Connects, encrypts and authenticates.
    pub(super) async fn open(server: &Server) -> Result<Self, SmtpError> {
        let hello = ClientId::default();
        let implicit = match &server.encryption {
            Encryption::Implicit(tls) => Some(tls.clone()),
            _ => None,
        };
        let address = (server.host.as_str(), server.port);
        // Its time-out would bound each address the host has; the caller bounds all of this.
        let mut smtp = AsyncSmtpConnection::connect_tokio1(address, None, &hello, implicit, None)
            .await
            .map_err(|error| connecting(&error))?;
        match &server.encryption {
            Encryption::Required(_) if !smtp.can_starttls() => {
                return Err(SmtpError::Tls("it offers no STARTTLS".to_owned()));
            }
            Encryption::Offered(tls) | Encryption::Required(tls) if smtp.can_starttls() => {
                smtp.starttls(tls.clone(), &hello).await.map_err(|error| SmtpError::Tls(what(&error)))?;
            }
            _ => {}
        }
        if let Some(credentials) = &server.credentials {
            if !smtp.is_encrypted() && !server.cleartext_password {
                return Err(SmtpError::PasswordUnprotected);
            }
            if smtp.server_info().get_auth_mechanism(DEFAULT_MECHANISMS).is_none() {
                return Err(SmtpError::AuthenticationRefused("it offers neither PLAIN nor LOGIN".to_owned()));
            }
            // Only the number of the reply: its text may repeat what was sent.
            let refused = |error: Error| SmtpError::AuthenticationRefused(status(&error));
            smtp.auth(DEFAULT_MECHANISMS, credentials).await.map_err(refused)?;
        }
        Ok(Self(smtp))
    }

    /// Whether the server lets us send, without sending.
    pub(super) async fn rehearse(mut self, from: &Address) -> Result<(), SmtpError> {
        self.0.command(Mail::new(Some(from.clone()), vec![])).await.map_err(|error| refused_sender(&error))?;
        // The mail is abandoned whatever the server says to this.
        let _ = self.0.command(Rset).await;
        self.quit().await;
        Ok(())
    }

    /// Hands a mail over. Returns when the server has taken the responsibility; then the connection may be used again,
    /// otherwise it must be dropped. `first` bounds the first command, `each` every later one.
    pub(super) async fn hand_over(
        &mut self,
        mail: &Outgoing<'_>,
        deadline: Deadline,
        first: Duration,
        each: Duration,
    ) -> Result<(), Failure> {
        let smtp = &mut self.0;
        let parameters = parameters(smtp, mail).map_err(Failure::Final)?;

        let command = Mail::new(Some(mail.from.clone()), parameters);
        deadline
            .bound("MAIL", first, smtp.command(command))
            .await
            .map_err(Failure::Lost)?
            .map_err(|error| before(&error, refused_sender))?;
        let command = Rcpt::new(mail.to.clone(), vec![]);
        deadline
            .bound("RCPT", each, smtp.command(command))
            .await
            .map_err(Failure::Lost)?
            .map_err(|error| before(&error, |error| SmtpError::RecipientRefused(what(error))))?;
        let go_ahead = deadline
            .bound("DATA", each, smtp.command(Data))
            .await
            .map_err(Failure::Lost)?
            .map_err(|error| before(&error, |error| SmtpError::MailRefused(what(error))))?;
        if !go_ahead.has_code(354) {
            return Err(Failure::Final(SmtpError::MailRefused(format!("{} to DATA", go_ahead.code()))));
        }

        // From here on the server may have the mail without our knowing.
        let unconfirmed = |what: String| Failure::Final(SmtpError::Unconfirmed(what));
        match deadline.bound("the mail itself", each, smtp.message(mail.content)).await {
            Ok(Ok(reply)) if reply.code().severity == Severity::PositiveCompletion => Ok(()),
            Ok(Ok(reply)) => Err(unconfirmed(reply.code().to_string())),
            Ok(Err(error)) if error.status().is_some() => {
                Err(Failure::Final(SmtpError::MailRefused(what_without(&error, mail.code))))
            }
            Ok(Err(error)) => Err(unconfirmed(what_without(&error, mail.code))),
            Err(slow) => Err(unconfirmed(slow.to_string())),
        }
    }

    /// Says goodbye and closes.
    pub(super) async fn quit(mut self) {
        let _ = timeout(QUIT, self.0.abort()).await;
    }
}

/// What the server must know of a mail beforehand.
fn parameters(smtp: &AsyncSmtpConnection, mail: &Outgoing<'_>) -> Result<Vec<MailParameter>, SmtpError> {
    let mut parameters = Vec::new();
    let international = ![mail.from, mail.to].iter().all(|address| AsRef::<str>::as_ref(address).is_ascii());
    if international {
        if !smtp.server_info().supports_feature(Extension::SmtpUtfEight) {
            return Err(SmtpError::RecipientRefused("it does not take addresses beyond ASCII".to_owned()));
        }
        parameters.push(MailParameter::SmtpUtfEight);
    }
    if !mail.content.is_ascii() {
        parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
    }
    Ok(parameters)
}

/// Tells a refusal from a connection that ended, or is about to (421), before the mail was handed over.
fn before(error: &Error, refusal: impl FnOnce(&Error) -> SmtpError) -> Failure {
    match error.status() {
        Some(status) if status.to_string() != "421" => Failure::Final(refusal(error)),
        _ => Failure::Lost(SmtpError::Unreachable(what(error))),
    }
}

fn refused_sender(error: &Error) -> SmtpError {
    if error.status().is_some() { SmtpError::SenderRefused(what(error)) } else { SmtpError::Unreachable(what(error)) }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
        net::TcpListener,
    };

    use super::*;

    /// Speaks SMTP without encryption and would take any password; what it was told.
    async fn trusting(listener: TcpListener) -> Vec<String> {
        let (mut stream, _) = listener.accept().await.unwrap();
        let (input, mut output) = stream.split();
        let mut lines = BufReader::new(input).lines();
        let mut told = Vec::new();
        output.write_all(b"220 mail.test\r\n").await.unwrap();
        while let Ok(Some(line)) = lines.next_line().await {
            output.write_all(b"250-mail.test\r\n250 AUTH PLAIN LOGIN\r\n").await.unwrap();
            told.push(line);
        }
        told
    }

    #[tokio::test]
    async fn a_password_stays_here_unless_it_may_be_read() {
        for may_be_read in [false, true] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let mut server = Server::parse(&format!("smtp://user:sesame@127.0.0.1:{port}?from=a@b.c")).unwrap();
            assert!(server.cleartext_password, "this machine is an exception, which the test undoes");
            server.cleartext_password = may_be_read;
            let serving = tokio::spawn(trusting(listener));
            let opened = Connection::open(&server).await.map(drop);
            assert_eq!(matches!(opened, Err(SmtpError::PasswordUnprotected)), !may_be_read);
            let told = serving.await.unwrap();
            assert!(told[0].starts_with("EHLO "));
            assert_eq!(told.iter().any(|line| line.starts_with("AUTH")), may_be_read, "{told:?}");
        }
    }
}
