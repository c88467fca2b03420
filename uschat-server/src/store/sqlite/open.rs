use std::{
    error::Error,
    path::{Path, PathBuf},
    time::Duration,
};

use sqlx::{
    ConnectOptions, Connection, SqlSafeStr, SqliteConnection,
    migrate::{MigrateError, Migration, MigrationType, Migrator},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use tokio::time::{Instant, sleep};
use uschat_pool::{ConfigError, Pool, PoolConfig, PoolError, sql::SqlManager};

use super::{SqliteOptions, database::Database};
use crate::store::meter::Meter;

/// Ascending, without gaps; one that was released is never changed again.
const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "llfc", include_str!("../../../migrations/sqlite/0001_llfc.sql")),
    (2, "progress", include_str!("../../../migrations/sqlite/0002_progress.sql")),
];

/// Between two attempts to make the file.
const RETRY: Duration = Duration::from_millis(20);

/// Why a database was not opened. Nothing was changed in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// An option is out of range.
    #[error("the options of the database: {0}")]
    Options(#[from] ConfigError),
    /// The file is missing and cannot be made, or is no SQLite database.
    #[error(
        "the database {path} cannot be opened: {source}; check that its folder exists, that it may be written and that the file is an SQLite database"
    )]
    Unreachable {
        /// The file.
        path: PathBuf,
        /// What the driver says.
        source: Box<dyn Error + Send + Sync>,
    },
    /// A newer version of this program has changed the schema.
    #[error(
        "the database {path} has schema version {found}, this program knows {known}: start the newer version that made it, or give another file"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The schema version in it.
        found: i64,
        /// The newest one this program knows.
        known: i64,
    },
    /// The database was made by other statements than this program holds for that version.
    #[error(
        "the database {path} was made with another schema version {version} than this program knows: start the version that made it, or give another file"
    )]
    Changed {
        /// The file.
        path: PathBuf,
        /// The version that differs.
        version: i64,
    },
    /// The schema could not be brought up to date.
    #[error(
        "the schema of the database {path} could not be brought up to date: {source}; if another program made the file, give another one"
    )]
    Migrate {
        /// The file.
        path: PathBuf,
        /// What the driver says.
        source: Box<dyn Error + Send + Sync>,
    },
}

pub(super) async fn open(path: &Path, options: &SqliteOptions) -> Result<Database, OpenError> {
    let connect = SqliteConnectOptions::new()
        .filename(path)
        .foreign_keys(true)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(options.busy_timeout)
        .disable_statement_logging();
    // Random client ids touch pages all over their index: they are kept, and moved into the file some megabytes at a time.
    let writing = connect
        .clone()
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .pragma("wal_autocheckpoint", "4000")
        .pragma("cache_size", "-32768")
        .pragma("temp_store", "MEMORY");
    let reading = connect.pragma("query_only", "ON");

    let config = |size| PoolConfig {
        size,
        wait: options.wait,
        create: options.busy_timeout + Duration::from_secs(3),
        max_lifetime: Duration::from_secs(30 * 24 * 60 * 60),
        ..PoolConfig::default()
    };
    let database = Database {
        writer: Pool::new("sqlite writer", SqlManager::new(writing.clone()), config(1))?,
        readers: Pool::new("sqlite readers", SqlManager::new(reading), config(options.readers))?,
        meter: Meter::new("sqlite"),
    };
    make_file(&writing, options.busy_timeout)
        .await
        .map_err(|source| OpenError::Unreachable { path: path.to_owned(), source: source.into() })?;
    let mut writer = database.writer.get().await.map_err(|error| OpenError::Unreachable {
        path: path.to_owned(),
        source: match error {
            PoolError::Connect(cause) => cause.into(),
            other => other.into(),
        },
    })?;
    migrate(&mut writer, &migrator()).await.map_err(|error| explain(error, path))?;
    drop(writer);
    Ok(database)
}

/// Makes the file if it is missing, and one with a write-ahead log. Two programs cannot do that at the same moment, and SQLite
/// lets neither wait.
async fn make_file(options: &SqliteConnectOptions, wait: Duration) -> Result<(), sqlx::Error> {
    let until = Instant::now() + wait;
    loop {
        match options.connect().await {
            Ok(connection) => return connection.close().await,
            Err(error) if is_locked(&error) && Instant::now() < until => sleep(RETRY).await,
            Err(error) => return Err(error),
        }
    }
}

fn is_locked(error: &sqlx::Error) -> bool {
    const BUSY: u32 = 5;
    let code = error.as_database_error().and_then(|error| error.code()?.parse::<u32>().ok());
    code.is_some_and(|code| code & 0xff == BUSY)
}

/// In one transaction: a start that is cut off changes nothing, and of two programs one waits.
async fn migrate(connection: &mut SqliteConnection, migrator: &Migrator) -> Result<(), MigrateError> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    match migrator.run(&mut *transaction).await {
        Ok(()) => Ok(transaction.commit().await?),
        Err(error) => {
            transaction.rollback().await?;
            Err(error)
        }
    }
}

fn migrator() -> Migrator {
    let migration = |&(version, name, sql): &(i64, &'static str, &'static str)| {
        Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    Migrator::with_migrations(MIGRATIONS.iter().map(migration).collect())
}

fn explain(error: MigrateError, path: &Path) -> OpenError {
    let path = path.to_owned();
    match error {
        MigrateError::VersionMissing(found) => {
            let known = MIGRATIONS.last().map_or(0, |&(version, ..)| version);
            OpenError::Newer { path, found, known }
        }
        MigrateError::VersionMismatch(version) => OpenError::Changed { path, version },
        other => OpenError::Migrate { path, source: other.into() },
    }
}
