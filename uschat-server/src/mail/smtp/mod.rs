//! Codes mailed through an SMTP server.

mod connection;
mod error;
mod server;
mod shelf;

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use lettre::Address;
use tokio::sync::Semaphore;

pub use self::error::SmtpError;
use self::{
    connection::{Connection, Deadline, Failure, Outgoing},
    server::Server,
    shelf::Shelf,
};
use super::{MailError, Mailer, template::Template};

/// How soon a connection that waited must answer its first command. Some networks forget a silent connection without telling
/// its ends; then there must be time left for another one.
const REVIVAL: Duration = Duration::from_secs(1);

/// Limits of an [`SmtpMailer`], and what its mails say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmtpOptions {
    /// The lifetime that the mail states, in whole minutes: give it
    /// [`VerifyConfig::code_lifetime`](crate::verify::VerifyConfig::code_lifetime). Default 10 min.
    pub code_lifetime: Duration,
    /// How long it may take to connect, encrypt and authenticate. Default 2 s.
    pub connect: Duration,
    /// How long the server may take for each command, and to take over the mail. Default 2 s.
    pub command: Duration,
    /// How long a mail may take in all. Default 3.5 s: less than
    /// [`VerifyConfig::mail_deadline`](crate::verify::VerifyConfig::mail_deadline), so that the log says what was slow, and
    /// a mail that was not handed over does not count.
    pub send: Duration,
    /// Connections at one time; mails beyond wait for one, within their deadline. Default 8, which most servers allow.
    pub max_connections: usize,
    /// How long a connection is kept for the next mail. Default 30 s.
    pub idle: Duration,
}

impl Default for SmtpOptions {
    fn default() -> Self {
        Self {
            code_lifetime: Duration::from_secs(600),
            connect: Duration::from_secs(2),
            command: Duration::from_secs(2),
            send: Duration::from_millis(3_500),
            max_connections: 8,
            idle: Duration::from_secs(30),
        }
    }
}

/// Mails codes through an SMTP server that is named by a URL.
///
/// ```text
/// smtp[s]://[user:password@]host[:port]?from=ADDRESS[&name=NAME][&tls=MODE][&ca=FILE]
/// ```
///
/// | part | meaning |
/// |---|---|
/// | `smtps://` | TLS from the first byte; port 465 |
/// | `smtp://` | a plain connection that STARTTLS encrypts; port 587 with a user, otherwise 25 |
/// | `user:password` | authenticates with PLAIN or LOGIN |
/// | `from` | the sender's address |
/// | `name` | what the mail calls the service, and its sender; default `UsChat` |
/// | `tls=offered` | the default of `smtp://`: STARTTLS if the server offers it |
/// | `tls=starttls`, `tls=required` | STARTTLS, or no mail |
/// | `tls=none` | never encrypted |
/// | `ca` | a PEM file with the authorities to trust instead of the system's |
///
/// Reserved characters are written as `%XX`; a `+` is a `+`. Certificates are always verified, also those of STARTTLS. A
/// password is never sent over an unencrypted connection, except to this machine (`localhost` or a loopback address) and
/// with `tls=none`. Without a user, `tls=offered` gives way to whoever can tamper with the connection: over a network that
/// others share, say `tls=required`.
///
/// Connections are kept for the next mail. One that the server closed meanwhile costs no mail: as long as the mail itself
/// was not handed over, it goes once more over a new connection.
///
/// The mail is text and HTML, Chinese and English. Neither `Debug` nor any error shows the URL, the password or a code. Of
/// lettre, which speaks SMTP underneath, the feature `tracing` must stay off: with it, every line sent would be logged.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use uschat_server::verify::{SmtpMailer, SmtpOptions};
///
/// let mailer = SmtpMailer::new("smtps://codes:secret@mail.example.org?from=codes@example.org", SmtpOptions::default())?;
/// mailer.check().await?; // at start-up: one sentence that says what to do, rather than the first user's failure
/// # Ok(()) }
/// ```
pub struct SmtpMailer {
    server: Server,
    template: Template,
    options: SmtpOptions,
    places: Semaphore,
    shelf: Arc<Shelf>,
}

impl SmtpMailer {
    /// Reads the URL, and the certificates to trust. Connects to nothing yet.
    ///
    /// # Errors
    /// [`SmtpError::BadUrl`], [`SmtpError::BadCertificates`], or [`SmtpError::Tls`] when this machine has no usable TLS.
    pub fn new(url: &str, options: SmtpOptions) -> Result<Self, SmtpError> {
        let server = Server::parse(url)?;
        let template = Template::new(server.from.clone(), server.name.clone(), options.code_lifetime);
        let places = Semaphore::new(options.max_connections.clamp(1, Semaphore::MAX_PERMITS));
        let shelf = Shelf::new(options.idle);
        Ok(Self { server, template, options, places, shelf })
    }

    /// Connects, encrypts, authenticates and names the sender as for a mail, and sends none. For start-up; takes at most
    /// [`SmtpOptions::send`].
    ///
    /// # Errors
    /// What a mail would fail with.
    pub async fn check(&self) -> Result<(), SmtpError> {
        let deadline = Deadline::after(self.options.send);
        let connection = self.connect(deadline).await?;
        deadline.bound("MAIL", self.options.command, connection.rehearse(self.template.sender())).await?
    }

    async fn send(&self, email: &str, code: &str) -> Result<(), SmtpError> {
        let to: Address = email.parse().map_err(|_| unmailable())?;
        let content = self.template.mail(to.clone(), code).map_err(|_| unmailable())?;
        let mail = Outgoing { from: self.template.sender(), to: &to, content: &content, code };
        let deadline = Deadline::after(self.options.send);
        // Never closed.
        let _place = deadline.bound("waiting for a connection", self.options.send, self.places.acquire()).await?;

        let command = self.options.command;
        if let Some(mut connection) = self.shelf.take() {
            match connection.hand_over(&mail, deadline, REVIVAL.min(command), command).await {
                Ok(()) => {
                    self.shelf.keep(connection);
                    return Ok(());
                }
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Lost(_)) => self.shelf.clear(),
            }
        }
        let mut connection = self.connect(deadline).await?;
        match connection.hand_over(&mail, deadline, command, command).await {
            Ok(()) => {
                self.shelf.keep(connection);
                Ok(())
            }
            Err(Failure::Final(error) | Failure::Lost(error)) => Err(error),
        }
    }

    async fn connect(&self, deadline: Deadline) -> Result<Connection, SmtpError> {
        match deadline.bound("connecting", self.options.connect, Connection::open(&self.server)).await {
            Err(SmtpError::TimedOut { limit, .. }) => {
                Err(SmtpError::Unreachable(format!("no connection that is ready for mail within {limit:?}")))
            }
            done => done?,
        }
    }
}

#[async_trait]
impl Mailer for SmtpMailer {
    /// Cancel safe: a mail that is given up was not accepted, or is in doubt if it was being handed over.
    async fn send_code(&self, email: &str, code: &str) -> Result<(), MailError> {
        self.send(email, code).await.map_err(|error| match error {
            SmtpError::Unconfirmed(_) => MailError::in_doubt(error),
            _ => MailError::new(error),
        })
    }
}

impl fmt::Debug for SmtpMailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmtpMailer").field("options", &self.options).finish_non_exhaustive()
    }
}

fn unmailable() -> SmtpError {
    SmtpError::RecipientRefused("it is not an address that mail can be sent to".to_owned())
}
