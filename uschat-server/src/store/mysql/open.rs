use std::{collections::HashMap, error::Error, io, str::FromStr, sync::Arc, time::Duration};

use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, Executor, MySqlConnection, Row,
    mysql::{MySqlConnectOptions, MySqlDatabaseError},
};
use tokio::time::{Instant, timeout};
use uschat_pool::{ConfigError, Pool, PoolConfig, sql::SqlManager};

use super::{
    MysqlOptions,
    database::Database,
    line::{BATCHES, LANES},
    schema::{self, Catalog, VERSIONS},
    server::Server,
    takeover,
};
use crate::store::meter::Meter;

/// How long to wait for another program that changes the schema.
const MIGRATION_WAIT: Duration = Duration::from_secs(10 * 60);

/// Why a database was not opened. Never shows the URL: it holds the password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// An option is out of range. Nothing was changed.
    #[error("the options of the database: {0}")]
    Options(#[from] ConfigError),
    /// The URL cannot be understood. Nothing was changed.
    #[error("the URL of the database {0}; write mysql://user:password@host:port/database")]
    Url(String),
    /// Nothing answers there, or not in time, or TLS could not be agreed on. Nothing was changed.
    #[error(
        "the database server at {host}:{port} cannot be reached: {source}; check that it runs, that host and port are right and, with ssl-mode, its certificate"
    )]
    Unreachable {
        /// The host of the URL.
        host: String,
        /// Its port.
        port: u16,
        /// What the driver says.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The server does not know the user, or the password is wrong. Nothing was changed.
    #[error(
        "the database server refused user name or password: correct them in the URL, create the user or, if the server insists on TLS, add ?ssl-mode=REQUIRED"
    )]
    AccessDenied,
    /// The user may not use this database, or may not do there what is needed. Nothing was changed.
    #[error("the user may not use the database {database}: GRANT ALL ON `{database}`.* to the user of the URL")]
    NoRights {
        /// The database of the URL.
        database: String,
    },
    /// The server has no such database. Nothing was changed.
    #[error("the server has no database {database}: CREATE DATABASE `{database}`, or correct the URL")]
    UnknownDatabase {
        /// The database of the URL.
        database: String,
    },
    /// The server lacks something that the guarantee rests on; the sentence names the remedy. Nothing was changed.
    #[error("the database server {0}")]
    Unsupported(String),
    /// The database is neither empty, nor ours, nor an original server's. Nothing was changed.
    #[error(
        "the database {database} belongs to another program: {why}; give an empty one, or one of an original server"
    )]
    Foreign {
        /// The database of the URL.
        database: String,
        /// How that shows.
        why: String,
    },
    /// A newer version of this program has changed the schema. Nothing was changed.
    #[error(
        "the database {database} has schema version {found}, this program knows {known}: start the newer version that made it, or give another database"
    )]
    Newer {
        /// The database of the URL.
        database: String,
        /// The schema version in it.
        found: i64,
        /// The newest one this program knows.
        known: i64,
    },
    /// The database was made by other statements than this program holds for that version. Nothing was changed.
    #[error(
        "the database {database} was made with another schema version {version} than this program knows: start the version that made it, or give another database"
    )]
    Changed {
        /// The database of the URL.
        database: String,
        /// The version that differs.
        version: i64,
    },
    /// Another program has been changing the schema for ten minutes.
    #[error(
        "another program is changing the schema of the database {database}: wait for it, or end it and start again"
    )]
    Busy {
        /// The database of the URL.
        database: String,
    },
    /// The schema could not be brought up to date. What was done stays done and harms nobody; the next start continues.
    #[error(
        "the schema could not be brought up to date: {source}; correct that and start again, it goes on from there"
    )]
    Migrate {
        /// What the driver says.
        source: Box<dyn Error + Send + Sync>,
    },
}

impl OpenError {
    pub(super) fn migrate(error: sqlx::Error) -> Self {
        Self::Migrate { source: error.into() }
    }
}

pub(super) async fn open(url: &str, options: &MysqlOptions) -> Result<Database, OpenError> {
    let connect = parse(url)?;
    let pool = pool_config(options, options.connections);
    pool.validate()?;
    let (mut connection, server) = connect_once(&connect, options).await?;
    let up_to_date = timeout(options.deadline, is_up_to_date(&mut connection, database(&connect))).await;
    if !up_to_date.map_err(|_| silent(&connect))?? {
        migrate(&mut connection, database(&connect)).await?;
    }
    // The answer to a goodbye interests nobody.
    let _ = timeout(options.connect, connection.close()).await;

    let manager = || {
        let manager = SqlManager::new(connect.clone());
        server.setup(options).into_iter().fold(manager, |manager, one| manager.setup(AssertSqlSafe(one)))
    };
    Ok(Database {
        shared: Pool::new("mysql", manager(), pool)?,
        committing: Pool::new("mysql texts", manager(), pool_config(options, BATCHES + LANES))?,
        deadline: options.deadline,
        skip_locked: server.skip_locked(),
        max_bytes: server.max_bytes(),
        chats: Arc::default(),
        meter: Meter::new("mysql"),
    })
}

/// What [`open`] would change, without changing it.
pub(super) async fn dry_run(url: &str, options: &MysqlOptions) -> Result<Vec<String>, OpenError> {
    let connect = parse(url)?;
    pool_config(options, options.connections).validate()?;
    let (mut connection, _) = connect_once(&connect, options).await?;
    let mut plan = Vec::new();
    if !is_up_to_date(&mut connection, database(&connect)).await? {
        let catalog = Catalog::read(&mut connection).await.map_err(OpenError::migrate)?;
        if !catalog.has("uschat_schema") {
            plan.push(VERSIONS.to_owned());
        }
        plan.extend(schema::migrations().flat_map(|migration| catalog.missing(migration.sql.as_str())));
        plan.extend(takeover::plan(&mut connection, &catalog).await.map_err(OpenError::migrate)?);
    }
    let _ = timeout(options.connect, connection.close()).await;
    Ok(plan)
}

fn pool_config(options: &MysqlOptions, size: usize) -> PoolConfig {
    // A connection that rested for a second is asked first: after a restart of the server every one of them is dead.
    let verify_after = Duration::from_secs(1);
    PoolConfig { size, wait: options.wait, create: options.connect, verify_after, ..PoolConfig::default() }
}

fn parse(url: &str) -> Result<MySqlConnectOptions, OpenError> {
    if !url.starts_with("mysql://") && !url.starts_with("mariadb://") {
        return Err(OpenError::Url("does not begin with mysql://".into()));
    }
    // The driver's error may quote a part of the URL, so only its kind is told.
    let connect = MySqlConnectOptions::from_str(url)
        .map_err(|_| OpenError::Url("has a part that cannot be read, such as the port or the ssl-mode".into()))?;
    if connect.get_database().is_none_or(str::is_empty) {
        return Err(OpenError::Url("names no database".into()));
    }
    Ok(connect.pipes_as_concat(false).no_engine_substitution(false).charset("utf8mb4").disable_statement_logging())
}

fn database(connect: &MySqlConnectOptions) -> &str {
    connect.get_database().unwrap_or_default()
}

async fn connect_once(
    connect: &MySqlConnectOptions,
    options: &MysqlOptions,
) -> Result<(MySqlConnection, Server), OpenError> {
    let connecting = async {
        let mut connection = connect.connect().await.map_err(|error| explain(error, connect))?;
        let server = Server::probe(&mut connection).await?;
        Ok((connection, server))
    };
    timeout(options.connect, connecting).await.unwrap_or_else(|_| Err(silent(connect)))
}

fn silent(connect: &MySqlConnectOptions) -> OpenError {
    explain(sqlx::Error::Io(io::ErrorKind::TimedOut.into()), connect)
}

fn explain(error: sqlx::Error, connect: &MySqlConnectOptions) -> OpenError {
    let database = database(connect).to_owned();
    let number = error.as_database_error().and_then(|error| error.try_downcast_ref::<MySqlDatabaseError>());
    match number.map(MySqlDatabaseError::number) {
        Some(1045 | 1698) => OpenError::AccessDenied,
        Some(1044) => OpenError::NoRights { database },
        Some(1049) => OpenError::UnknownDatabase { database },
        _ => {
            let (host, port) = (connect.get_host().to_owned(), connect.get_port());
            OpenError::Unreachable { host, port, source: error.into() }
        }
    }
}

/// One program at a time, under a lock that ends with its connection. As long as it takes.
async fn migrate(connection: &mut MySqlConnection, database: &str) -> Result<(), OpenError> {
    lock(connection, database).await?;
    // Somebody else may have done it meanwhile.
    if !is_up_to_date(connection, database).await? {
        let catalog = Catalog::read(connection).await.map_err(OpenError::migrate)?;
        run(connection, &catalog).await.map_err(OpenError::migrate)?;
    }
    let unlock = "DO RELEASE_LOCK(CONCAT('uschat-', MD5(DATABASE())))";
    connection.execute(unlock).await.map_err(OpenError::migrate)?;
    Ok(())
}

async fn lock(connection: &mut MySqlConnection, database: &str) -> Result<(), OpenError> {
    let began = Instant::now();
    while began.elapsed() < MIGRATION_WAIT {
        let wait = "SELECT GET_LOCK(CONCAT('uschat-', MD5(DATABASE())), 5)";
        let got = sqlx::query(wait).fetch_one(&mut *connection).await.and_then(|row| row.try_get_unchecked(0));
        let got: Option<i64> = got.map_err(OpenError::migrate)?;
        if got == Some(1) {
            return Ok(());
        }
        tracing::info!("waiting for another program that brings the schema of the database up to date");
    }
    Err(OpenError::Busy { database: database.to_owned() })
}

/// Refuses a database that is not for us; compares the migrations that were done with those this program knows.
async fn is_up_to_date(connection: &mut MySqlConnection, database: &str) -> Result<bool, OpenError> {
    let catalog = Catalog::read(connection).await.map_err(OpenError::migrate)?;
    catalog.check().map_err(|why| OpenError::Foreign { database: database.to_owned(), why })?;
    if let Some((table, engine)) = catalog.without_transactions() {
        return Err(OpenError::Unsupported(format!(
            "keeps the table {table} in the engine {engine}, which has no transactions: ALTER TABLE {table} ENGINE = InnoDB"
        )));
    }
    if !catalog.has("uschat_schema") {
        return Ok(false);
    }
    let rows = sqlx::query("SELECT version, checksum, done FROM uschat_schema").fetch_all(connection).await;
    let read = |row: &sqlx::mysql::MySqlRow| {
        let version: i64 = row.try_get_unchecked(0)?;
        Ok((version, (row.try_get_unchecked::<Vec<u8>, _>(1)?, row.try_get_unchecked::<i64, _>(2)? == 1)))
    };
    let found = rows.and_then(|rows| rows.iter().map(read).collect::<Result<HashMap<_, _>, _>>());
    let found = found.map_err(OpenError::migrate)?;
    if let Some(&newer) = found.keys().filter(|version| **version > schema::newest()).max() {
        return Err(OpenError::Newer { database: database.to_owned(), found: newer, known: schema::newest() });
    }
    let mut all_done = true;
    for migration in schema::migrations() {
        match found.get(&migration.version) {
            Some((checksum, _)) if **checksum != *migration.checksum => {
                return Err(OpenError::Changed { database: database.to_owned(), version: migration.version });
            }
            Some((_, true)) => {}
            _ => all_done = false,
        }
    }
    Ok(all_done)
}

async fn run(connection: &mut MySqlConnection, catalog: &Catalog) -> Result<(), sqlx::Error> {
    // A table that somebody else uses in a long transaction is not waited for endlessly.
    connection
        .execute(
            "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', lock_wait_timeout = 30,
             innodb_lock_wait_timeout = 30",
        )
        .await?;
    connection.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED").await?;
    connection.execute(VERSIONS).await?;
    for migration in schema::migrations() {
        // Begun is noted first: a database that is ours by half is known by it.
        let begin = "INSERT INTO uschat_schema (version, checksum, done) VALUES (?, ?, 0)
            ON DUPLICATE KEY UPDATE done = done";
        sqlx::query(begin).bind(migration.version).bind(&*migration.checksum).execute(&mut *connection).await?;
        for statement in catalog.missing(migration.sql.as_str()) {
            tracing::info!(statement = statement.lines().next().unwrap_or_default(), "changing the schema");
            connection.execute(AssertSqlSafe(statement)).await?;
        }
    }
    takeover::take_over(connection).await?;
    connection.execute("UPDATE uschat_schema SET done = 1 WHERE done = 0").await?;
    Ok(())
}
