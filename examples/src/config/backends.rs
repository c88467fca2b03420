use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{
    Named,
    urls::{RedisUrl, SecretUrl, SmtpUrl, SqlUrl},
};
use crate::StartError;

/// What stands behind the services.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backends {
    /// Where the data lie.
    pub database: Named<Database>,
    /// Where the state is kept; without it, in the memory of the process.
    pub redis: Option<Named<RedisUrl>>,
    /// Who sends the mails; without it, they go to an outbox that the gate may show.
    pub smtp: Option<Named<SmtpUrl>>,
}

/// Where the data lie.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Database {
    /// In the data directory, which is made if it is missing.
    DataDir(PathBuf),
    /// In the SQLite file of this path.
    Sqlite(PathBuf),
    /// In memory until the process ends.
    Memory,
    /// On a MySQL or MariaDB server.
    Mysql(SecretUrl),
}

impl Database {
    /// What `--sql` or else `--data-dir` say.
    ///
    /// # Errors
    /// When the data directory's path is empty.
    pub(super) fn choose(sql: Option<Named<SqlUrl>>, data_dir: Option<PathBuf>) -> Result<Named<Self>, StartError> {
        if let Some(Named { key, value }) = sql {
            let database = match value {
                SqlUrl::Sqlite(path) => Self::Sqlite(path),
                SqlUrl::Memory => Self::Memory,
                SqlUrl::Mysql(url) => Self::Mysql(url),
            };
            return Ok(Named { key, value: database });
        }
        let directory = data_dir.unwrap_or_else(|| "./uschat-data".into());
        if directory.as_os_str().is_empty() {
            return Err(StartError::new("--data-dir", "the path is empty", "name a directory"));
        }
        Ok(Named::new("--data-dir", Self::DataDir(directory)))
    }

    /// Whether other processes may use it at the same time.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        matches!(self, Self::Mysql(_))
    }
}

impl Backends {
    /// For people, without passwords: where everything lies, a line each.
    #[must_use]
    pub fn describe(&self) -> String {
        let database = match &self.database.value {
            Database::DataDir(directory) => format!("SQLite in {}", directory.display()),
            Database::Sqlite(path) => format!("SQLite at {}", path.display()),
            Database::Memory => "memory, or none needed".to_owned(),
            Database::Mysql(url) => format!("MySQL or MariaDB at {}", url.place()),
        };
        let state =
            self.redis.as_ref().map_or_else(|| "memory".to_owned(), |url| format!("Redis at {}", url.value.place()));
        let mail =
            self.smtp.as_ref().map_or_else(|| "an outbox".to_owned(), |url| format!("SMTP at {}", url.value.place()));
        format!("  data in {database}\n  state in {state}\n  mail to {mail}\n")
    }
}
