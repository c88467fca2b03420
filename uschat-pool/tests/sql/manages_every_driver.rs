//! Every driver of sqlx makes a manager. There is no PostgreSQL server here, so for that one compiling is all that is tested.

use sqlx::{MySql, Postgres, Sqlite};
use uschat_pool::{Manager, sql::SqlManager};

fn is_manager<M: Manager<Error = sqlx::Error>>() -> usize {
    size_of::<M::Connection>()
}

#[test]
fn every_driver_makes_a_manager() {
    let connections =
        [is_manager::<SqlManager<MySql>>(), is_manager::<SqlManager<Postgres>>(), is_manager::<SqlManager<Sqlite>>()];
    assert!(connections.iter().all(|&size| size > 0));
}
