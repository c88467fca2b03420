//! The MySQL adapter when the server, the network or other clients misbehave.

mod real_server {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        time::{Duration, Instant},
    };

    use futures_util::future::join_all;
    use sqlx::Executor;
    use tokio::task::JoinSet;
    use uschat_proto::chat::{ThreadId, UserId};
    use uschat_server::store::{
        Accounts, Conversations, NewText, Progress, StoreError, SubmitError,
        mysql::{MysqlOptions, MysqlStore},
    };

    use crate::{
        conformance::{Stores, account, contents, seqs, texts},
        mysql_support::{
            connect, execute, lock, mariadb::MariaDb, new_database, new_database_on, open, options, polled,
            proxy::Proxy, rows, unavailable,
        },
    };

    /// Pairs of friends, each with their conversation.
    async fn pairs(stores: &Stores, count: usize) -> Vec<(UserId, UserId, ThreadId)> {
        let mut pairs = Vec::new();
        for n in 0..count {
            let (one, other) = (stores.user(&format!("one{n}")).await, stores.user(&format!("other{n}")).await);
            pairs.push((one, other, stores.befriend(one, other).await.thread_id));
        }
        pairs
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_was_acknowledged_survives_crashes_and_nobody_notices_them() {
        const ROUNDS: usize = 3;
        const EACH: usize = 40;
        let mut server = MariaDb::start(&[]).await;
        let url = new_database_on(&server).await;
        let options = MysqlOptions { deadline: Duration::from_secs(30), ..options() };
        let store = Arc::new(MysqlStore::open(&url, options).await.unwrap());
        let stores = Stores::new(store.clone(), ());
        let pairs = pairs(&stores, 6).await;
        for round in 0..ROUNDS {
            let acknowledged = Arc::new(AtomicUsize::new(0));
            let halfway = Arc::new(tokio::sync::Notify::new());
            let mut writers = JoinSet::new();
            for (n, &(one, other, _)) in pairs.iter().enumerate() {
                let (store, acknowledged, halfway) = (store.clone(), acknowledged.clone(), halfway.clone());
                writers.spawn(async move {
                    for text in 0..EACH {
                        let id = format!("{round}/{n}/{text}");
                        store.submit(texts(one, other, &[(&id, &id)])).await.unwrap();
                        if acknowledged.fetch_add(1, Ordering::Relaxed) == 6 * EACH / 2 {
                            halfway.notify_one();
                        }
                    }
                });
            }
            halfway.notified().await;
            server.kill9();
            let before = acknowledged.load(Ordering::Relaxed);
            let began = Instant::now();
            server = server.restart().await;
            let up = began.elapsed();
            // A look-up rides out the restart too.
            assert!(store.by_uid(pairs[0].0).await.unwrap().is_some());
            eprintln!("round {round}: server up after {up:?}, store after {:?}", began.elapsed());
            writers.join_all().await;
            assert!(before < 6 * EACH, "the crash came too late");
        }
        for (n, &(_, _, thread)) in pairs.iter().enumerate() {
            let all = stores.all(thread).await;
            assert_eq!(seqs(&all), (1..=1 + (ROUNDS * EACH) as i64).collect::<Vec<_>>());
            let ids = (0..ROUNDS).flat_map(|round| (0..EACH).map(move |text| format!("{round}/{n}/{text}")));
            assert_eq!(contents(&all)[1..], ids.collect::<Vec<_>>());
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn texts_that_wait_when_the_server_is_gone_for_good_are_refused_at_the_deadline() {
        let mut server = MariaDb::start(&[]).await;
        let url = new_database_on(&server).await;
        let options = MysqlOptions { deadline: Duration::from_secs(1), ..options() };
        let stores = Stores::new(Arc::new(MysqlStore::open(&url, options).await.unwrap()), ());
        let (ada, bob, _) = stores.two_friends().await;
        server.kill9();
        let began = Instant::now();
        let receipts = (0..10).map(|n| stores.conversations.submit(texts(ada, bob, &[(&n.to_string(), "text")])));
        let outcomes = join_all(receipts).await;
        assert!(outcomes.iter().all(unavailable), "{outcomes:?}");
        let failed = stores.accounts.by_uid(ada).await;
        assert!(matches!(failed, Err(StoreError::Unavailable(_))), "{failed:?}");
        assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
        // It recovers by itself.
        let _server = server.restart().await;
        assert_eq!(stores.conversations.submit(texts(ada, bob, &[("a", "1")])).await.unwrap().fresh, 1);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_server_that_falls_silent_holds_up_nobody_beyond_the_deadline() {
        let server = MariaDb::start(&[]).await;
        let url = new_database_on(&server).await;
        let options = MysqlOptions {
            deadline: Duration::from_secs(1),
            connect: Duration::from_secs(1),
            wait: Duration::from_secs(1),
            ..options()
        };
        let store = Arc::new(MysqlStore::open(&url, options).await.unwrap());
        let stores = Stores::new(store.clone(), ());
        let (ada, bob, thread) = stores.two_friends().await;
        server.freeze();
        let began = Instant::now();
        let (looked_up, pinged, submitted) =
            tokio::join!(store.by_uid(ada), store.ping(), store.submit(texts(ada, bob, &[("a", "text")])),);
        let took = began.elapsed();
        server.thaw();
        assert!(looked_up.is_err() && pinged.is_err() && unavailable(&submitted), "{looked_up:?} {submitted:?}");
        assert!(took < Duration::from_secs(6), "{took:?}");
        let again = store.submit(texts(ada, bob, &[("a", "text")])).await.unwrap();
        assert_eq!((seqs(&again.texts), stores.all(thread).await.len()), (vec![2], 2));
    }

    #[tokio::test]
    async fn a_commit_whose_answer_is_lost_stores_texts_with_ids_once() {
        // Lost on the way there, then on the way back.
        for reaches_server in [false, true] {
            let server = MariaDb::shared().await;
            let direct = new_database().await;
            let proxy = Proxy::start(server.port()).await;
            let database = direct.rsplit('/').next().unwrap();
            let store = open(&proxy.url(database)).await;
            let stores = Stores::new(store.clone(), ());
            let (ada, bob, thread) = stores.two_friends().await;

            proxy.cut_at_next_commit(reaches_server);
            let stored = store.submit(texts(ada, bob, &[("a", "1")])).await.unwrap();
            assert!(proxy.has_cut());
            // What was found is not fresh.
            assert_eq!((seqs(&stored.texts), stored.fresh), (vec![2], usize::from(!reaches_server)));
            assert_eq!(contents(&stores.all(thread).await)[1..], ["1"]);

            proxy.cut_at_next_commit(reaches_server);
            let without_id = store.submit(texts(ada, bob, &[("", "2")])).await;
            assert!(unavailable(&without_id), "{without_id:?}");
            let expected: &[&str] = if reaches_server { &["1", "2"] } else { &["1"] };
            assert_eq!(&contents(&stores.all(thread).await)[1..], expected);
            let next = store.submit(texts(ada, bob, &[("b", "3")])).await.unwrap();
            assert_eq!(next.texts[0].seq, 2 + expected.len() as i64);
        }
    }

    #[tokio::test]
    async fn a_locked_conversation_delays_only_itself() {
        let url = new_database().await;
        let stores = Stores::new(open(&url).await, ());
        let pairs = pairs(&stores, 3).await;
        let (ada, bob, locked) = pairs[0];
        let mut other_client = lock(&url, locked).await;

        let waiting: Vec<_> =
            (0..5).map(|n| stores.conversations.submit(texts(ada, bob, &[(&n.to_string(), "text")]))).collect();
        let began = Instant::now();
        for n in 0..10 {
            for &(one, other, _) in &pairs[1..] {
                let id = format!("id{n}");
                stores.conversations.submit(texts(one, other, &[(&id, "text")])).await.unwrap();
            }
        }
        let others = began.elapsed();
        assert!(others < Duration::from_secs(3), "{others:?}");
        let later = stores.conversations.submit(texts(bob, ada, &[("later", "text")]));
        // Longer than the server waits for a lock, so that a lane has to come back.
        tokio::time::sleep(Duration::from_millis(1_300)).await;
        other_client.execute("ROLLBACK").await.unwrap();
        let numbers: Vec<_> =
            join_all(waiting).await.into_iter().map(|outcome| outcome.unwrap().texts[0].seq).collect();
        assert_eq!(numbers, [2, 3, 4, 5, 6]);
        assert_eq!(later.await.unwrap().texts[0].seq, 7);
        eprintln!("20 texts of other conversations took {others:?}");
    }

    #[tokio::test]
    async fn a_conversation_that_stays_locked_is_given_up_at_the_deadline_in_order() {
        let url = new_database().await;
        let options = MysqlOptions { deadline: Duration::from_secs(2), ..options() };
        let stores = Stores::new(Arc::new(MysqlStore::open(&url, options).await.unwrap()), ());
        let (ada, bob, thread) = stores.two_friends().await;
        let mut other_client = connect(&url).await;
        other_client.execute("START TRANSACTION").await.unwrap();
        other_client.execute("SELECT * FROM thread_head FOR UPDATE").await.unwrap();
        let began = Instant::now();
        let receipts = (0..3).map(|n| stores.conversations.submit(texts(ada, bob, &[(&n.to_string(), "text")])));
        let outcomes = join_all(receipts).await;
        assert!(outcomes.iter().all(unavailable), "{outcomes:?}");
        assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
        other_client.execute("ROLLBACK").await.unwrap();
        assert_eq!(stores.conversations.submit(texts(ada, bob, &[("a", "1")])).await.unwrap().texts[0].seq, 2);
        assert_eq!(stores.all(thread).await.len(), 2);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn progress_that_many_record_together_is_never_lost() {
        let url = new_database().await;
        let (one, other) = tokio::join!(open(&url), open(&url));
        let stores = Stores::new(one.clone(), ());
        let pairs = pairs(&stores, 8).await;
        let mut news = Vec::new();
        for &(one, other, thread) in &pairs {
            let many = vec![("", "text"); 19];
            stores.conversations.submit(texts(one, other, &many)).await.unwrap();
            for uid in [one, other] {
                let fence = stores.accounts.next_fence(uid).await.unwrap();
                news.push(Progress { uid, fence, thread, delivered: 0, read: 0 });
            }
        }
        let mut writers = JoinSet::new();
        for writer in 0..6 {
            let (store, mut news) = ([&one, &other][writer % 2].clone(), news.clone());
            writers.spawn(async move {
                for delivered in 1..=20 {
                    // Each in an order of its own.
                    news.rotate_left(writer);
                    news.iter_mut().for_each(|news| (news.delivered, news.read) = (delivered, delivered - 1));
                    store.record_progress(&news).await.unwrap();
                }
            });
        }
        writers.join_all().await;
        for &(one, other, thread) in &pairs {
            for uid in [one, other] {
                let standing = stores.conversations.standings(uid, &[thread]).await.unwrap()[0];
                assert_eq!((standing.head, standing.delivered, standing.read), (20, 20, 19));
            }
        }
    }

    #[tokio::test]
    async fn more_locked_conversations_than_lanes_are_all_served() {
        let url = new_database().await;
        let stores = Stores::new(open(&url).await, ());
        let pairs = pairs(&stores, 20).await;
        let mut other_client = connect(&url).await;
        other_client.execute("START TRANSACTION").await.unwrap();
        other_client.execute("SELECT * FROM thread_head FOR UPDATE").await.unwrap();
        let submits =
            pairs.iter().map(|&(one, other, _)| stores.conversations.submit(texts(one, other, &[("a", "1")])));
        let receipts: Vec<_> = submits.collect();
        tokio::time::sleep(Duration::from_millis(200)).await;
        other_client.execute("ROLLBACK").await.unwrap();
        for receipt in receipts {
            assert_eq!(receipt.await.unwrap().texts[0].seq, 2);
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_call_that_is_cancelled_anywhere_leaves_nothing_behind() {
        let server = MariaDb::start(&[]).await;
        let url = new_database_on(&server).await;
        let store = open(&url).await;
        let stores = Stores::new(store.clone(), ());
        let (ada, bob) = (stores.user("ada").await, stores.user("bob").await);
        let (mut cancelled, mut attempts) = (0, 0);
        for polls in (0..14).chain(0..14).chain(0..14).chain([100]) {
            attempts += 1;
            let name = format!("user{attempts}");
            let created = polled(polls, stores.accounts.create(account(&name))).await;
            let looked_up = polled(polls, stores.accounts.by_uid(ada)).await;
            let applied = polled(polls, stores.contacts.apply(ada, bob, &name, "")).await;
            cancelled +=
                [created.is_none(), looked_up.is_none(), applied.is_none()].iter().filter(|&&gone| gone).count();
            // The answer of a cancelled call never becomes the answer of the next one.
            assert_eq!(stores.accounts.by_uid(bob).await.unwrap().unwrap().profile.name, "bob");
            let user = stores.accounts.by_name(&name).await.unwrap();
            assert!(created.is_none_or(|created| created.unwrap() == user.unwrap().profile.uid), "{name}");
        }
        assert!(cancelled > 15, "only {cancelled} calls were cancelled");
        for polls in 0..30 {
            let _ = polled(polls, stores.contacts.approve(bob, ada, "")).await;
        }
        let approval = stores.contacts.approve(bob, ada, "").await.unwrap();
        assert_eq!(seqs(&stores.all(approval.thread_id).await), [1, 2]);
        // The server ends what it was doing for a connection that was closed, in its own time.
        let open = "SELECT COUNT(*) FROM information_schema.innodb_trx";
        let deadline = Instant::now() + Duration::from_secs(5);
        while rows(&url, open).await != ["0"] {
            assert!(Instant::now() < deadline, "a transaction was left open");
        }
    }

    #[tokio::test]
    async fn a_larger_batch_takes_hardly_more_statements() {
        let server = MariaDb::start(&[]).await;
        let url = new_database_on(&server).await;
        let stores = Stores::new(open(&url).await, ());
        let pairs = pairs(&stores, 32).await;
        let questions = async || -> u64 {
            let status = rows(&url, "SHOW GLOBAL STATUS LIKE 'Questions'").await;
            status[0].split('|').nth(1).unwrap().parse().unwrap()
        };
        // What it takes to ask.
        let (one, other) = (questions().await, questions().await);
        let asking = other - one;
        let mut counts = Vec::new();
        // The first time the conversations are looked up.
        let sizes = [64_usize, 1, 10, 64, 200];
        for (round, requests) in sizes.into_iter().enumerate() {
            let before = questions().await;
            // Handed over without a pause, so they are one batch.
            let receipts = (0..requests).map(|n| {
                // Of each pair both: 64 requests are those of 64 users.
                let (one, other, _) = pairs[n / 2 % pairs.len()];
                let (one, other) = if n % 2 == 0 { (one, other) } else { (other, one) };
                stores.conversations.submit(texts(one, other, &[(&format!("{round}/{n}"), "text")]))
            });
            for receipt in receipts.collect::<Vec<_>>() {
                receipt.await.unwrap();
            }
            counts.push(questions().await - before - asking);
        }
        eprintln!("statements for {sizes:?} requests: {counts:?}");
        // Texts are inserted 1, 2, 4, 8 … at a time. Beside that a transaction has four statements; many requests make two
        // transactions, and a connection may have to be set up or asked whether it lives.
        let few = |(&count, requests): (&u64, usize)| count <= 12 + 2 * u64::from(requests.ilog2() + 1);
        assert!(counts.iter().zip(sizes).skip(1).all(few), "{counts:?}");
        assert!(*counts.iter().min().unwrap() <= 5, "{counts:?}");
    }

    /// What follows a closing would wait for the server's delayed acknowledgement.
    #[tokio::test]
    async fn no_statement_is_closed_however_many_texts_a_batch_has() {
        let server = MariaDb::start(&[]).await;
        let url = new_database_on(&server).await;
        let stores = Stores::new(open(&url).await, ());
        let (ada, bob, _) = stores.two_friends().await;
        let closed = async || -> u64 {
            let status = rows(&url, "SHOW GLOBAL STATUS LIKE 'Com_stmt_close'").await;
            status[0].split('|').nth(1).unwrap().parse().unwrap()
        };
        let (before, after) = (closed().await, closed().await);
        let asking = after - before;
        for requests in [1, 3, 37, 200] {
            let receipts = (0..requests).map(|n| {
                let (one, other) = if n % 2 == 0 { (ada, bob) } else { (bob, ada) };
                stores.conversations.submit(texts(one, other, &[(&format!("{requests}/{n}"), "text")]))
            });
            for receipt in receipts.collect::<Vec<_>>() {
                receipt.await.unwrap();
            }
        }
        assert_eq!(closed().await - after, asking);
    }

    #[tokio::test]
    async fn ids_that_two_conversations_contend_for_are_stored_once() {
        let url = new_database().await;
        let (one, other) = tokio::join!(open(&url), open(&url));
        let stores = Stores::new(one.clone(), ());
        let (ada, bob, _) = stores.two_friends().await;
        let cy = stores.user("cy").await;
        stores.befriend(ada, cy).await;
        for n in 0..20 {
            let id = n.to_string();
            let (to_bob, to_cy) =
                tokio::join!(one.submit(texts(ada, bob, &[(&id, "x")])), other.submit(texts(ada, cy, &[(&id, "x")])));
            let outcomes = [to_bob, to_cy];
            let stored = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
            let reused = outcomes.iter().filter(|outcome| matches!(outcome, Err(SubmitError::ClientIdReused))).count();
            assert_eq!((stored, reused), (1, 1), "{outcomes:?}");
        }
    }

    #[tokio::test]
    async fn a_text_that_a_narrow_column_cannot_hold_is_refused_alone() {
        let url = new_database().await;
        let stores = Stores::new(open(&url).await, ());
        let (ada, bob, thread) = stores.two_friends().await;
        execute(&url, "ALTER TABLE chat_message MODIFY content TEXT CHARACTER SET latin1 NOT NULL").await;
        let mut long = texts(ada, bob, &[("long", "x")]);
        long.texts.push(NewText { client_id: Some("x".repeat(65)), content: "x".into() });
        let outcomes = join_all([
            stores.conversations.submit(texts(ada, bob, &[("a", "plain")])),
            stores.conversations.submit(texts(ada, bob, &[("b", "你好")])),
            stores.conversations.submit(long),
            stores.conversations.submit(texts(ada, bob, &[("c", "plain again")])),
        ])
        .await;
        assert!(outcomes[0].is_ok() && outcomes[3].is_ok(), "{outcomes:?}");
        for refused in &outcomes[1..3] {
            assert!(matches!(refused, Err(SubmitError::Store(StoreError::Corrupt(_)))), "{refused:?}");
        }
        assert_eq!(contents(&stores.all(thread).await)[1..], ["plain", "plain again"]);
    }

    #[tokio::test]
    async fn a_server_that_may_not_write_refuses_and_recovers_by_itself() {
        let server = MariaDb::start(&[]).await;
        let url = new_database_on(&server).await;
        // What is read-only does not apply to administrators.
        execute(&url, "CREATE USER app@'%'; GRANT ALL ON case_app.* TO app@'%'; CREATE DATABASE case_app").await;
        let app = server.url("case_app").replace("root@", "app@");
        let options = MysqlOptions { deadline: Duration::from_secs(1), ..options() };
        let stores = Stores::new(Arc::new(MysqlStore::open(&app, options).await.unwrap()), ());
        let (ada, bob, thread) = stores.two_friends().await;
        execute(&url, "SET GLOBAL read_only = 1").await;
        let refused = stores.conversations.submit(texts(ada, bob, &[("a", "1")])).await;
        assert!(unavailable(&refused), "{refused:?}");
        assert!(stores.accounts.next_fence(ada).await.is_err());
        assert_eq!(stores.all(thread).await.len(), 1);
        execute(&url, "SET GLOBAL read_only = 0").await;
        assert_eq!(stores.conversations.submit(texts(ada, bob, &[("a", "1")])).await.unwrap().fresh, 1);
    }
}
