use sqlx::{AssertSqlSafe, Sqlite, query::Query, sqlite::SqliteArguments};

/// A statement whose rows are bound to it.
pub(super) type ListQuery = Query<'static, Sqlite, SqliteArguments>;

/// A statement with a list of rows in it, behind the word `VALUES`. Rows are bound one after the other; the columns are called
/// `column1`, `column2` and so on.
///
/// It is prepared once for each power of two, so that neither parsing nor many round trips cost a batch. Places that are left
/// over are NULL: such rows join nothing, and an insert leaves them out.
#[derive(Debug, Clone, Copy)]
pub(super) struct List {
    pub(super) head: &'static str,
    /// The places of one row.
    pub(super) row: &'static str,
    pub(super) tail: &'static str,
}

impl List {
    /// Rows of one statement. With eight places each they are far from the 32,766 parameters that SQLite takes.
    pub(super) const MOST: usize = 1_024;

    /// Rows that the statement for so many has places for.
    pub(super) fn places(rows: usize) -> usize {
        rows.next_power_of_two()
    }

    /// The statement for so many rows, at most [`List::MOST`].
    pub(super) fn statement(&self, rows: usize) -> String {
        let places = vec![self.row; Self::places(rows)].join(", ");
        [self.head, &places, self.tail].concat()
    }

    /// The same, for rows to be bound to.
    pub(super) fn query(&self, rows: usize) -> ListQuery {
        sqlx::query(AssertSqlSafe(self.statement(rows)))
    }

    /// This statement, and another behind it in the same round trip to the driver's thread, which takes a quarter of a
    /// millisecond. All [places](List::places) of the first must be bound before the rows of the second.
    pub(super) fn query_and(&self, rows: usize, other: Self, other_rows: usize) -> ListQuery {
        sqlx::query(AssertSqlSafe([self.statement(rows), other.statement(other_rows)].join(";\n")))
    }
}
