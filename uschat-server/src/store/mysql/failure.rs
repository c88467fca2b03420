//! What an error of the database means for the transaction it ended.

use sqlx::mysql::MySqlDatabaseError;

use crate::store::StoreError;

/// How an attempt ended.
#[derive(Debug)]
pub(super) enum Failure {
    /// Others stood in the way: a deadlock, a lock that was not released in time. Nothing is stored; the same again may
    /// succeed.
    Contended(StoreError),
    /// A row is there already that was to be inserted. Nothing is stored; the same again may succeed, now that it is there.
    Duplicate(StoreError),
    /// There is no connection, or it was lost before COMMIT was sent. Nothing is stored.
    Lost(StoreError),
    /// COMMIT was sent, and its answer did not come. Nobody knows yet whether it is stored.
    Unknown(StoreError),
    /// The database will not have it, however often it is asked. Nothing is stored.
    Refused(StoreError),
}

impl Failure {
    /// Whether the same again may succeed and can do no harm.
    pub(super) fn may_pass(&self) -> bool {
        matches!(self, Self::Contended(_) | Self::Duplicate(_) | Self::Lost(_))
    }

    /// Whether the server answered, so that the connection can be used further.
    pub(super) fn connection_is_in_order(&self) -> bool {
        matches!(self, Self::Contended(_) | Self::Duplicate(_) | Self::Refused(_))
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Contended(error)
            | Failure::Duplicate(error)
            | Failure::Lost(error)
            | Failure::Unknown(error)
            | Failure::Refused(error) => error,
        }
    }
}

/// Tells what may pass from what does not.
pub(super) fn classify(error: sqlx::Error) -> Failure {
    const DUPLICATE: u16 = 1062;
    use sqlx::Error::{ColumnDecode, ColumnIndexOutOfBounds, ColumnNotFound, Database, Decode, Encode};

    match &error {
        Database(cause) => match cause.try_downcast_ref::<MySqlDatabaseError>() {
            Some(cause) if cause.number() == DUPLICATE => Failure::Duplicate(StoreError::unavailable(error)),
            Some(cause) if is_contention(cause.number()) => Failure::Contended(StoreError::unavailable(error)),
            Some(cause) if is_permanent(cause.number(), cause.code().unwrap_or_default()) => {
                Failure::Refused(StoreError::Corrupt(error.to_string()))
            }
            _ => Failure::Lost(StoreError::unavailable(error)),
        },
        ColumnDecode { .. } | ColumnIndexOutOfBounds { .. } | ColumnNotFound(_) | Decode(_) | Encode(_) => {
            Failure::Refused(StoreError::Corrupt(error.to_string()))
        }
        _ => Failure::Lost(StoreError::unavailable(error)),
    }
}

fn is_contention(number: u16) -> bool {
    const RECORD_CHANGED: u16 = 1020;
    const LOCK_WAIT_TIMEOUT: u16 = 1205;
    const DEADLOCK: u16 = 1213;
    matches!(number, RECORD_CHANGED | LOCK_WAIT_TIMEOUT | DEADLOCK)
}

/// By the class of the SQL state: 21 and 22 data, 23 constraint, 42 statement or schema, 45 a trigger's refusal; and by
/// number where the state only says that something went wrong.
fn is_permanent(number: u16, state: &str) -> bool {
    const PACKET_TOO_LARGE: u16 = 1153;
    const TOO_MANY_USER_CONNECTIONS: u16 = 1203;
    const USER_LIMIT_REACHED: u16 = 1226;
    const NO_DEFAULT_FOR_FIELD: u16 = 1364;
    const WRONG_VALUE_FOR_FIELD: u16 = 1366;
    match number {
        TOO_MANY_USER_CONNECTIONS | USER_LIMIT_REACHED => false,
        PACKET_TOO_LARGE | NO_DEFAULT_FOR_FIELD | WRONG_VALUE_FOR_FIELD => true,
        _ => ["21", "22", "23", "42", "45"].contains(&state.get(..2).unwrap_or_default()),
    }
}
