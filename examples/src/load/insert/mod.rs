//! The bare loop: rows into a table like `chat_message`, many in one transaction, each transaction on disk before the next
//! one begins. What a server that stores every text could reach if it did nothing else.

mod mysql;
mod row;
mod sqlite;

use std::time::Instant;

use serde::Serialize;

use self::{
    mysql::MysqlTable,
    row::{Row, Rows},
    sqlite::SqliteTable,
};
use super::{
    error::LoadError,
    options::{InsertOptions, ShapeOptions, parse_sql},
    processes::{Processes, cpu_us_per_text},
    progress::Progress,
};
use crate::config::SqlUrl;

/// The table that is made for the loop and dropped behind it.
const TABLE: &str = "uschat_load_insert";

/// What the loop reached.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Inserted {
    pub(super) rows_per_transaction: u32,
    pub(super) rows_per_s: f64,
    pub(super) ms_per_transaction: f64,
    /// CPU time of the loop and of the processes that were watched, where that can be found out.
    pub(super) cpu_us_per_row: Option<f64>,
}

/// Rows of one transaction: what is under way when every sender has used its window.
pub(super) fn batch(given: Option<u32>, shape: &ShapeOptions) -> u32 {
    given.unwrap_or_else(|| shape.pairs.saturating_mul(shape.window).clamp(1, MOST_ROWS))
}

/// So many rows still fit the parameters of one statement in both databases.
const MOST_ROWS: u32 = 4_096;

/// `load insert`: measures once and says what it found.
pub(super) async fn carry_out(options: &InsertOptions) -> Result<bool, LoadError> {
    let sql = parse_sql(&options.sql)?;
    let progress = Progress::new();
    progress.say("inserting");
    let inserted =
        measure(&sql, batch(options.batch, &options.shape), &options.shape, &Processes::new(options.pids.clone())?)
            .await?;
    progress.end();
    print!(
        "{} rows a transaction: {:.0} rows/s, {:.2} ms a transaction",
        inserted.rows_per_transaction, inserted.rows_per_s, inserted.ms_per_transaction
    );
    println!("{}", inserted.cpu_us_per_row.map_or(String::new(), |cpu| format!(", {cpu:.2} µs of CPU a row")));
    Ok(true)
}

/// Makes the table, fills it for the time of the shape, drops it.
pub(super) async fn measure(
    sql: &SqlUrl,
    batch: u32,
    shape: &ShapeOptions,
    processes: &Processes,
) -> Result<Inserted, LoadError> {
    let mut table = Table::open(sql).await?;
    let mut rows = Rows::new(shape);
    let measured = fill(&mut table, &mut rows, batch, shape, &processes.and_own()).await;
    // Also after a failure, which counts more than one of the clearing.
    let dropped = table.drop().await;
    let inserted = measured?;
    dropped?;
    Ok(inserted)
}

async fn fill(
    table: &mut Table,
    rows: &mut Rows,
    batch: u32,
    shape: &ShapeOptions,
    processes: &Processes,
) -> Result<Inserted, LoadError> {
    let begin = Instant::now();
    while begin.elapsed() < shape.warm_up {
        table.insert(rows.next_batch(batch)).await?;
    }
    let before = processes.usage()?;
    let begin = Instant::now();
    let mut transactions = 0_u32;
    while begin.elapsed() < shape.duration {
        table.insert(rows.next_batch(batch)).await?;
        transactions += 1;
    }
    let time = begin.elapsed();
    let used = processes.used_since(&before, time, u64::from(transactions) * u64::from(batch))?;
    let seconds = time.as_secs_f64();
    Ok(Inserted {
        rows_per_transaction: batch,
        rows_per_s: f64::from(transactions) * f64::from(batch) / seconds,
        ms_per_transaction: seconds * 1e3 / f64::from(transactions),
        cpu_us_per_row: cpu_us_per_text(&used),
    })
}

enum Table {
    Sqlite(SqliteTable),
    Mysql(MysqlTable),
}

impl Table {
    async fn open(sql: &SqlUrl) -> Result<Self, LoadError> {
        match sql {
            SqlUrl::Sqlite(path) => SqliteTable::open(path).await.map(Self::Sqlite),
            SqlUrl::Mysql(url) => MysqlTable::open(url.expose()).await.map(Self::Mysql),
            SqlUrl::Memory => return Err(LoadError::failed("in memory there is nothing to compare with")),
        }
        .map_err(|error| {
            let remedy = "name the database of the topology, which has been started on it before";
            LoadError::option("--sql", format!("the database cannot be used: {error}"), remedy)
        })
    }

    /// One transaction.
    async fn insert(&mut self, rows: &[Row]) -> Result<(), LoadError> {
        match self {
            Self::Sqlite(table) => table.insert(rows).await,
            Self::Mysql(table) => table.insert(rows).await,
        }
        .map_err(failed)
    }

    async fn drop(self) -> Result<(), LoadError> {
        match self {
            Self::Sqlite(table) => table.drop().await,
            Self::Mysql(table) => table.drop().await,
        }
        .map_err(failed)
    }
}

fn failed(error: sqlx::Error) -> LoadError {
    LoadError::failed(format!("the bare loop of INSERTs failed: {error}"))
}
