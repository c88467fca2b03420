//! Keeps a second process away from a database that has one writer.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    path::Path,
};

/// Holds the lock on a database until it is dropped or the process ends, however it ends.
#[derive(Debug)]
pub struct DataLock {
    _file: File,
}

/// Why the lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum DataLockError {
    /// Another process holds it.
    #[error("another process uses these data")]
    Held,
    /// The lock file cannot be used.
    #[error("cannot lock the data: {0}")]
    Io(#[from] io::Error),
}

impl DataLock {
    /// Locks the database by an empty file beside it, `DATABASE.lock`, which stays: removing it would let two processes
    /// lock two files of that name.
    ///
    /// # Errors
    /// At once if another process holds the lock.
    pub fn take(database: &Path) -> Result<Self, DataLockError> {
        let mut path = database.as_os_str().to_owned();
        path.push(".lock");
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(DataLockError::Held),
            Err(TryLockError::Error(error)) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{DataLock, DataLockError};

    #[test]
    fn is_held_once_and_free_after() {
        let directory = tempfile::tempdir().unwrap();
        let database = directory.path().join("uschat.db");
        let first = DataLock::take(&database).unwrap();
        assert!(matches!(DataLock::take(&database), Err(DataLockError::Held)));
        drop(first);
        DataLock::take(&database).unwrap();
    }

    #[test]
    fn a_missing_directory_is_an_error_of_its_own() {
        let directory = tempfile::tempdir().unwrap();
        let database = directory.path().join("missing/uschat.db");
        assert!(matches!(DataLock::take(&database), Err(DataLockError::Io(_))));
    }
}
