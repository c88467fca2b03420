//! What only the statements themselves can show, on a real server.
#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

#[path = "../../../tests/real_servers/mariadb.rs"]
mod mariadb;

mod real_server {
    use std::time::{Duration, Instant};

    use sqlx::{AssertSqlSafe, Connection, Executor, MySqlConnection, Row};
    use uschat_proto::chat::UserId;

    use super::{
        super::{
            MysqlOptions, MysqlStore, accounts,
            committer::Committer,
            contacts, conversations,
            database::{Checked, Database},
            known, progress,
        },
        mariadb::MariaDb,
    };
    use crate::store::{Chain, Conversations, NewText, NewTexts};

    /// A store on a new database of this name.
    async fn store(server: &MariaDb, name: &str) -> MysqlStore {
        let mut connection = MySqlConnection::connect(&server.url("")).await.unwrap();
        connection.execute(AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.unwrap();
        MysqlStore::open(&server.url(name), MysqlOptions::default()).await.unwrap()
    }

    /// Enough rows that reading all of a table is never the cheapest way.
    const FILL: &str = "
        INSERT INTO user (uid, name, email) SELECT seq + 2000, CONCAT('n', seq), CONCAT('e', seq) FROM seq_1_to_3000;
        INSERT INTO friend (self_id, friend_id) SELECT seq % 500, seq FROM seq_1_to_3000;
        INSERT INTO friend_apply (from_uid, to_uid) SELECT seq, seq % 50 FROM seq_1_to_3000;
        INSERT INTO chat_thread (id, type) SELECT seq, 'private' FROM seq_1_to_1000;
        INSERT INTO thread_head (thread_id, seq, last_key) SELECT seq, 3, seq + 2000 FROM seq_1_to_1000;
        INSERT INTO user_fence (uid, fence) SELECT seq, 1 FROM seq_1_to_1000;
        INSERT INTO thread_progress (user_id, thread_id, delivered_seq, read_seq) SELECT seq, seq, 1, 1 FROM seq_1_to_1000;
        INSERT INTO private_chat (thread_id, user1_id, user2_id) SELECT seq, seq, seq + 1 FROM seq_1_to_1000;
        INSERT INTO chat_message (thread_id, sender_id, recv_id, content, seq, client_id)
            SELECT seq % 1000 + 1, seq % 100, 1, 'text', FLOOR(seq / 1000) + 1, CONCAT('id', seq) FROM seq_1_to_3000;
        ANALYZE TABLE user, user_fence, friend, friend_apply, chat_thread, thread_head, thread_progress, private_chat,
            chat_message";

    #[tokio::test]
    async fn every_look_up_uses_an_index() {
        let server = MariaDb::shared().await;
        let store = store(server, "look_ups").await;
        let mut connection = Checked::lend(&store.database.shared).await.unwrap();
        connection.execute(sqlx::raw_sql("SET max_statement_time = 60")).await.unwrap();
        connection.execute(sqlx::raw_sql(FILL)).await.unwrap();
        let fixed = [accounts::LOOK_UPS, contacts::LOOK_UPS, conversations::LOOK_UPS, progress::LOOK_UPS].concat();
        let fixed = fixed.into_iter().map(str::to_owned);
        let built = [known::LOOK_UPS, conversations::BUILT, progress::BUILT].concat();
        let built = built.into_iter().map(|(head, tail)| format!("{head}{tail}"));
        let [record, news, end] = progress::RECORDED;
        let recorded = format!("{record}{news} UNION ALL {news}{end}");
        for statement in fixed.chain(built).chain([recorded]) {
            // Text in place of the parameters fits every column; a limit takes numbers only.
            let explain = format!("EXPLAIN {}", statement.replace("LIMIT ?", "LIMIT 7").replace('?', "'7'"));
            let steps = connection.fetch_all(sqlx::raw_sql(AssertSqlSafe(explain))).await.unwrap();
            assert!(!steps.is_empty(), "no plan for {statement}");
            for step in steps {
                let text = |column| step.try_get_unchecked::<Option<String>, _>(column).unwrap().unwrap_or_default();
                let (table, kind, key) = (text("table"), text("type"), text("key"));
                // A name in brackets is the short result of an inner look-up; without a table nothing is read at all.
                let short = table.is_empty() || table.starts_with('<');
                assert!(short || (!key.is_empty() && kind != "index"), "{table} {kind}: {statement}");
            }
        }
    }

    #[tokio::test]
    async fn connections_are_set_up_to_wait_for_nothing_for_long() {
        let server = MariaDb::start(&["--innodb-lock-wait-timeout=50", "--auto-increment-increment=3"]).await;
        let store = store(&server, "settings").await;
        for pool in [&store.database.shared, &store.database.committing] {
            let mut connection = Checked::lend(pool).await.unwrap();
            let settings = "SELECT CONCAT_WS(' ', @@tx_isolation, @@innodb_lock_wait_timeout, @@lock_wait_timeout,
                @@idle_transaction_timeout, @@max_statement_time, @@auto_increment_increment, @@autocommit,
                @@character_set_client, @@time_zone, @@sql_mode)";
            let row = connection.fetch_one(settings).await.unwrap();
            assert_eq!(
                row.get::<String, _>(0),
                "READ-COMMITTED 1 5 2 5.000000 1 ON utf8mb4 +00:00 STRICT_TRANS_TABLES,STRICT_ALL_TABLES,\
                 ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"
            );
        }
    }

    /// A server of ours that was stopped after it had locked a conversation.
    #[tokio::test]
    async fn a_transaction_left_idle_is_cut_and_its_locks_are_free() {
        let server = MariaDb::shared().await;
        let store = store(server, "idle").await;
        let mut stopped = Checked::lend(&store.database.committing).await.unwrap();
        stopped.execute(sqlx::raw_sql(FILL)).await.unwrap();
        stopped.execute("INSERT INTO friend (self_id, friend_id) VALUES (4, 5), (5, 4)").await.unwrap();
        stopped.execute("START TRANSACTION").await.unwrap();
        stopped.execute("SELECT seq FROM thread_head WHERE thread_id = 4 FOR UPDATE").await.unwrap();
        let began = Instant::now();
        let text = NewText { client_id: None, content: "text".into() };
        let (sender, receiver) = (UserId(4), UserId(5));
        let texts = NewTexts { sender, receiver, thread: None, texts: vec![text], sent_at: 0, chain: Chain::default() };
        assert_eq!(store.submit(texts).await.unwrap().thread.0, 4);
        let waited = began.elapsed();
        assert!(waited > Duration::from_secs(1) && waited < Duration::from_secs(5), "{waited:?}");
        assert!(stopped.execute("COMMIT").await.is_err(), "the transaction went on");
    }

    /// MariaDB 10.5 cannot leave out locked rows: there the batch is split until the locked conversation is alone.
    #[tokio::test]
    async fn a_server_that_cannot_skip_locks_delays_others_by_lock_waits_only() {
        let server = MariaDb::shared().await;
        let modern = store(server, "without_skipping").await;
        let database = Database { skip_locked: "", ..modern.database.clone() };
        let committer = Committer::start(database, MysqlOptions::default().max_batch);
        let mut other = MySqlConnection::connect(&server.url("without_skipping")).await.unwrap();
        other.execute(sqlx::raw_sql(FILL)).await.unwrap();
        let friends = "INSERT IGNORE INTO friend (self_id, friend_id) SELECT seq, seq + 1 FROM seq_1_to_20";
        other.execute(friends).await.unwrap();
        other.execute("START TRANSACTION").await.unwrap();
        other.execute("SELECT seq FROM thread_head WHERE thread_id = 4 FOR UPDATE").await.unwrap();
        let submit = |sender: i32| {
            let text = NewText { client_id: None, content: "text".into() };
            let (sender, receiver) = (UserId(sender), UserId(sender + 1));
            committer.submit(NewTexts {
                sender,
                receiver,
                thread: None,
                texts: vec![text],
                sent_at: 0,
                chain: Chain::default(),
            })
        };
        let began = Instant::now();
        let (first, second) = (submit(4), submit(4));
        let others: Vec<_> = [2, 6, 8, 10].map(submit).into();
        for receipt in others {
            receipt.await.unwrap();
        }
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        other.execute("ROLLBACK").await.unwrap();
        assert_eq!((first.await.unwrap().texts[0].seq, second.await.unwrap().texts[0].seq), (4, 5));
        committer.close().await;
    }
}
