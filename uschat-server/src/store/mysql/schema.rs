//! What the schema lacks, found by comparing the migrations with what the database holds.
//!
//! A statement of DDL commits by itself, so a migration that is cut off leaves a part done; every statement makes one thing
//! and is left out where that is there already, and so a later start continues.

use std::collections::{HashMap, HashSet};

use sqlx::{MySqlConnection, Row, SqlSafeStr, migrate::Migration, migrate::MigrationType};

/// Ascending, without gaps; one that was released is never changed again.
const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "llfc", include_str!("../../../migrations/mysql/0001_llfc.sql")),
    (2, "progress", include_str!("../../../migrations/mysql/0002_progress.sql")),
];

/// Which migrations are done; made before anything else is changed.
pub(super) const VERSIONS: &str = "CREATE TABLE IF NOT EXISTS uschat_schema (
    version    BIGINT        NOT NULL PRIMARY KEY,
    checksum   VARBINARY(64) NOT NULL,
    done       TINYINT       NOT NULL,
    changed_at TIMESTAMP     NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP
) ENGINE = InnoDB";

/// What makes a table one of the originals': a table of this name without these columns is somebody else's.
const SHAPE: &[(&str, &[&str])] = &[
    ("user", &["id", "uid", "name", "email", "pwd", "nick", "desc", "sex", "icon"]),
    ("user_id", &["id"]),
    ("user_fence", &["uid", "fence"]),
    ("friend", &["self_id", "friend_id", "back"]),
    ("friend_apply", &["id", "from_uid", "to_uid", "status"]),
    ("chat_thread", &["id", "type"]),
    ("thread_head", &["thread_id", "seq"]),
    ("thread_progress", &["user_id", "thread_id", "delivered_seq", "read_seq"]),
    ("private_chat", &["thread_id", "user1_id", "user2_id"]),
    ("chat_message", &["message_id", "thread_id", "sender_id", "recv_id", "content", "created_at", "status"]),
];

/// The migrations as sqlx describes them: it computes the checksums.
pub(super) fn migrations() -> impl Iterator<Item = Migration> {
    MIGRATIONS.iter().map(|&(version, name, sql)| {
        Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    })
}

/// The newest version this program knows.
pub(super) fn newest() -> i64 {
    MIGRATIONS.last().map_or(0, |&(version, ..)| version)
}

/// The tables of a database.
#[derive(Debug, Default)]
pub(super) struct Catalog {
    tables: HashMap<String, Table>,
}

#[derive(Debug, Default)]
struct Table {
    engine: String,
    columns: HashSet<String>,
    /// By name: the columns in order, and whether it is unique.
    indexes: HashMap<String, (Vec<String>, bool)>,
}

impl Catalog {
    pub(super) async fn read(connection: &mut MySqlConnection) -> Result<Self, sqlx::Error> {
        let mut catalog = Self::default();
        // MySQL gives some of these as bytes.
        let tables = "SELECT CAST(table_name AS CHAR), CAST(COALESCE(engine, '') AS CHAR)
            FROM information_schema.tables WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE'";
        for row in sqlx::query(tables).fetch_all(&mut *connection).await? {
            catalog.tables.insert(row.try_get(0)?, Table { engine: row.try_get(1)?, ..Table::default() });
        }
        let columns = "SELECT CAST(table_name AS CHAR), CAST(column_name AS CHAR)
            FROM information_schema.columns WHERE table_schema = DATABASE()";
        for row in sqlx::query(columns).fetch_all(&mut *connection).await? {
            if let Some(table) = catalog.tables.get_mut(row.try_get::<&str, _>(0)?) {
                table.columns.insert(row.try_get::<String, _>(1)?.to_ascii_lowercase());
            }
        }
        let indexes = "SELECT CAST(table_name AS CHAR), CAST(index_name AS CHAR), CAST(column_name AS CHAR), non_unique
            FROM information_schema.statistics WHERE table_schema = DATABASE() AND column_name IS NOT NULL
            ORDER BY table_name, index_name, seq_in_index";
        for row in sqlx::query(indexes).fetch_all(connection).await? {
            if let Some(table) = catalog.tables.get_mut(row.try_get::<&str, _>(0)?) {
                let unique = row.try_get_unchecked::<i64, _>(3)? == 0;
                let (columns, _) = table.indexes.entry(row.try_get(1)?).or_insert_with(|| (Vec::new(), unique));
                columns.push(row.try_get::<String, _>(2)?.to_ascii_lowercase());
            }
        }
        Ok(catalog)
    }

    pub(super) fn has(&self, table: &str) -> bool {
        self.tables.contains_key(table)
    }

    pub(super) fn has_column(&self, table: &str, column: &str) -> bool {
        self.tables.get(table).is_some_and(|table| table.columns.contains(column))
    }

    /// Why this is neither an empty database, nor ours, nor an original's; `Err` says what an operator would want to know.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.tables.is_empty() {
            return Ok(());
        }
        if !self.has("user") && !self.has("uschat_schema") {
            let mut names: Vec<_> = self.tables.keys().map(String::as_str).collect();
            names.sort_unstable();
            let some = names[..names.len().min(3)].join(", ");
            return Err(format!("it has {} tables ({some}, …) but no table `user`", names.len()));
        }
        for (name, columns) in SHAPE {
            let Some(table) = self.tables.get(*name) else { continue };
            if let Some(missing) = columns.iter().find(|column| !table.columns.contains(**column)) {
                return Err(format!("its table `{name}` has no column `{missing}`"));
            }
        }
        Ok(())
    }

    /// A table that cannot take part in transactions.
    pub(super) fn without_transactions(&self) -> Option<(&str, &str)> {
        let ours = SHAPE.iter().filter_map(|(name, _)| self.tables.get(*name).map(|table| (*name, table)));
        let mut others = ours.filter(|(_, table)| !table.engine.eq_ignore_ascii_case("InnoDB"));
        others.next().map(|(name, table)| (name, table.engine.as_str()))
    }

    /// The statements whose outcome is not there yet.
    pub(super) fn missing(&self, migration: &str) -> Vec<String> {
        statements(migration).filter(|statement| !self.is_done(&Makes::of(statement))).collect()
    }

    fn is_done(&self, makes: &Makes) -> bool {
        match makes {
            Makes::Table(table) => self.has(table),
            Makes::Column { table, column } => self.has_column(table, column),
            Makes::Index { table, columns, unique } => self.tables.get(*table).is_some_and(|table| {
                table.indexes.values().any(|(have, is_unique)| {
                    if *unique { *is_unique && have == columns } else { have.starts_with(columns) }
                })
            }),
            Makes::Other => false,
        }
    }
}

/// What a statement makes, as its first words say.
#[derive(Debug, PartialEq, Eq)]
enum Makes<'a> {
    Table(&'a str),
    Column {
        table: &'a str,
        column: &'a str,
    },
    Index {
        table: &'a str,
        columns: Vec<String>,
        unique: bool,
    },
    /// Nothing that could be looked up: it is run whenever its migration is.
    Other,
}

impl<'a> Makes<'a> {
    fn of(statement: &'a str) -> Self {
        let head = statement.split_once('(').map_or(statement, |(head, _)| head);
        let words: Vec<&str> = head.split_whitespace().collect();
        let columns = || {
            let listed = statement.rsplit_once('(').map_or("", |(_, rest)| rest.trim_end_matches(')'));
            listed.split(',').map(|column| column.trim().to_ascii_lowercase()).collect()
        };
        match words[..] {
            ["CREATE", "TABLE", table] => Self::Table(table),
            ["ALTER", "TABLE", table, "ADD", "COLUMN", column, ..] => Self::Column { table, column },
            ["CREATE", "INDEX", _, "ON", table] => Self::Index { table, columns: columns(), unique: false },
            ["CREATE", "UNIQUE", "INDEX", _, "ON", table] => Self::Index { table, columns: columns(), unique: true },
            _ => Self::Other,
        }
    }
}

/// The statements of a file, without comments.
fn statements(migration: &str) -> impl Iterator<Item = String> {
    let lines = migration.lines().filter(|line| !line.trim_start().starts_with("--"));
    let text = lines.collect::<Vec<_>>().join("\n");
    let statements: Vec<_> = text.split(";\n").map(|one| one.trim().trim_end_matches(';').to_owned()).collect();
    statements.into_iter().filter(|statement| !statement.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_statement_makes_one_thing_that_can_be_looked_up() {
        for (_, name, sql) in MIGRATIONS {
            assert!(statements(sql).count() >= 4, "{name}");
            for statement in statements(sql) {
                assert_ne!(Makes::of(&statement), Makes::Other, "{statement}");
            }
        }
    }

    #[test]
    fn the_shape_names_tables_and_columns_that_the_migrations_make() {
        let all: Vec<_> = MIGRATIONS.iter().flat_map(|(_, _, sql)| statements(sql)).collect();
        for (table, columns) in SHAPE {
            let made = all.iter().find(|statement| Makes::of(statement) == Makes::Table(table));
            let made = made.unwrap_or_else(|| panic!("nothing makes {table}"));
            for column in *columns {
                assert!(made.contains(column), "{table}.{column}");
            }
        }
    }

    #[test]
    fn an_index_of_another_name_serves_as_well() {
        let mut catalog = Catalog::default();
        let mut table = Table::default();
        table.indexes.insert("theirs".into(), (vec!["a".into(), "b".into()], false));
        catalog.tables.insert("t".into(), table);
        assert!(catalog.is_done(&Makes::of("CREATE INDEX ours ON t (a)")));
        assert!(catalog.is_done(&Makes::of("CREATE INDEX ours ON t (a, b)")));
        assert!(!catalog.is_done(&Makes::of("CREATE INDEX ours ON t (b)")));
        assert!(!catalog.is_done(&Makes::of("CREATE UNIQUE INDEX ours ON t (a, b)")));
    }

    #[test]
    fn a_database_of_somebody_else_is_known_by_its_tables() {
        let with = |name: &str, columns: &[&str]| {
            let columns = columns.iter().map(|&column| column.to_owned()).collect();
            let table = Table { columns, ..Table::default() };
            Catalog { tables: HashMap::from([(name.to_owned(), table)]) }.check()
        };
        assert!(Catalog::default().check().is_ok());
        assert!(with("uschat_schema", &[]).is_ok());
        assert_eq!(with("user", &["id", "name"]).unwrap_err(), "its table `user` has no column `uid`");
        assert_eq!(with("posts", &["id"]).unwrap_err(), "it has 1 tables (posts, …) but no table `user`");
    }
}
