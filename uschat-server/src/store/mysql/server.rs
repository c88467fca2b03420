//! What the server is, what it can do, and how every connection is set up.

use std::collections::HashMap;

use sqlx::{MySqlConnection, Row};

use super::{MysqlOptions, OpenError};

const VARIABLES: &str = "SHOW GLOBAL VARIABLES
    WHERE Variable_name IN ('version', 'max_allowed_packet', 'log_bin', 'binlog_format')";

/// MariaDB or MySQL, and its version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Server {
    maria: bool,
    version: (u32, u32),
    max_allowed_packet: usize,
}

impl Server {
    /// Asks the server.
    pub(super) async fn probe(connection: &mut MySqlConnection) -> Result<Self, OpenError> {
        let rows = sqlx::query(VARIABLES).fetch_all(connection).await.map_err(OpenError::migrate)?;
        let pairs = rows.iter().map(|row| Ok((row.try_get_unchecked(0)?, row.try_get_unchecked(1)?)));
        let variables: HashMap<String, String> = pairs.collect::<Result<_, _>>().map_err(OpenError::migrate)?;
        let value = |name: &str| variables.get(name).map_or("", String::as_str);
        if value("log_bin") == "ON" && value("binlog_format") == "STATEMENT" {
            return Err(OpenError::Unsupported(
                "writes its binary log by statement, which does not go with READ COMMITTED: set binlog_format to ROW or MIXED"
                    .into(),
            ));
        }
        let text = value("version");
        let (maria, version) = parse_version(text);
        let least = if maria { (10, 5) } else { (8, 0) };
        if version < least {
            return Err(OpenError::Unsupported(format!("is of version {text}: MariaDB 10.5 or MySQL 8.0 is needed")));
        }
        // 1 MiB is the least that any version begins with.
        Ok(Self { maria, version, max_allowed_packet: value("max_allowed_packet").parse().unwrap_or(1 << 20) })
    }

    /// What follows `FOR UPDATE` to leave out locked rows; nothing on MariaDB 10.5, which waits for them.
    pub(super) fn skip_locked(&self) -> &'static str {
        if self.maria && self.version < (10, 6) { "" } else { " SKIP LOCKED" }
    }

    /// Most bytes of texts that one statement should carry.
    pub(super) fn max_bytes(&self) -> usize {
        self.max_allowed_packet / 4
    }

    /// The statements that every connection begins with. Times are whole seconds.
    pub(super) fn setup(&self, options: &MysqlOptions) -> Vec<String> {
        let seconds = options.deadline.as_secs().max(1);
        // A statement that nobody waits for any more ends by itself, and a transaction whose client was stopped is cut,
        // so that it does not keep others from what it has locked.
        let limits = if self.maria {
            format!(
                "max_statement_time = {seconds}, idle_transaction_timeout = 2, idle_write_transaction_timeout = 2,
                 in_predicate_conversion_threshold = 0"
            )
        } else {
            format!("max_execution_time = {}", seconds * 1_000)
        };
        vec![
            "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED".into(),
            format!(
                "SET SESSION sql_mode = 'STRICT_ALL_TABLES,STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION',
                 autocommit = 1, innodb_lock_wait_timeout = 1, lock_wait_timeout = {seconds},
                 auto_increment_increment = 1, auto_increment_offset = 1, {limits}"
            ),
        ]
    }
}

fn parse_version(text: &str) -> (bool, (u32, u32)) {
    let mut numbers = text.split(|character: char| !character.is_ascii_digit()).map(|part| part.parse().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    (text.to_ascii_lowercase().contains("mariadb"), version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_understood() {
        assert_eq!(parse_version("10.11.19-MariaDB-0+deb12u1"), (true, (10, 11)));
        assert_eq!(parse_version("11.4.2-MariaDB"), (true, (11, 4)));
        assert_eq!(parse_version("8.0.36"), (false, (8, 0)));
        assert_eq!(parse_version("5.7.44-log"), (false, (5, 7)));
        assert_eq!(parse_version("something"), (false, (0, 0)));
    }

    #[test]
    fn mariadb_before_10_6_cannot_skip_locks() {
        let server = |maria, version| Server { maria, version, max_allowed_packet: 1 << 24 };
        assert_eq!(server(true, (10, 5)).skip_locked(), "");
        assert_eq!(server(true, (10, 6)).skip_locked(), " SKIP LOCKED");
        assert_eq!(server(false, (8, 0)).skip_locked(), " SKIP LOCKED");
    }
}
