//! The MySQL adapter keeps every promise of its ports, and its own about a database that several programs share.

mod real_server {
    use std::time::{Duration, Instant};

    use futures_util::future::join_all;
    use tokio::task::JoinSet;
    use uschat_server::store::SubmitError;

    use crate::{
        conformance::{Stores, contents, seqs, sql, texts},
        mysql_support::{execute, new_database, open, rows},
    };

    async fn stores() -> Stores {
        Stores::new(open(&new_database().await).await, ())
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

    #[tokio::test]
    async fn everything_survives_a_reopen() {
        let url = new_database().await;
        let store = open(&url).await;
        let stores = Stores::new(store.clone(), ());
        let before = sql::before_a_reopen(&stores).await;
        store.close().await;
        sql::after_a_reopen(&Stores::new(open(&url).await, ()), before).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn two_programs_on_one_database_wait_for_each_other() {
        let url = new_database().await;
        let (one, other) = tokio::join!(open(&url), open(&url));
        let programs = [Stores::new(one, ()), Stores::new(other, ())];
        sql::programs_wait_for_each_other(programs, async || Stores::new(open(&url).await, ())).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn sixty_four_writers_through_two_programs_leave_no_gap() {
        const WRITERS: usize = 64;
        const EACH: usize = 10;
        let url = new_database().await;
        let (one, other) = tokio::join!(open(&url), open(&url));
        let stores = [Stores::new(one, ()), Stores::new(other, ())];
        let (ada, bob, thread) = stores[0].two_friends().await;
        let mut writers = JoinSet::new();
        for writer in 0..WRITERS {
            let conversations = stores[writer % 2].conversations.clone();
            let (sender, receiver) = if writer % 4 < 2 { (ada, bob) } else { (bob, ada) };
            writers.spawn(async move {
                let (mut last, mut longest) = (0, Duration::ZERO);
                for n in 0..EACH {
                    let id = format!("{writer}/{n}");
                    let began = Instant::now();
                    let stored = conversations.submit(texts(sender, receiver, &[(&id, &id)])).await.unwrap();
                    longest = longest.max(began.elapsed());
                    assert!(stored.texts[0].seq > last, "writer {writer}");
                    last = stored.texts[0].seq;
                }
                longest
            });
        }
        let longest = writers.join_all().await.into_iter().max().unwrap();
        eprintln!("the longest wait of {} texts: {longest:?}", WRITERS * EACH);
        assert!(longest < Duration::from_secs(3), "{longest:?}");
        let all = stores[0].all(thread).await;
        assert_eq!(seqs(&all), (1..=1 + (WRITERS * EACH) as i64).collect::<Vec<_>>());
        assert!(all.is_sorted_by(|text, next| text.key < next.key));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn friends_without_a_conversation_get_one_from_whoever_is_first() {
        let url = new_database().await;
        let (one, other) = tokio::join!(open(&url), open(&url));
        let stores = [Stores::new(one, ()), Stores::new(other, ())];
        let (ada, bob) = (stores[0].user("ada").await, stores[0].user("bob").await);
        // As first-season servers left them.
        execute(&url, "INSERT INTO friend (self_id, friend_id) VALUES (1001, 1002), (1002, 1001)").await;
        let submits = (0..16).map(|n| {
            let (sender, receiver) = if n % 2 == 0 { (ada, bob) } else { (bob, ada) };
            stores[n / 2 % 2].conversations.submit(texts(sender, receiver, &[("", "text")]))
        });
        let outcomes: Vec<_> = join_all(submits).await.into_iter().map(|outcome| outcome.unwrap()).collect();
        assert!(outcomes.iter().all(|stored| stored.thread == outcomes[0].thread));
        assert_eq!(seqs(&stores[0].all(outcomes[0].thread).await), (1..=16).collect::<Vec<_>>());
        assert_eq!(rows(&url, "SELECT COUNT(*) FROM chat_thread").await, ["1"]);
        assert_eq!(rows(&url, "SELECT user1_id, user2_id FROM private_chat").await, ["1001|1002"]);
    }

    #[tokio::test]
    async fn closing_commits_what_was_handed_over() {
        let url = new_database().await;
        let store = open(&url).await;
        let stores = Stores::new(store.clone(), ());
        let thread = sql::closing_commits(&*store, &stores, async || store.close().await).await;
        assert_eq!(Stores::new(open(&url).await, ()).all(thread).await.len(), 301);
    }

    #[tokio::test]
    async fn a_row_the_database_refuses_fails_only_its_request() {
        let url = new_database().await;
        let stores = Stores::new(open(&url).await, ());
        let friends = stores.two_friends().await;
        execute(
            &url,
            "CREATE TRIGGER refuse BEFORE INSERT ON chat_message FOR EACH ROW
             IF new.content = 'poison' THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'refused'; END IF",
        )
        .await;
        sql::only_poison_fails(&stores, friends).await;
    }

    #[tokio::test]
    async fn a_transaction_that_fails_late_stores_nothing_and_uses_no_number() {
        let url = new_database().await;
        let stores = Stores::new(open(&url).await, ());
        let (ada, bob, thread) = stores.two_friends().await;
        // The texts are inserted before the number is set, so they are there when this fails.
        execute(
            &url,
            "CREATE TRIGGER fail BEFORE UPDATE ON thread_head FOR EACH ROW
             IF new.seq = 2 THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'refused'; END IF",
        )
        .await;
        let failed = stores.conversations.submit(texts(ada, bob, &[("a", "1")])).await;
        assert!(matches!(failed, Err(SubmitError::Store(_))), "{failed:?}");
        assert_eq!(seqs(&stores.all(thread).await), [1]);
        execute(&url, "DROP TRIGGER fail").await;
        assert_eq!(stores.conversations.submit(texts(ada, bob, &[("a", "text")])).await.unwrap().texts[0].seq, 2);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn friends_made_by_an_original_open_their_conversation_once() {
        let url = new_database().await;
        let stores = Stores::new(open(&url).await, ());
        let (ada, bob) = (stores.user("ada").await, stores.user("bob").await);
        execute(&url, "INSERT INTO friend (self_id, friend_id, back) VALUES (1001, 1002, ''), (1002, 1001, '')").await;
        sql::friends_without_a_conversation_open_one(&stores, (ada, bob)).await;
    }

    #[tokio::test]
    async fn of_two_conversations_of_a_pair_the_older_one_counts() {
        let url = new_database().await;
        let stores = Stores::new(open(&url).await, ());
        let friends = stores.two_friends().await;
        assert_eq!((friends.0.0, friends.1.0), (1001, 1002));
        // Originals stored the same pair in both orders, and know of no heads.
        execute(
            &url,
            "INSERT INTO chat_thread (id, type) VALUES (500, 'private');
             INSERT INTO private_chat (thread_id, user1_id, user2_id) VALUES (500, 1002, 1001)",
        )
        .await;
        sql::the_older_conversation_counts(&stores, friends).await;
    }

    #[tokio::test]
    async fn what_an_original_stores_meanwhile_is_numbered_when_it_is_read_or_written_behind() {
        let url = new_database().await;
        let stores = Stores::new(open(&url).await, ());
        let (ada, bob, thread) = stores.two_friends().await;
        let theirs = |content: &str| {
            format!(
                "INSERT INTO chat_message (thread_id, sender_id, recv_id, content, created_at, updated_at, status)
                 VALUES ({thread}, 1001, 1002, '{content}', NOW(), NOW(), 2)"
            )
        };
        execute(&url, &theirs("a")).await;
        let stored = stores.conversations.submit(texts(bob, ada, &[("", "b")])).await.unwrap();
        assert_eq!(seqs(&stored.texts), [3]);
        execute(&url, &theirs("c")).await;
        execute(&url, &theirs("d")).await;
        let all = stores.all(thread).await;
        assert_eq!((seqs(&all), &contents(&all)[1..]), (vec![1, 2, 3, 4, 5], &["a", "b", "c", "d"][..]));
        assert!(all[1].sent_at > 1_700_000_000_000);
        assert_eq!(stores.conversations.submit(texts(ada, bob, &[("", "e")])).await.unwrap().texts[0].seq, 6);
    }

    #[tokio::test]
    async fn a_head_that_was_lost_begins_behind_the_numbers_that_are_there() {
        let url = new_database().await;
        let stores = Stores::new(open(&url).await, ());
        let (ada, bob, thread) = stores.two_friends().await;
        execute(&url, "DELETE FROM thread_head").await;
        assert_eq!(stores.conversations.submit(texts(ada, bob, &[("", "x")])).await.unwrap().texts[0].seq, 2);
        assert_eq!(seqs(&stores.all(thread).await), [1, 2]);
    }

    #[tokio::test]
    async fn a_request_larger_than_a_transaction_should_be_is_stored_all_the_same() {
        let url = new_database().await;
        let stores = Stores::new(open(&url).await, ());
        let (ada, bob, thread) = stores.two_friends().await;
        let long = "x".repeat(15_000);
        let large: Vec<_> = (0..64).map(|_| ("", long.as_str())).collect();
        let many = vec![("", "short"); 600];
        let requests = [texts(ada, bob, &large), texts(bob, ada, &many), texts(ada, bob, &large)];
        let receipts = join_all(requests.into_iter().map(|request| stores.conversations.submit(request))).await;
        let firsts: Vec<_> = receipts.into_iter().map(|outcome| outcome.unwrap().texts[0].seq).collect();
        assert_eq!(firsts, [2, 66, 666]);
        assert_eq!(stores.all(thread).await.len(), 729);
    }
}
