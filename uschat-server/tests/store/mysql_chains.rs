//! In the MySQL adapter, too, nothing of a chain is stored without what was said before it: across locked conversations, the
//! parts of a batch and lost commits.

mod real_server {
    use std::{sync::Arc, time::Duration};

    use futures_util::future::join_all;
    use sqlx::Executor;
    use uschat_server::store::{
        Conversations, NewTexts, SubmitError,
        mysql::{MysqlOptions, MysqlStore},
    };

    use crate::{
        conformance::{Stores, texts},
        mysql_support::{
            execute, lock, mariadb::MariaDb, new_database, open, options, proxy::Proxy, rows, unavailable,
        },
    };

    #[tokio::test]
    async fn what_a_session_says_waits_for_what_it_said_before_in_a_locked_conversation() {
        let url = new_database().await;
        let stores = Stores::new(open(&url).await, ());
        let (ada, bob, locked) = stores.two_friends().await;
        let cy = stores.user("cy").await;
        let free = stores.befriend(ada, cy).await.thread_id;
        let mut other_client = lock(&url, locked).await;

        let first = texts(ada, bob, &[("a", "1")]);
        let chained = NewTexts { chain: first.chain.clone(), ..texts(ada, cy, &[("b", "2")]) };
        let mut receipts: Vec<_> = [first, chained].map(|request| stores.conversations.submit(request)).into();
        // In the order of the calls, so behind the text that waits.
        receipts.push(stores.conversations.submit(texts(cy, ada, &[("c", "3")])));
        // Long enough for a lane to have tried, so for the others to have been left out of commits.
        tokio::time::sleep(Duration::from_millis(1_300)).await;
        assert_eq!(stores.all(free).await.len(), 1, "stored without what was said before");
        other_client.execute("ROLLBACK").await.unwrap();
        let outcomes = join_all(receipts).await.into_iter().map(|outcome| outcome.unwrap());
        let stored: Vec<_> = outcomes.map(|stored| (stored.thread, stored.texts[0].seq)).collect();
        assert_eq!(stored, [(locked, 2), (free, 2), (free, 3)]);
    }

    #[tokio::test]
    async fn behind_a_text_that_is_given_up_nothing_of_its_chain_is_stored() {
        let url = new_database().await;
        let options = MysqlOptions { deadline: Duration::from_secs(2), ..options() };
        let stores = Stores::new(Arc::new(MysqlStore::open(&url, options).await.unwrap()), ());
        let (ada, bob, locked) = stores.two_friends().await;
        let cy = stores.user("cy").await;
        let free = stores.befriend(ada, cy).await.thread_id;
        let mut other_client = lock(&url, locked).await;
        let first = texts(ada, bob, &[("a", "1")]);
        let chain = first.chain.clone();
        let behind = || NewTexts { chain: chain.clone(), ..texts(ada, cy, &[("b", "2")]) };
        let (first, second) = (stores.conversations.submit(first), stores.conversations.submit(behind()));
        tokio::time::sleep(Duration::from_secs(1)).await;
        let third = stores.conversations.submit(behind());
        let (first, behind) = (first.await, [second.await, third.await, stores.conversations.submit(behind()).await]);
        assert!(unavailable(&first) && chain.is_broken(), "{first:?}");
        assert!(behind.iter().all(|outcome| matches!(outcome, Err(SubmitError::Behind))), "{behind:?}");
        other_client.execute("ROLLBACK").await.unwrap();
        assert_eq!((stores.all(locked).await.len(), stores.all(free).await.len()), (1, 1));
        assert_eq!(stores.conversations.submit(texts(ada, cy, &[("b", "2")])).await.unwrap().texts[0].seq, 2);
    }

    #[tokio::test]
    async fn what_cannot_be_asked_about_after_a_lost_commit_breaks_its_chain() {
        let server = MariaDb::shared().await;
        let direct = new_database().await;
        let proxy = Proxy::start(server.port()).await;
        let store = open(&proxy.url(direct.rsplit('/').next().unwrap())).await;
        let stores = Stores::new(store.clone(), ());
        let (ada, bob, thread) = stores.two_friends().await;
        let cy = stores.user("cy").await;
        let other = stores.befriend(ada, cy).await.thread_id;
        proxy.cut_at_next_commit(false);
        let first = texts(ada, bob, &[("", "1")]);
        let chain = first.chain.clone();
        let chained = |request| NewTexts { chain: chain.clone(), ..request };
        let requests = [first, chained(texts(ada, bob, &[("b", "2")])), chained(texts(ada, cy, &[("c", "3")]))];
        let outcomes = join_all(requests.map(|request| store.submit(request))).await;
        assert!(proxy.has_cut() && unavailable(&outcomes[0]), "{outcomes:?}");
        assert!(outcomes[1..].iter().all(|outcome| matches!(outcome, Err(SubmitError::Behind))), "{outcomes:?}");
        assert_eq!((stores.all(thread).await.len(), stores.all(other).await.len()), (1, 1));
    }

    #[tokio::test]
    async fn a_split_batch_keeps_chains_together() {
        let url = new_database().await;
        let stores = Stores::new(open(&url).await, ());
        let (ada, bob, locked) = stores.two_friends().await;
        let cy = stores.user("cy").await;
        stores.befriend(ada, cy).await;
        let mut other_client = lock(&url, locked).await;
        execute(
            &url,
            "CREATE TRIGGER refuse BEFORE INSERT ON chat_message FOR EACH ROW
             IF new.content = 'poison' THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'refused'; END IF",
        )
        .await;
        // The offender has the batch split until it is alone; the locked text is in one part, what comes behind it in another.
        let first = texts(ada, bob, &[("first", "1")]);
        let chain = first.chain.clone();
        let mut receipts = vec![stores.conversations.submit(first)];
        for n in 0..8 {
            let content = if n == 2 { "poison" } else { "text" };
            let request = texts(ada, cy, &[(&n.to_string(), content)]);
            receipts.push(stores.conversations.submit(NewTexts { chain: chain.clone(), ..request }));
        }
        receipts.push(stores.conversations.submit(texts(cy, ada, &[("", "poison")])));
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(rows(&url, "SELECT COUNT(*) FROM chat_message").await, ["2"]);
        other_client.execute("ROLLBACK").await.unwrap();
        let outcomes = join_all(receipts).await;
        let numbers: Vec<_> = outcomes.iter().flatten().map(|stored| stored.texts[0].seq).collect();
        assert_eq!(numbers, [2, 2, 3, 4, 5, 6, 7, 8], "{outcomes:?}");
    }
}
