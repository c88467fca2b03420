//! What an error of a database says about the call that it ended and about its connection.

use sqlx::{Error, error::DatabaseError};

use crate::{CallFailure, Repeat};

/// For a call that is **one statement or one transaction**: what the server undid is then all that the call did. A
/// transaction whose commit alone is in doubt is better told by [`TransactionError`](super::TransactionError).
///
/// - Deadlocks, lost races of serializable transactions, locks that others held for too long, a busy SQLite file, too many
///   connections: [`Repeat::Safe`]. A lock time-out of MySQL undoes its statement only; the rest of the transaction is rolled
///   back because it is dropped when the call fails.
/// - A connection that was lost or killed, a server that shuts down: [`Repeat::IfIdempotent`], even if the server said so
///   itself. It may say so after it has committed.
/// - Everything else, such as constraints, syntax, values that cannot be decoded, statements that took too long for
///   the server: [`Repeat::Never`].
impl CallFailure for Error {
    fn repeat(&self) -> Repeat {
        Verdict::of(self).repeat
    }

    fn is_connection_lost(&self) -> bool {
        Verdict::of(self).is_lost
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Verdict {
    repeat: Repeat,
    is_lost: bool,
}

/// The server undid it and goes on.
const UNDONE: Verdict = Verdict { repeat: Repeat::Safe, is_lost: false };
/// The server hung up without looking at it.
const UNREAD: Verdict = Verdict { repeat: Repeat::Safe, is_lost: true };
/// It may have been done.
const CUT: Verdict = Verdict { repeat: Repeat::IfIdempotent, is_lost: true };
/// The server refused it, and hung up.
const UNREADABLE: Verdict = Verdict { repeat: Repeat::Never, is_lost: true };
const REFUSED: Verdict = Verdict { repeat: Repeat::Never, is_lost: false };

impl Verdict {
    fn of(error: &Error) -> Self {
        match error {
            Error::Database(cause) => match Code::of(&**cause) {
                Code::Sqlite(code) => Self::of_sqlite(code),
                Code::Server { state, number } => Self::of_server(&state, number),
            },
            Error::Io(_) | Error::Tls(_) | Error::Protocol(_) | Error::WorkerCrashed => CUT,
            Error::PoolTimedOut => UNDONE,
            _ => REFUSED,
        }
    }

    fn of_sqlite(code: u32) -> Self {
        match code {
            sqlite::BUSY | sqlite::LOCKED => UNDONE,
            _ => REFUSED,
        }
    }

    fn of_server(state: &str, number: Option<u16>) -> Self {
        match number {
            Some(mysql::RECORD_CHANGED | mysql::LOCK_WAIT_TIMEOUT) => return UNDONE,
            Some(mysql::TOO_MANY_CONNECTIONS | mysql::TOO_MANY_USER_CONNECTIONS | mysql::USER_LIMIT_REACHED) => {
                return UNDONE;
            }
            Some(mysql::IDLE_FOR_TOO_LONG) => return UNREAD,
            Some(mysql::PACKET_TOO_LARGE) => return UNREADABLE,
            // Shares its state with those that were killed.
            Some(mysql::STATEMENT_TIMEOUT) => return REFUSED,
            _ => {}
        }
        match state {
            "40000" | "40001" | "40P01" | "55P03" => UNDONE,
            // Refused while connecting.
            "08001" | "08004" | "53300" | "57P03" => UNREAD,
            // Statement completion unknown; killed; transaction open for too long.
            "40003" | "70100" | "25P03" | "25P04" => CUT,
            _ if state.starts_with("08") || state.starts_with("57P") => CUT,
            _ => REFUSED,
        }
    }
}

/// True if connecting fails in the same way until somebody changes something.
pub(super) fn is_permanent(error: &Error) -> bool {
    match error {
        Error::Database(cause) => match Code::of(&**cause) {
            Code::Sqlite(code) => matches!(code, sqlite::CANNOT_OPEN | sqlite::NOT_A_DATABASE),
            Code::Server { state, number } => is_permanent_refusal(&state, number),
        },
        Error::Io(_) | Error::Protocol(_) | Error::WorkerCrashed => false,
        // Wrong options, a server without TLS, a certificate that cannot be read.
        _ => true,
    }
}

/// Wrong credentials, no such database or no right to it, or a setup statement that the server will not have.
fn is_permanent_refusal(state: &str, number: Option<u16>) -> bool {
    if Verdict::of_server(state, number) != REFUSED {
        return false;
    }
    matches!(number, Some(mysql::HOST_NOT_ALLOWED)) || ["28", "3D", "42"].iter().any(|class| state.starts_with(class))
}

/// How the database names an error.
#[derive(Debug, PartialEq)]
enum Code {
    /// The primary code, without what extends it.
    Sqlite(u32),
    /// The SQL state, empty if the server sent none, and the number of MySQL and MariaDB, whose states are coarse.
    Server { state: String, number: Option<u16> },
}

impl Code {
    fn of(error: &dyn DatabaseError) -> Self {
        let state = error.code().unwrap_or_default().into_owned();
        // SQL states have five characters, SQLite's decimal numbers four at the most.
        if state.len() < 5
            && let Ok(code) = state.parse::<u32>()
        {
            return Self::Sqlite(code & 0xff);
        }
        let number = number(error, &state);
        Self::Server { state, number }
    }
}

/// Only the driver's own type can be asked for the number, and no driver is enabled here; but the driver puts it first when
/// it prints the error: `1205 (HY000): …`, or `1040: …` if there is no state.
fn number(error: &dyn DatabaseError, state: &str) -> Option<u16> {
    let printed = error.to_string();
    let digits = printed.find(|c: char| !c.is_ascii_digit())?;
    let (number, rest) = printed.split_at(digits);
    let rest = if state.is_empty() { rest } else { rest.strip_prefix(" (")?.strip_prefix(state)?.strip_prefix(')')? };
    rest.starts_with(':').then(|| number.parse().ok())?
}

mod mysql {
    pub(super) const RECORD_CHANGED: u16 = 1020;
    pub(super) const TOO_MANY_CONNECTIONS: u16 = 1040;
    pub(super) const HOST_NOT_ALLOWED: u16 = 1130;
    pub(super) const PACKET_TOO_LARGE: u16 = 1153;
    pub(super) const TOO_MANY_USER_CONNECTIONS: u16 = 1203;
    pub(super) const LOCK_WAIT_TIMEOUT: u16 = 1205;
    pub(super) const USER_LIMIT_REACHED: u16 = 1226;
    pub(super) const STATEMENT_TIMEOUT: u16 = 1969;
    pub(super) const IDLE_FOR_TOO_LONG: u16 = 4031;
}

mod sqlite {
    pub(super) const BUSY: u32 = 5;
    pub(super) const LOCKED: u32 = 6;
    pub(super) const CANNOT_OPEN: u32 = 14;
    pub(super) const NOT_A_DATABASE: u32 = 26;
}

#[cfg(test)]
mod tests {
    use std::{borrow::Cow, fmt, io};

    use sqlx::error::ErrorKind;

    use super::*;

    /// An error as a driver makes it.
    #[derive(Debug)]
    struct Said {
        code: Option<&'static str>,
        printed: &'static str,
    }

    impl fmt::Display for Said {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.printed)
        }
    }

    impl std::error::Error for Said {}

    impl DatabaseError for Said {
        fn message(&self) -> &str {
            self.printed
        }
        fn code(&self) -> Option<Cow<'_, str>> {
            self.code.map(Cow::Borrowed)
        }
        fn as_error(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
            self
        }
        fn as_error_mut(&mut self) -> &mut (dyn std::error::Error + Send + Sync + 'static) {
            self
        }
        fn into_error(self: Box<Self>) -> Box<dyn std::error::Error + Send + Sync + 'static> {
            self
        }
        fn kind(&self) -> ErrorKind {
            ErrorKind::Other
        }
    }

    fn said(code: Option<&'static str>, printed: &'static str) -> Error {
        Error::Database(Box::new(Said { code, printed }))
    }

    #[track_caller]
    fn verdict(error: &Error, expected: Verdict, permanent: bool) {
        assert_eq!(Verdict { repeat: error.repeat(), is_lost: error.is_connection_lost() }, expected, "{error}");
        assert_eq!(is_permanent(error), permanent, "{error}");
    }

    #[test]
    fn what_mysql_says() {
        for (state, printed, expected, permanent) in [
            ("40001", "1213 (40001): Deadlock found", UNDONE, false),
            ("HY000", "1205 (HY000): Lock wait timeout exceeded", UNDONE, false),
            ("HY000", "1020 (HY000): Record has changed", UNDONE, false),
            ("08004", "1040 (08004): Too many connections", UNDONE, false),
            ("42000", "1203 (42000): User has more than 'max_user_connections'", UNDONE, false),
            ("42000", "1226 (42000): User has exceeded 'max_questions'", UNDONE, false),
            ("08S01", "1053 (08S01): Server shutdown in progress", CUT, false),
            ("08S01", "1158 (08S01): Got an error reading communication packets", CUT, false),
            ("70100", "1927 (70100): Connection was killed", CUT, false),
            ("70100", "1317 (70100): Query execution was interrupted", CUT, false),
            ("70100", "1969 (70100): Query execution was interrupted (max_statement_time)", REFUSED, false),
            ("HY000", "4031 (HY000): disconnected because of inactivity", UNREAD, false),
            ("08S01", "1153 (08S01): packet bigger than 'max_allowed_packet'", UNREADABLE, false),
            ("23000", "1062 (23000): Duplicate entry", REFUSED, false),
            ("42S02", "1146 (42S02): no such table", REFUSED, true),
            ("42000", "1049 (42000): Unknown database", REFUSED, true),
            ("28000", "1045 (28000): Access denied", REFUSED, true),
            ("HY000", "1130 (HY000): Host is not allowed to connect", REFUSED, true),
            ("HY000", "1105 (HY000): Unknown error", REFUSED, false),
        ] {
            verdict(&said(Some(state), printed), expected, permanent);
        }
        verdict(&said(None, "1040: Too many connections"), UNDONE, false);
        verdict(&said(None, "1130: Host is not allowed to connect"), REFUSED, true);
    }

    #[test]
    fn what_postgresql_says() {
        for (state, expected, permanent) in [
            ("40001", UNDONE, false),
            ("40P01", UNDONE, false),
            ("55P03", UNDONE, false),
            ("40002", REFUSED, false),
            ("40003", CUT, false),
            ("08006", CUT, false),
            ("57P01", CUT, false),
            ("57P02", CUT, false),
            ("25P03", CUT, false),
            ("57P03", UNREAD, false),
            ("53300", UNREAD, false),
            ("57014", REFUSED, false),
            ("23505", REFUSED, false),
            ("28P01", REFUSED, true),
            ("3D000", REFUSED, true),
        ] {
            verdict(&said(Some(state), "its message"), expected, permanent);
        }
        // A message that looks like MySQL's is no number.
        verdict(&said(Some("P0001"), "1205 (HY000): raised by a function"), REFUSED, false);
    }

    #[test]
    fn what_sqlite_says() {
        for (code, expected, permanent) in [
            ("5", UNDONE, false),
            ("517", UNDONE, false),
            ("6", UNDONE, false),
            ("14", REFUSED, true),
            ("26", REFUSED, true),
            ("2067", REFUSED, false),
            ("8714", REFUSED, false),
        ] {
            verdict(&said(Some(code), "(code: 5) its message"), expected, permanent);
        }
    }

    #[test]
    fn what_the_driver_says() {
        verdict(&Error::Io(io::ErrorKind::UnexpectedEof.into()), CUT, false);
        verdict(&Error::Protocol("unexpected packet".into()), CUT, false);
        verdict(&Error::WorkerCrashed, CUT, false);
        verdict(&Error::Configuration("no host".into()), REFUSED, true);
        assert_eq!(Verdict::of(&Error::RowNotFound), REFUSED);
        assert_eq!(Verdict::of(&Error::Decode("not a number".into())), REFUSED);
    }
}
