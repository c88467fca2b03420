use std::{
    error::Error,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::time::{MissedTickBehavior, interval};
use tracing::warn;
use uschat_server::{
    chat::ChatStores,
    gate::ReadOutbox,
    store::{
        Accounts, Contacts, Conversations, State,
        memory::{MemoryState, MemoryStore},
        mysql::{MysqlOptions, MysqlStore},
        redis::{RedisOptions, RedisOutbox, RedisState},
        sqlite::{SqliteOptions, SqliteStore},
    },
    verify::{Mailer, Outbox, SmtpMailer, SmtpOptions},
};

use crate::{
    StartError,
    config::{Backends, Database, Named, SmtpUrl},
    data_lock::{DataLock, DataLockError},
};

/// What the servers of a process use.
#[derive(Debug, Default)]
pub(crate) struct Needs {
    /// Whether they keep anything in the database.
    pub(crate) database: bool,
    /// The chat servers of the first season in the cluster.
    pub(crate) originals: Vec<String>,
    /// How long a code is good for, where mails are sent.
    pub(crate) code_lifetime: Option<Duration>,
}

/// The adapters behind the ports of all services.
pub(crate) struct Storage {
    pub(super) stores: ChatStores,
    pub(super) sqlite: Option<Arc<SqliteStore>>,
    pub(super) mysql: Option<Arc<MysqlStore>>,
    pub(super) redis: Option<Arc<RedisState>>,
    /// For the verification server, where it runs.
    pub(super) mailer: Option<Arc<dyn Mailer>>,
    /// Where codes can be read, if no mail server gets them.
    pub(super) outbox: Option<Arc<dyn ReadOutbox>>,
    /// Whether the servers of this process keep anything in the database.
    pub(super) is_kept: bool,
    /// Keeps other processes away from an SQLite file.
    _lock: Option<DataLock>,
}

impl Storage {
    /// Opens what is needed behind the services.
    pub(crate) async fn open(backends: &Backends, needs: Needs) -> Result<Self, StartError> {
        let Needs { database, originals, code_lifetime } = needs;
        let lock = if database { lock(&backends.database)? } else { None };
        let redis = match &backends.redis {
            Some(Named { key, value: url }) => {
                let options = RedisOptions { originals, ..RedisOptions::default() };
                let opened = RedisState::open(url.expose(), options).await;
                Some(Arc::new(opened.map_err(|error| open_error(key, &error))?))
            }
            None => None,
        };
        let state: Arc<dyn State> = match &redis {
            Some(redis) => redis.clone(),
            None => Arc::new(MemoryState::default()),
        };
        let (mailer, outbox) = mail(backends.smtp.as_ref(), redis.as_ref(), code_lifetime).await?;
        let storage = |stores| Self {
            stores,
            sqlite: None,
            mysql: None,
            redis: redis.clone(),
            mailer: mailer.clone(),
            outbox: outbox.clone(),
            is_kept: database,
            _lock: None,
        };
        let key = &backends.database.key;
        let storage = match &backends.database.value {
            // Nothing is kept: codes and tokens live in the state.
            _ if !database => storage(stores(Arc::new(MemoryStore::new()), state)),
            Database::Memory => storage(stores(Arc::new(MemoryStore::new()), state)),
            Database::Mysql(url) => {
                let opened = MysqlStore::open(url.expose(), MysqlOptions::default()).await;
                let mysql = Arc::new(opened.map_err(|error| open_error(key, &error))?);
                Self { mysql: Some(mysql.clone()), ..storage(stores(mysql, state)) }
            }
            Database::DataDir(_) | Database::Sqlite(_) => {
                let path = path(&backends.database.value).unwrap_or_default();
                let opened = SqliteStore::open(&path, SqliteOptions::default()).await;
                let sqlite =
                    Arc::new(opened.map_err(|error| StartError::new(key, error, format!("or name another {key}")))?);
                Self { sqlite: Some(sqlite.clone()), ..storage(stores(sqlite, state)) }
            }
        };
        Ok(Self { _lock: lock, ..storage })
    }

    /// Returns when all chat servers of these names have said that they are alive. Cancel safe.
    pub(super) async fn announced(&self, names: &[String]) {
        // The state port has no way to wait for an announcement, and only start-up wants one.
        let mut look = interval(Duration::from_millis(5));
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let all = |servers: Vec<uschat_server::store::state::ServerRecord>| {
            names.iter().all(|name| servers.iter().any(|server| server.name == *name))
        };
        while !names.is_empty() && !self.stores.state.servers().await.is_ok_and(all) {
            look.tick().await;
        }
    }

    /// Has the metrics show the connections as they are now: a pool sets its gauges when a snapshot is taken.
    pub(super) fn observe_pools(&self) {
        let _ = self.mysql.as_ref().map(|mysql| mysql.snapshot());
        let _ = self.sqlite.as_ref().map(|sqlite| sqlite.snapshot());
        let _ = self.redis.as_ref().map(|redis| redis.snapshot());
    }

    /// Commits what was handed over and closes the files.
    pub(crate) async fn close(&self) {
        if let Some(mysql) = &self.mysql {
            mysql.close().await;
        }
        if let Some(sqlite) = &self.sqlite
            && let Err(error) = sqlite.close().await
        {
            warn!(%error, "the database was not closed cleanly; the next start recovers it");
        }
    }
}

fn stores<S: Accounts + Contacts + Conversations>(store: Arc<S>, state: Arc<dyn State>) -> ChatStores {
    ChatStores { accounts: store.clone(), contacts: store.clone(), conversations: store, state }
}

/// Who sends codes, and where they can be read instead. Processes share an outbox in Redis.
type Mail = (Option<Arc<dyn Mailer>>, Option<Arc<dyn ReadOutbox>>);

async fn mail(
    smtp: Option<&Named<SmtpUrl>>,
    redis: Option<&Arc<RedisState>>,
    code_lifetime: Option<Duration>,
) -> Result<Mail, StartError> {
    Ok(match (smtp, redis, code_lifetime) {
        (Some(_), _, None) => (None, None),
        (Some(smtp), _, Some(code_lifetime)) => {
            let options = SmtpOptions { code_lifetime, ..SmtpOptions::default() };
            let refused = |error| open_error(&smtp.key, &error);
            let mailer = SmtpMailer::new(smtp.value.expose(), options).map_err(refused)?;
            mailer.check().await.map_err(refused)?;
            (Some(Arc::new(mailer)), None)
        }
        (None, Some(redis), _) => {
            let outbox = Arc::new(RedisOutbox::new(redis));
            (Some(outbox.clone()), Some(outbox))
        }
        (None, None, _) => {
            let outbox = Arc::new(Outbox::default());
            (Some(outbox.clone()), Some(outbox))
        }
    })
}

/// The drivers' errors say what is wrong and what to do, in one sentence, but not which key named the place.
pub(crate) fn open_error(key: &str, error: &dyn Error) -> StartError {
    let text = error.to_string();
    match text.rsplit_once("; ").or_else(|| text.rsplit_once(": ")) {
        Some((problem, remedy)) => StartError::new(key, problem, remedy),
        None => StartError::new(key, text, "correct the URL or start that server"),
    }
}

/// Makes the data directory and keeps every other process away from the data.
fn lock(database: &Named<Database>) -> Result<Option<DataLock>, StartError> {
    let Named { key, value: database } = database;
    if let Database::DataDir(directory) = database {
        make_private(directory).map_err(|error| {
            let problem = format!("cannot make {}: {error}", directory.display());
            StartError::new("--data-dir", problem, "name a directory that may be written")
        })?;
    }
    let Some(path) = path(database) else { return Ok(None) };
    let lock = resolve(&path).map_err(DataLockError::Io).and_then(|path| DataLock::take(&path));
    lock.map(Some).map_err(|error| {
        let remedy = match error {
            DataLockError::Held => "end it, or give this one another",
            DataLockError::Io(_) => "the directory must exist and be writable; make it so, or name another",
        };
        let problem = format!("{}: {error}", path.display());
        StartError::new(key, problem, format!("{remedy} {key}"))
    })
}

/// One database is one lock, whatever links lead to it.
fn resolve(path: &Path) -> io::Result<PathBuf> {
    if let Ok(resolved) = path.canonicalize() {
        return Ok(resolved);
    }
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "this is no file"))?;
    Ok(directory.canonicalize()?.join(name))
}

/// What lies there are password hashes and conversations.
fn make_private(directory: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(directory)
}

fn path(database: &Database) -> Option<PathBuf> {
    match database {
        Database::DataDir(directory) => Some(directory.join("uschat.db")),
        Database::Sqlite(path) => Some(path.clone()),
        Database::Memory | Database::Mysql(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Database, Named, lock};

    #[test]
    fn links_do_not_lead_around_the_lock() {
        let directory = tempfile::tempdir().unwrap();
        let data = Named::new("--data-dir", Database::DataDir(directory.path().join("data")));
        let _held = lock(&data).unwrap().unwrap();
        let around = Named::new("--sql", Database::Sqlite(directory.path().join("data/../data/uschat.db")));
        let shown = lock(&around).unwrap_err().to_string();
        assert!(shown.starts_with("--sql: ") && shown.contains("another process uses these data"), "{shown}");
        assert!(lock(&Named::new("--sql", Database::Memory)).unwrap().is_none());
    }

    #[test]
    fn a_file_is_no_data_directory() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let shown = lock(&Named::new("--data-dir", Database::DataDir(file.path().to_owned()))).unwrap_err().to_string();
        assert!(shown.starts_with("--data-dir: cannot make "), "{shown}");
    }
}
