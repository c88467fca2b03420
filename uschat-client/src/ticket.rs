use std::fmt;

use uschat_proto::chat::UserId;

/// A place on a chat server, handed out by [`Gate::log_in`](crate::Gate::log_in).
///
/// Good for any number of logins until it expires or a newer one replaces it. `Debug` leaves out the token.
#[derive(Clone)]
pub struct Ticket {
    /// Who logs in.
    pub uid: UserId,
    /// Name or address of the chat server.
    pub chat_host: String,
    /// Its TCP port.
    pub chat_port: u16,
    token: String,
}

impl Ticket {
    /// A ticket from its parts, for programs that keep one or got it by another way than [`Gate`](crate::Gate).
    pub fn new(uid: UserId, token: impl Into<String>, chat_host: impl Into<String>, chat_port: u16) -> Self {
        Self { uid, token: token.into(), chat_host: chat_host.into(), chat_port }
    }

    /// The secret that proves who logs in. Keep it out of logs.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// `HOST:PORT`.
    pub(crate) fn address(&self) -> String {
        format!("{}:{}", self.chat_host, self.chat_port)
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket")
            .field("uid", &self.uid)
            .field("chat_host", &self.chat_host)
            .field("chat_port", &self.chat_port)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_does_not_show_the_token() {
        let ticket = Ticket::new(UserId(7), "s3cret", "h", 1);
        assert_eq!(format!("{ticket:?}"), r#"Ticket { uid: UserId(7), chat_host: "h", chat_port: 1, .. }"#);
        assert_eq!(ticket.token(), "s3cret");
    }
}
