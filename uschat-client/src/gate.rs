//! The gate: codes by mail, accounts, and the ticket for a chat server. PROTOCOL.md, "The gate".

use std::fmt;
use std::time::Duration;

use reqwest::Url;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use uschat_proto::ErrorCode;
use uschat_proto::chat::{
    LoginReply, LoginRequest, RegisterReply, RegisterRequest, ResetPasswordRequest, UserId, VerifyCodeRequest,
    xor_password,
};

use crate::ticket::Ticket;

const CONNECT_DEADLINE: Duration = Duration::from_secs(3);
const REQUEST_DEADLINE: Duration = Duration::from_secs(10);
/// No reply of a gate comes near it; whoever sends more is no gate.
const MAX_REPLY_BYTES: usize = 64 * 1024;

/// A client of the HTTP gate. Cheap to clone; clones share their connections.
///
/// Every call takes at most 10 s, of which connecting 3 s. Redirects are not followed and proxies of the environment are
/// not used: bodies hold passwords, and the chat connection behind the gate could not use them either. Speaks plain HTTP.
#[derive(Debug, Clone)]
pub struct Gate {
    http: reqwest::Client,
    base: Url,
}

impl Gate {
    /// A client for the gate at `base_url`, say `http://127.0.0.1:8080`. Does not connect yet.
    ///
    /// # Errors
    /// [`GateError::InvalidUrl`] if that is no `http://` address, [`GateError::Http`] if the HTTP client cannot start.
    pub fn new(base_url: &str) -> Result<Self, GateError> {
        let mut base = Url::parse(base_url).map_err(|_| GateError::InvalidUrl)?;
        if base.scheme() != "http" || !base.has_host() {
            return Err(GateError::InvalidUrl);
        }
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_DEADLINE)
            .timeout(REQUEST_DEADLINE)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()?;
        Ok(Self { http, base })
    }

    /// Has a verification code mailed to `email`.
    ///
    /// # Errors
    /// [`GateError::Refused`], with [`ErrorCode::TOO_MANY_ATTEMPTS`] after five mails in ten minutes; else see
    /// [`GateError`].
    pub async fn send_code(&self, email: &str) -> Result<(), GateError> {
        self.post("get_varifycode", &VerifyCodeRequest { email: email.into() }).await?;
        Ok(())
    }

    /// Creates an account and returns its uid. The code stays valid when the name is taken.
    ///
    /// # Errors
    /// [`GateError::Refused`] with [`ErrorCode::CODE_EXPIRED`], [`ErrorCode::CODE_WRONG`], [`ErrorCode::USER_EXISTS`] or
    /// another code; else see [`GateError`].
    pub async fn register(&self, registration: Registration) -> Result<UserId, GateError> {
        let passwd = xor_password(&registration.password);
        let request = RegisterRequest {
            user: registration.name,
            email: registration.email,
            confirm: passwd.clone(),
            passwd,
            varifycode: registration.code,
            icon: registration.icon,
        };
        let body = self.post("user_register", &request).await?;
        Ok(read::<RegisterReply>(&body)?.uid)
    }

    /// Sets a new password. Tickets handed out before become void.
    ///
    /// # Errors
    /// [`GateError::Refused`] with [`ErrorCode::CODE_EXPIRED`], [`ErrorCode::CODE_WRONG`],
    /// [`ErrorCode::EMAIL_NOT_MATCHED`] or another code; else see [`GateError`].
    pub async fn reset_password(&self, reset: PasswordReset) -> Result<(), GateError> {
        let request = ResetPasswordRequest {
            passwd: xor_password(&reset.new_password),
            user: reset.name,
            email: reset.email,
            varifycode: reset.code,
        };
        self.post("reset_pwd", &request).await?;
        Ok(())
    }

    /// Asks for a place on a chat server. A new ticket makes earlier ones of the same user void.
    ///
    /// # Errors
    /// [`GateError::Refused`] with [`ErrorCode::PASSWORD_INVALID`], [`ErrorCode::RPC_FAILED`] when no chat server is
    /// there, or another code; else see [`GateError`].
    pub async fn log_in(&self, email: &str, password: &str) -> Result<Ticket, GateError> {
        let request = LoginRequest { email: Some(email.into()), user: None, passwd: xor_password(password) };
        let body = self.post("user_login", &request).await?;
        let reply: LoginReply = read(&body)?;
        // Each generation of gates names the chat server in its own way; ours in both.
        let (host, port) =
            if reply.chathost.is_empty() { (reply.host, reply.port) } else { (reply.chathost, reply.chatport) };
        let port = port.parse().map_err(|_| GateError::InvalidReply("the chat server's port is no number"))?;
        Ok(Ticket::new(reply.uid, reply.token, host, port))
    }

    /// Posts `request` and returns the body of an answer that is no refusal.
    async fn post(&self, route: &str, request: &impl Serialize) -> Result<Vec<u8>, GateError> {
        let url = self.base.join(route).map_err(|_| GateError::InvalidUrl)?;
        let mut response = self.http.post(url).json(request).send().await?;
        if !response.status().is_success() {
            return Err(GateError::Status(response.status().as_u16()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > MAX_REPLY_BYTES {
                return Err(GateError::InvalidReply("longer than 64 KiB"));
            }
            body.extend_from_slice(&chunk);
        }
        let ReplyStatus { error } = read(&body)?;
        if error.is_success() { Ok(body) } else { Err(GateError::Refused(error)) }
    }
}

#[derive(Deserialize)]
struct ReplyStatus {
    error: ErrorCode,
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, GateError> {
    // serde_json's own text may quote values of the reply, and one of them is the token.
    serde_json::from_slice(body).map_err(|error| {
        GateError::InvalidReply(if error.is_data() { "a key is missing or has the wrong type" } else { "not JSON" })
    })
}

/// What [`Gate::register`] needs. `Debug` leaves out the password and the code.
#[derive(Clone)]
pub struct Registration {
    /// The wanted name, unique.
    pub name: String,
    /// The e-mail address the code was mailed to, unique.
    pub email: String,
    /// The wanted password.
    pub password: String,
    /// The mailed code.
    pub code: String,
    /// The wanted picture: `:/res/head_1.jpg` to `:/res/head_5.jpg`, or empty.
    pub icon: String,
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration").field("name", &self.name).field("email", &self.email).finish_non_exhaustive()
    }
}

/// What [`Gate::reset_password`] needs. `Debug` leaves out the password and the code.
#[derive(Clone)]
pub struct PasswordReset {
    /// The user's name.
    pub name: String,
    /// Their e-mail address.
    pub email: String,
    /// The new password.
    pub new_password: String,
    /// The mailed code.
    pub code: String,
}

impl fmt::Debug for PasswordReset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PasswordReset").field("name", &self.name).field("email", &self.email).finish_non_exhaustive()
    }
}

/// A call to the gate failed. No variant holds a password, a code or a token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GateError {
    /// The address given to [`Gate::new`] is no `http://host[:port]`.
    #[error("the gate's address is no http://HOST:PORT")]
    InvalidUrl,
    /// The gate answered, and the answer is no. [`ErrorCode::is_retryable`] tells whether a retry may help.
    #[error("the gate refused with code {0}")]
    Refused(ErrorCode),
    /// No answer within the deadline: the request may or may not have been carried out.
    #[error("the gate did not answer in time")]
    TimedOut,
    /// The gate cannot be reached, or the connection to it failed. A later attempt may succeed.
    #[error("the gate cannot be reached")]
    Http(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The answer has an HTTP status that a gate does not use for these calls: probably this is no gate.
    #[error("the gate answered with HTTP status {0}")]
    Status(u16),
    /// The answer is no reply of a gate.
    #[error("the gate's reply is not understood: {0}")]
    InvalidReply(&'static str),
}

impl From<reqwest::Error> for GateError {
    fn from(error: reqwest::Error) -> Self {
        if error.is_timeout() { Self::TimedOut } else { Self::Http(Box::new(error.without_url())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_http_addresses_are_accepted() {
        for url in ["127.0.0.1:8080", "https://example.org", "", "ftp://h"] {
            assert!(matches!(Gate::new(url), Err(GateError::InvalidUrl)), "{url}");
        }
        for (url, joined) in [("http://h:1", "http://h:1/user_login"), ("http://h/a", "http://h/a/user_login")] {
            assert_eq!(Gate::new(url).unwrap().base.join("user_login").unwrap().as_str(), joined);
        }
    }

    #[test]
    fn debug_shows_neither_password_nor_code() {
        let registration = Registration {
            name: "ada".into(),
            email: "a@b".into(),
            password: "hunter2".into(),
            code: "c0de".into(),
            icon: String::new(),
        };
        let reset = PasswordReset {
            name: "ada".into(),
            email: "a@b".into(),
            new_password: "hunter2".into(),
            code: "c0de".into(),
        };
        let shown = format!("{registration:?}{reset:?}");
        assert!(shown.contains("ada") && !shown.contains("hunter2") && !shown.contains("c0de"), "{shown}");
    }
}
