//! The SQLite adapter keeps every promise of its ports, and its own about the file.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use sqlx::{Connection, Executor, SqliteConnection, sqlite::SqliteConnectOptions};
use tempfile::TempDir;
use tokio::time::sleep;
use uschat_proto::chat::{MessageKey, ThreadId};
use uschat_server::store::{
    Conversations, NewTexts, Standing, StoreError, SubmitError, ThreadHead,
    sqlite::{OpenError, SqliteOptions, SqliteStore},
};

use crate::conformance::{Stores, seqs, sql, texts};

async fn stores() -> Stores {
    let folder = tempfile::tempdir().unwrap();
    Stores::new(open(&folder).await, folder)
}

mod accounts {
    accounts_suite!(super::stores);
}
mod contacts {
    contacts_suite!(super::stores);
}
mod conversations {
    conversations_suite!(super::stores);
}
mod progress {
    progress_suite!(super::stores);
}

async fn open(folder: &TempDir) -> Arc<SqliteStore> {
    let store = SqliteStore::open(folder.path().join("uschat.db"), SqliteOptions::default()).await.unwrap();
    Arc::new(store)
}

/// Changes the file behind the store's back.
async fn execute(folder: &TempDir, statements: &'static str) {
    let options = SqliteConnectOptions::new().filename(folder.path().join("uschat.db")).create_if_missing(true);
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::raw_sql(statements).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

async fn refusal(path: impl AsRef<Path>) -> OpenError {
    SqliteStore::open(path, SqliteOptions::default()).await.unwrap_err()
}

#[tokio::test]
async fn everything_survives_a_reopen() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    let stores = Stores::new(store.clone(), ());
    let before = sql::before_a_reopen(&stores).await;
    store.close().await.unwrap();
    sql::after_a_reopen(&Stores::new(open(&folder).await, ()), before).await;
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let stores = Stores::new(open(&folder).await, ());
    let (ada, bob, thread) = stores.two_friends().await;
    for n in 0..20 {
        stores.conversations.submit(texts(ada, bob, &[(&format!("id{n}"), "text")])).await.unwrap();
        // What the files hold at the acknowledgement is what a crash would leave.
        let after = tempfile::tempdir().unwrap();
        for file in ["uschat.db", "uschat.db-wal"] {
            std::fs::copy(folder.path().join(file), after.path().join(file)).unwrap();
        }
        let all = open(&after).await.history(thread, MessageKey(0), usize::MAX).await.unwrap();
        assert_eq!(seqs(&all), (1..=n + 2).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_programs_on_one_file_wait_for_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = tokio::join!(open(&folder), open(&folder));
    let programs = [Stores::new(one, ()), Stores::new(other, ())];
    sql::programs_wait_for_each_other(programs, async || Stores::new(open(&folder).await, ())).await;
}

/// Another program that holds the lock of the file.
async fn lock(folder: &TempDir) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(folder.path().join("uschat.db"));
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    connection.execute("BEGIN IMMEDIATE").await.unwrap();
    connection
}

#[tokio::test]
async fn texts_wait_while_another_program_holds_the_lock() {
    let folder = tempfile::tempdir().unwrap();
    let options = SqliteOptions { busy_timeout: Duration::from_millis(50), ..SqliteOptions::default() };
    let store = SqliteStore::open(folder.path().join("uschat.db"), options).await.unwrap();
    let stores = Stores::new(Arc::new(store), ());
    let (ada, bob, thread) = stores.two_friends().await;
    let mut other = lock(&folder).await;
    let first = texts(ada, bob, &[("a", "1")]);
    let second = NewTexts { chain: first.chain.clone(), ..texts(ada, bob, &[("b", "2")]) };
    let receipts = [first, second].map(|request| stores.conversations.submit(request));
    // Many times as long as one attempt waits for the lock.
    sleep(Duration::from_millis(600)).await;
    other.execute("ROLLBACK").await.unwrap();
    for (n, outcome) in join_all(receipts).await.into_iter().enumerate() {
        assert_eq!(seqs(&outcome.unwrap().texts), [n as i64 + 2]);
    }
    assert_eq!(stores.all(thread).await.len(), 3);
}

#[tokio::test]
async fn texts_are_given_up_at_the_deadline_and_nothing_behind_them_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let (busy_timeout, deadline) = (Duration::from_millis(50), Duration::from_millis(500));
    let options = SqliteOptions { busy_timeout, deadline, ..SqliteOptions::default() };
    let store = SqliteStore::open(folder.path().join("uschat.db"), options).await.unwrap();
    let stores = Stores::new(Arc::new(store), ());
    let (ada, bob, thread) = stores.two_friends().await;
    let mut other = lock(&folder).await;
    let began = Instant::now();
    let first = texts(ada, bob, &[("a", "1")]);
    let chain = first.chain.clone();
    let behind = || NewTexts { chain: chain.clone(), ..texts(ada, bob, &[("b", "2")]) };
    let (first, second) = (stores.conversations.submit(first), stores.conversations.submit(behind()));
    let first = first.await;
    assert!(matches!(first, Err(SubmitError::Store(StoreError::Unavailable(_)))), "{first:?}");
    let waited = began.elapsed();
    assert!(waited >= deadline && waited < Duration::from_secs(4), "{waited:?}");
    other.execute("ROLLBACK").await.unwrap();
    for outcome in [second.await, stores.conversations.submit(behind()).await] {
        assert!(matches!(outcome, Err(SubmitError::Behind)), "{outcome:?}");
    }
    let retried = [texts(ada, bob, &[("a", "1")]), texts(ada, bob, &[("b", "2")])];
    let retried = join_all(retried.map(|request| stores.conversations.submit(request))).await;
    assert!(retried.iter().all(|outcome| outcome.as_ref().is_ok_and(|stored| stored.fresh == 1)), "{retried:?}");
    assert_eq!(seqs(&stores.all(thread).await), [1, 2, 3]);
}

/// A line of Prometheus text: the value of a metric of this database.
fn value(page: &str, metric: &str) -> u64 {
    let line = page.lines().find(|line| line.starts_with(metric) && line.contains("database=\"sqlite\""));
    line.unwrap_or_else(|| panic!("no {metric}: {page}")).rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn sixty_four_users_share_a_commit_and_its_statements() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let page = recorder.handle();
    // On one thread, so that this recorder gets everything.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    metrics::with_local_recorder(&recorder, || {
        runtime.block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let stores = Stores::new(open(&folder).await, ());
            let mut users = Vec::new();
            for n in 0..64 {
                users.push(stores.user(&format!("user{n}")).await);
            }
            for pair in users.chunks(2) {
                stores.befriend(pair[0], pair[1]).await;
            }
            let counted =
                ["commits_total", "texts_total", "statements_total", "commit_texts_sum", "commit_seconds_count"];
            let count = || counted.map(|metric| value(&page.render(), &format!("uschat_store_{metric}")));
            let before = count();
            let submit = |n: usize| {
                let (sender, receiver) = (users[n], users[n ^ 1]);
                stores.conversations.submit(texts(sender, receiver, &[("id", "text"), ("", "more")]))
            };
            let receipts: Vec<_> = (0..64).map(submit).collect();
            assert_eq!(value(&page.render(), "uschat_store_queue_requests"), 64);
            assert!(join_all(receipts).await.iter().all(Result::is_ok));
            assert_eq!(value(&page.render(), "uschat_store_queue_requests"), 0);
            let more: Vec<_> = count().into_iter().zip(before).map(|(after, before)| after - before).collect();
            // BEGIN, pairs, heads and texts in one round trip, COMMIT.
            assert_eq!(more, [1, 128, 5, 128, 1]);
        });
    });
}

#[tokio::test]
async fn thousands_of_texts_share_a_commit_with_a_retry() {
    const REQUESTS: usize = 64;
    const EACH: usize = 64;
    let folder = tempfile::tempdir().unwrap();
    let stores = Stores::new(open(&folder).await, ());
    let (ada, bob, _) = stores.two_friends().await;
    let ids: Vec<_> = (0..REQUESTS * EACH).map(|n| format!("id {n}")).collect();
    let requests: Vec<_> =
        ids.chunks(EACH).map(|ids| ids.iter().map(|id| (id.as_str(), "text")).collect::<Vec<_>>()).collect();
    // This one waits for nobody; the others come together behind it.
    let first = stores.conversations.submit(texts(ada, bob, &requests[7])).await.unwrap();
    let receipts: Vec<_> = requests.iter().map(|new| stores.conversations.submit(texts(ada, bob, new))).collect();
    let mut outcomes: Vec<_> = join_all(receipts).await.into_iter().map(Result::unwrap).collect();
    let retried = outcomes.remove(7);
    assert_eq!((retried.fresh, &retried.texts), (0, &first.texts));
    assert!(outcomes.iter().all(|stored| stored.fresh == EACH));
    // Number 1 is the line that their friendship began with.
    let mut all = seqs(&first.texts);
    all.extend(outcomes.iter().flat_map(|stored| seqs(&stored.texts)));
    assert!(all.into_iter().eq(2..2 + i64::try_from(REQUESTS * EACH).unwrap()));
}

#[tokio::test]
async fn what_was_stored_by_the_first_version_counts_as_delivered() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    let stores = Stores::new(store.clone(), ());
    let (ada, bob, thread) = stores.two_friends().await;
    stores.conversations.submit(texts(ada, bob, &[("", "1"), ("", "2")])).await.unwrap();
    store.close().await.unwrap();
    execute(
        &folder,
        "DROP TABLE thread_progress;
         DROP INDEX thread_head_last_key;
         ALTER TABLE thread_head DROP COLUMN last_key;
         ALTER TABLE thread_head DROP COLUMN taken_over;
         DELETE FROM _sqlx_migrations WHERE version = 2",
    )
    .await;
    let stores = Stores::new(open(&folder).await, ());
    let waiting = async || stores.conversations.waiting(bob, ThreadId(0), 9).await.unwrap();
    assert_eq!(waiting().await, []);
    let last = stores.all(thread).await.pop().unwrap();
    let head = ThreadHead { thread, users: [ada, bob], seq: 3, key: last.key };
    assert_eq!(stores.conversations.heads_after(MessageKey(0), 9).await.unwrap(), [head]);
    stores.conversations.submit(texts(ada, bob, &[("", "3")])).await.unwrap();
    assert_eq!(waiting().await, [Standing { thread, peer: ada, head: 4, delivered: 3, read: 0 }]);
}

#[tokio::test]
async fn closing_commits_what_was_handed_over() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    let stores = Stores::new(store.clone(), ());
    let thread = sql::closing_commits(&*store, &stores, async || store.close().await.unwrap()).await;
    let wal = std::fs::metadata(folder.path().join("uschat.db-wal")).map_or(0, |file| file.len());
    assert_eq!(wal, 0, "the log was not moved into the file");
    assert_eq!(Stores::new(open(&folder).await, ()).all(thread).await.len(), 301);
}

#[tokio::test]
async fn a_row_the_database_refuses_fails_only_its_request() {
    let folder = tempfile::tempdir().unwrap();
    let stores = Stores::new(open(&folder).await, ());
    let friends = stores.two_friends().await;
    execute(
        &folder,
        "CREATE TRIGGER refuse BEFORE INSERT ON chat_message WHEN new.content = 'poison'
         BEGIN SELECT raise(ABORT, 'refused'); END",
    )
    .await;
    sql::only_poison_fails(&stores, friends).await;
}

#[tokio::test]
async fn a_commit_that_fails_stores_nothing_and_acknowledges_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let stores = Stores::new(open(&folder).await, ());
    let (ada, bob, thread) = stores.two_friends().await;
    // A deferred foreign key is looked at by COMMIT itself.
    execute(
        &folder,
        "CREATE TABLE parent (id INTEGER PRIMARY KEY);
         CREATE TABLE child (id INTEGER REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED);
         CREATE TRIGGER orphan AFTER INSERT ON chat_message WHEN new.content = 'poison'
         BEGIN INSERT INTO child VALUES (1); END",
    )
    .await;
    let failed = stores.conversations.submit(texts(ada, bob, &[("a", "poison")])).await;
    assert!(matches!(failed, Err(SubmitError::Store(_))), "{failed:?}");
    assert_eq!(seqs(&stores.all(thread).await), [1]);
    // The connection is usable again, and the number was not used up.
    assert_eq!(stores.conversations.submit(texts(ada, bob, &[("a", "text")])).await.unwrap().texts[0].seq, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn friends_made_by_an_original_open_their_conversation_once() {
    let folder = tempfile::tempdir().unwrap();
    let stores = Stores::new(open(&folder).await, ());
    let (ada, bob) = (stores.user("ada").await, stores.user("bob").await);
    execute(&folder, "INSERT INTO friend (self_id, friend_id, back) VALUES (1001, 1002, ''), (1002, 1001, '')").await;
    sql::friends_without_a_conversation_open_one(&stores, (ada, bob)).await;
}

#[tokio::test]
async fn of_two_conversations_of_a_pair_the_older_one_counts() {
    let folder = tempfile::tempdir().unwrap();
    let stores = Stores::new(open(&folder).await, ());
    let friends = stores.two_friends().await;
    assert_eq!((friends.0.0, friends.1.0), (1001, 1002));
    // Originals stored the same pair in both orders.
    execute(
        &folder,
        "INSERT INTO chat_thread (id, type) VALUES (500, 'private');
         INSERT INTO private_chat (thread_id, user1_id, user2_id) VALUES (500, 1002, 1001);
         INSERT INTO thread_head (thread_id) VALUES (500)",
    )
    .await;
    sql::the_older_conversation_counts(&stores, friends).await;
}

#[tokio::test]
async fn a_newer_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    open(&folder).await.close().await.unwrap();
    execute(
        &folder,
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (99, 'later', true, x'00', 0)",
    )
    .await;
    let error = refusal(folder.path().join("uschat.db")).await;
    assert!(matches!(error, OpenError::Newer { found: 99, known: 2, .. }), "{error:?}");
    assert!(error.to_string().contains("start the newer version"), "{error}");
}

#[tokio::test]
async fn a_database_with_another_migration_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    open(&folder).await.close().await.unwrap();
    execute(&folder, "UPDATE _sqlx_migrations SET checksum = x'00' WHERE version = 1").await;
    let error = refusal(folder.path().join("uschat.db")).await;
    assert!(matches!(error, OpenError::Changed { version: 1, .. }), "{error:?}");
}

#[tokio::test]
async fn what_is_not_our_database_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let missing = refusal(folder.path().join("no/such/folder/uschat.db")).await;
    assert!(matches!(missing, OpenError::Unreachable { .. }), "{missing:?}");
    assert!(missing.to_string().contains("check that its folder exists"), "{missing}");

    let path = folder.path().join("text.db");
    std::fs::write(&path, "this is a text, much longer than the header of a database. ".repeat(100)).unwrap();
    let text = refusal(&path).await;
    assert!(matches!(text, OpenError::Unreachable { .. }), "{text:?}");
    assert!(std::fs::read_to_string(&path).unwrap().starts_with("this is a text"));

    execute(&folder, "CREATE TABLE user (something TEXT)").await;
    let foreign = refusal(folder.path().join("uschat.db")).await;
    assert!(matches!(foreign, OpenError::Migrate { .. }), "{foreign:?}");
    execute(&folder, "INSERT INTO user (something) VALUES ('still there')").await;
}

#[tokio::test]
async fn an_option_out_of_range_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let options = SqliteOptions { readers: 0, ..SqliteOptions::default() };
    let error = SqliteStore::open(folder.path().join("uschat.db"), options).await.unwrap_err();
    assert!(matches!(error, OpenError::Options(_)), "{error:?}");
}
