//! What an error of the driver says about the call that failed.

use std::error::Error as _;

use redis::{ErrorKind, RedisError, ServerError, ServerErrorKind};

use crate::{CallFailure, Repeat};

/// The server did nothing, and may do it later.
const PASSING: [&str; 10] =
    ["LOADING", "BUSY", "TRYAGAIN", "CLUSTERDOWN", "MASTERDOWN", "READONLY", "NOREPLICAS", "UNBLOCKED", "MOVED", "ASK"];

/// | error | the call |
/// |---|---|
/// | connecting was refused, or no node of the cluster is known for the key | did not happen |
/// | `LOADING`, `BUSY`, `TRYAGAIN`, `CLUSTERDOWN`, `MASTERDOWN`, `READONLY`, `NOREPLICAS`, `UNBLOCKED`, `MOVED`, `ASK`, or no room for a client | did not happen |
/// | a transaction that the server did not begin for one of these reasons | did not happen |
/// | a pipeline of which some commands met one of these | may have happened |
/// | the connection was lost, no answer came in time, an answer could not be read | may have happened |
/// | anything else | would fail again |
///
/// No error says that its connection is lost: a [`RedisConnection`](super::RedisConnection) knows that by itself, and knows
/// better, since that of a cluster survives the loss of a node.
impl CallFailure for RedisError {
    fn repeat(&self) -> Repeat {
        match self.kind() {
            ErrorKind::Io if self.is_connection_refusal() => Repeat::Safe,
            ErrorKind::Io | ErrorKind::Parse => Repeat::IfIdempotent,
            ErrorKind::ClusterConnectionNotFound => Repeat::Safe,
            ErrorKind::Server(_) | ErrorKind::Extension => answered(self),
            _ => Repeat::Never,
        }
    }

    fn is_connection_lost(&self) -> bool {
        false
    }
}

fn answered(error: &RedisError) -> Repeat {
    let Some(errors) = error.clone().into_server_errors() else {
        // Said by the driver on the server's behalf.
        return if error.code().is_some_and(|code| PASSING.contains(&code)) { Repeat::Safe } else { Repeat::Never };
    };
    if errors.is_empty() || !errors.iter().all(|(_, error)| passes(error)) {
        return Repeat::Never;
    }
    // The answer to one command is the error's source; that to several has none, and a transaction is done whole or not.
    let is_one = error.source().is_some_and(|source| source.is::<ServerError>());
    if is_one || error.kind() == ErrorKind::Server(ServerErrorKind::ExecAbort) {
        Repeat::Safe
    } else {
        Repeat::IfIdempotent
    }
}

fn passes(error: &ServerError) -> bool {
    PASSING.contains(&error.code()) || error.details().is_some_and(|text| text.contains("max number of clients"))
}

#[cfg(test)]
mod tests {
    use std::io;

    use redis::parse_redis_value;

    use super::*;

    fn answer(text: &str) -> RedisError {
        parse_redis_value(format!("-{text}\r\n").as_bytes()).unwrap().extract_error().unwrap_err()
    }

    #[test]
    fn what_the_server_did_not_do_is_safe() {
        for text in [
            "LOADING Redis is loading the dataset in memory",
            "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
            "TRYAGAIN Multiple keys request during rehashing of slot",
            "CLUSTERDOWN Hash slot not served",
            "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
            "READONLY You can't write against a read only replica.",
            "NOREPLICAS Not enough good replicas to write.",
            "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)",
            "MOVED 3999 127.0.0.1:6381",
            "ERR max number of clients reached",
        ] {
            assert_eq!(answer(text).repeat(), Repeat::Safe, "{text}");
        }
        assert_eq!(RedisError::from((ErrorKind::Server(ServerErrorKind::ClusterDown), "")).repeat(), Repeat::Safe);
        assert_eq!(RedisError::from((ErrorKind::ClusterConnectionNotFound, "")).repeat(), Repeat::Safe);
        assert_eq!(RedisError::from(io::Error::from(io::ErrorKind::ConnectionRefused)).repeat(), Repeat::Safe);
    }

    #[test]
    fn what_may_have_happened_is_for_those_who_can_bear_it() {
        for kind in [io::ErrorKind::BrokenPipe, io::ErrorKind::ConnectionReset, io::ErrorKind::TimedOut] {
            assert_eq!(RedisError::from(io::Error::from(kind)).repeat(), Repeat::IfIdempotent, "{kind}");
        }
        let unreadable = parse_redis_value(b"?\r\n").unwrap_err();
        assert_eq!(unreadable.repeat(), Repeat::IfIdempotent, "{unreadable}");
    }

    #[test]
    fn anything_else_would_fail_again() {
        for text in [
            "ERR syntax error",
            "WRONGTYPE Operation against a key holding the wrong kind of value",
            "NOSCRIPT No matching script",
            "NOAUTH Authentication required.",
            "NOPERM no permissions",
            "CROSSSLOT Keys in request don't hash to the same slot",
            "OOM command not allowed when used memory > 'maxmemory'.",
            "EXECABORT Transaction discarded because of previous errors.",
        ] {
            assert_eq!(answer(text).repeat(), Repeat::Never, "{text}");
        }
        assert_eq!(RedisError::from((ErrorKind::Client, "refused here")).repeat(), Repeat::Never);
        assert_eq!(RedisError::from((ErrorKind::UnexpectedReturnType, "")).repeat(), Repeat::Never);
    }
}
