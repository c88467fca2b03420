use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::time::{MissedTickBehavior, interval};
use tracing::warn;
use uschat_server::{
    chat::ChatStores,
    store::{
        State,
        memory::{MemoryState, MemoryStore},
        sqlite::{SqliteOptions, SqliteStore},
    },
};

use crate::{
    StartError,
    config::Database,
    data_lock::{DataLock, DataLockError},
};

/// The adapters behind the ports of all services.
pub(super) struct Storage {
    pub(super) stores: ChatStores,
    sqlite: Option<Arc<SqliteStore>>,
}

impl Storage {
    pub(super) async fn open(database: &Database) -> Result<Self, StartError> {
        let state: Arc<dyn State> = Arc::new(MemoryState::default());
        let Some(path) = path(database) else {
            let store = Arc::new(MemoryStore::new());
            let stores = ChatStores { accounts: store.clone(), contacts: store.clone(), conversations: store, state };
            return Ok(Self { stores, sqlite: None });
        };
        let opened = SqliteStore::open(&path, SqliteOptions::default()).await;
        let store =
            Arc::new(opened.map_err(|error| {
                StartError::new(key(database), error, format!("or name another {}", key(database)))
            })?);
        let stores =
            ChatStores { accounts: store.clone(), contacts: store.clone(), conversations: store.clone(), state };
        Ok(Self { stores, sqlite: Some(store) })
    }

    /// Returns when as many chat servers as this have said that they are alive. Cancel safe.
    pub(super) async fn chats_announced(&self, chats: u16) {
        // The state port has no way to wait for an announcement, and only start-up wants one.
        let mut look = interval(Duration::from_millis(5));
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !matches!(self.stores.state.servers().await, Ok(servers) if servers.len() >= chats.into()) {
            look.tick().await;
        }
    }

    /// Commits what was handed over and closes the files.
    pub(super) async fn close(&self) {
        if let Some(sqlite) = &self.sqlite
            && let Err(error) = sqlite.close().await
        {
            warn!(%error, "the database was not closed cleanly; the next start recovers it");
        }
    }
}

/// Makes the data directory and keeps every other process away from the data.
pub(super) fn lock(database: &Database) -> Result<Option<DataLock>, StartError> {
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
        StartError::new(key(database), problem, format!("{remedy} {}", key(database)))
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
        Database::Memory => None,
    }
}

fn key(database: &Database) -> &'static str {
    match database {
        Database::DataDir(_) => "--data-dir",
        Database::Sqlite(_) | Database::Memory => "--sql",
    }
}

#[cfg(test)]
mod tests {
    use super::{Database, lock};

    #[test]
    fn links_do_not_lead_around_the_lock() {
        let directory = tempfile::tempdir().unwrap();
        let data = Database::DataDir(directory.path().join("data"));
        let _held = lock(&data).unwrap().unwrap();
        let around = Database::Sqlite(directory.path().join("data/../data/uschat.db"));
        let shown = lock(&around).unwrap_err().to_string();
        assert!(shown.starts_with("--sql: ") && shown.contains("another process uses these data"), "{shown}");
        assert!(lock(&Database::Memory).unwrap().is_none());
    }

    #[test]
    fn a_file_is_no_data_directory() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let shown = lock(&Database::DataDir(file.path().to_owned())).unwrap_err().to_string();
        assert!(shown.starts_with("--data-dir: cannot make "), "{shown}");
    }
}
