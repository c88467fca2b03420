//! A database that cannot be opened says why and what to do; one whose commits are not flushed says so.

use std::time::Duration;

use uschat_server::store::mysql::{MysqlOptions, MysqlStore, OpenError};

use crate::mysql_support::refusal;

const SECRET: &str = "hunter2-secret";

#[track_caller]
fn keeps_the_secret(error: &OpenError) {
    let told = format!("{error} {error:?}");
    assert!(!told.contains(SECRET), "{told}");
}

#[tokio::test]
async fn a_url_that_cannot_be_used_is_explained_without_showing_it() {
    for (url, why) in [
        ("postgres://root:hunter2-secret@127.0.0.1/uschat", "does not begin with mysql://"),
        ("mysql://root:hunter2-secret@127.0.0.1:99999999/uschat", "cannot be read"),
        ("mysql://root:hunter2-secret@127.0.0.1/uschat?ssl-mode=hunter2-secret", "cannot be read"),
        ("mysql://root:hunter2-secret@127.0.0.1", "names no database"),
        ("mysql://root:hunter2-secret@127.0.0.1/", "names no database"),
    ] {
        let error = refusal(url).await;
        assert!(matches!(error, OpenError::Url(_)) && error.to_string().contains(why), "{error}");
        keeps_the_secret(&error);
    }
}

#[tokio::test]
async fn a_host_where_nothing_answers_is_named() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = refusal(&format!("mysql://root:{SECRET}@127.0.0.1:{free}/uschat")).await;
    assert!(matches!(error, OpenError::Unreachable { port, .. } if port == free), "{error:?}");
    assert!(error.to_string().contains("check that it runs"), "{error}");
    keeps_the_secret(&error);
}

#[tokio::test]
async fn a_host_that_is_silent_is_given_up() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("mysql://root@{}/uschat", silent.local_addr().unwrap());
    let options = MysqlOptions { connect: Duration::from_millis(200), ..MysqlOptions::default() };
    let error = MysqlStore::open(&url, options).await.unwrap_err();
    assert!(matches!(error, OpenError::Unreachable { .. }), "{error:?}");
}

#[tokio::test]
async fn an_option_out_of_range_is_named() {
    let options = MysqlOptions { connections: 0, ..MysqlOptions::default() };
    let error = MysqlStore::open("mysql://root@127.0.0.1/uschat", options).await.unwrap_err();
    assert!(matches!(error, OpenError::Options(_)) && error.to_string().contains("size"), "{error}");
}

mod real_server {
    use sqlx::Row;

    use super::{SECRET, keeps_the_secret};
    use crate::mysql_support::{
        connect, execute, mariadb::MariaDb, new_database, new_database_on, open, refusal, rows,
    };
    use uschat_server::store::mysql::OpenError;

    #[tokio::test]
    async fn a_user_who_may_not_is_told_apart_from_a_database_that_is_missing() {
        let server = MariaDb::shared().await;
        let url = new_database().await;
        execute(
            &url,
            &format!(
                "CREATE USER guarded@'%' IDENTIFIED BY '{SECRET}'; GRANT ALL ON elsewhere.* TO guarded@'%';
                 CREATE USER reader@'%' IDENTIFIED BY '{SECRET}'; GRANT SELECT ON *.* TO reader@'%'"
            ),
        )
        .await;
        let database = url.rsplit('/').next().unwrap();
        let with = |user: &str, password: &str, database: &str| {
            format!("mysql://{user}:{password}@127.0.0.1:{}/{database}", server.port())
        };
        let error = refusal(&with("guarded", "wrong-hunter2-secret", database)).await;
        assert!(matches!(error, OpenError::AccessDenied), "{error:?}");
        keeps_the_secret(&error);
        let error = refusal(&with("guarded", SECRET, database)).await;
        assert!(matches!(error, OpenError::NoRights { .. }) && error.to_string().contains("GRANT"), "{error:?}");
        let error = refusal(&server.url("missing")).await;
        assert!(matches!(error, OpenError::UnknownDatabase { .. }), "{error:?}");
        assert!(error.to_string().contains("CREATE DATABASE `missing`"), "{error}");
        let error = refusal(&with("reader", SECRET, database)).await;
        assert!(matches!(error, OpenError::Migrate { .. }) && error.to_string().contains("denied"), "{error}");
        keeps_the_secret(&error);
        assert!(rows(&url, "SHOW TABLES").await.is_empty());
    }

    #[tokio::test]
    async fn what_is_shown_of_a_store_holds_no_secret() {
        let server = MariaDb::shared().await;
        let url = new_database().await;
        execute(&url, &format!("CREATE USER app@'%' IDENTIFIED BY '{SECRET}'; GRANT ALL ON *.* TO app@'%'")).await;
        let database = url.rsplit('/').next().unwrap();
        let store = open(&format!("mysql://app:{SECRET}@127.0.0.1:{}/{database}", server.port())).await;
        assert!(!format!("{store:?} {:?}", store.snapshot()).contains(SECRET));
    }

    #[tokio::test]
    async fn a_server_that_does_not_flush_is_noticed_also_later() {
        let server = MariaDb::start(&["--innodb-flush-log-at-trx-commit=2", "--log-bin=log", "--server-id=1"]).await;
        let url = new_database_on(&server).await;
        let store = open(&url).await;
        let durability = store.durability().await.unwrap();
        assert!(!durability.is_flushed());
        assert!(durability.faults[0].starts_with("innodb_flush_log_at_trx_commit is 2"), "{durability:?}");
        assert!(durability.faults[1].starts_with("sync_binlog is 0"), "{durability:?}");

        execute(&url, "SET GLOBAL innodb_flush_log_at_trx_commit = 1; SET GLOBAL sync_binlog = 1").await;
        assert!(store.durability().await.unwrap().is_flushed());
        execute(&url, "SET GLOBAL innodb_flush_log_at_trx_commit = 0").await;
        assert!(!store.durability().await.unwrap().is_flushed());

        // Nor can it be used if it writes its log by statement.
        execute(&url, "SET GLOBAL binlog_format = 'STATEMENT'").await;
        let error = refusal(&url).await;
        assert!(error.to_string().contains("set binlog_format to ROW or MIXED"), "{error}");
    }

    #[tokio::test]
    async fn settings_of_a_server_as_installed_are_durable() {
        assert!(open(&new_database().await).await.durability().await.unwrap().is_flushed());
    }

    #[tokio::test]
    async fn ping_and_snapshot_tell_how_the_store_is() {
        let url = new_database().await;
        let store = open(&url).await;
        store.ping().await.unwrap();
        let [shared, texts] = store.snapshot();
        assert_eq!((&*shared.name, &*texts.name, shared.in_use), ("mysql", "mysql texts", 0));
        store.close().await;
        assert!(store.ping().await.is_err());
        let mut connection = connect(&url).await;
        let count = sqlx::query("SELECT COUNT(*) FROM user").fetch_one(&mut connection).await.unwrap();
        assert_eq!(count.get::<i64, _>(0), 0);
    }
}
