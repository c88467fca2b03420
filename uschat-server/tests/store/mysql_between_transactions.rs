//! What the MySQL adapter knows from one transaction to the next is no reason to store a text where it does not belong, and
//! a transaction that takes long holds up nobody else.

mod real_server {
    use std::{
        pin::pin,
        time::{Duration, Instant},
    };

    use tokio::time::sleep;
    use uschat_proto::chat::{ThreadId, UserId};
    use uschat_server::store::{NewTexts, SubmitError};

    use crate::{
        conformance::{Stores, contents, seqs, texts},
        mysql_support::{execute, new_database, open, rows},
    };

    fn into(thread: i64, request: NewTexts) -> NewTexts {
        NewTexts { thread: Some(ThreadId(thread)), ..request }
    }

    /// Friends of whom a text was stored, and their conversation.
    async fn who_talk(stores: &Stores) -> (UserId, UserId, ThreadId) {
        let (ada, bob, thread) = stores.two_friends().await;
        for number in ["first", "second"] {
            assert_eq!(stores.conversations.submit(texts(ada, bob, &[(number, number)])).await.unwrap().thread, thread);
        }
        (ada, bob, thread)
    }

    #[tokio::test]
    async fn a_conversation_that_an_original_adds_is_written_in_by_whoever_names_it() {
        let url = new_database().await;
        let stores = Stores::new(open(&url).await, ());
        let (ada, bob, thread) = who_talk(&stores).await;
        execute(
            &url,
            "INSERT INTO chat_thread (id, type) VALUES (500, 'private');
             INSERT INTO private_chat (thread_id, user1_id, user2_id) VALUES (500, 1002, 1001)",
        )
        .await;
        let submit = async |request| stores.conversations.submit(request).await;
        let named = submit(into(500, texts(ada, bob, &[("third", "here")]))).await.unwrap();
        assert_eq!((named.thread, seqs(&named.texts)), (ThreadId(500), vec![1]));
        let unnamed = submit(texts(bob, ada, &[("", "there")])).await.unwrap();
        assert_eq!((unnamed.thread, seqs(&unnamed.texts)), (thread, vec![4]));
        let again = submit(into(500, texts(bob, ada, &[("", "here again")]))).await.unwrap();
        assert_eq!(seqs(&again.texts), [2]);
        let refused = submit(into(501, texts(ada, bob, &[("", "nowhere")]))).await;
        assert!(matches!(refused, Err(SubmitError::NotAMember)), "{refused:?}");
    }

    #[tokio::test]
    async fn whoever_is_a_friend_no_more_is_refused() {
        let url = new_database().await;
        let stores = Stores::new(open(&url).await, ());
        let (ada, bob, _) = who_talk(&stores).await;
        execute(&url, "DELETE FROM friend WHERE self_id = 1001").await;
        let refused = stores.conversations.submit(texts(ada, bob, &[("third", "text")])).await;
        assert!(matches!(refused, Err(SubmitError::NotFriends)), "{refused:?}");
        assert_eq!(seqs(&stores.conversations.submit(texts(bob, ada, &[("", "text")])).await.unwrap().texts), [4]);
        let retried = stores.conversations.submit(texts(ada, bob, &[("second", "second")])).await.unwrap();
        assert_eq!((seqs(&retried.texts), retried.fresh), (vec![3], 0));
    }

    /// As after a backup was restored under a running server.
    #[tokio::test]
    async fn a_conversation_that_is_now_of_others_gets_nothing() {
        let url = new_database().await;
        let stores = Stores::new(open(&url).await, ());
        let (ada, bob, thread) = who_talk(&stores).await;
        let (eve, dan) = (stores.user("eve").await, stores.user("dan").await);
        let change = format!(
            "INSERT INTO friend (self_id, friend_id) VALUES ({eve}, {dan}), ({dan}, {eve});
             UPDATE private_chat SET user1_id = {eve}, user2_id = {dan} WHERE thread_id = {thread}"
        );
        execute(&url, &change).await;
        let stored = stores.conversations.submit(texts(ada, bob, &[("", "for Bob")])).await.unwrap();
        assert_ne!(stored.thread, thread);
        assert_eq!(contents(&stores.all(stored.thread).await), ["for Bob"]);
        let of_eve = stores.conversations.submit(texts(eve, dan, &[("", "for Dan")])).await.unwrap();
        assert_eq!((of_eve.thread, stores.all(thread).await.len()), (thread, 4));
    }

    #[tokio::test]
    async fn a_retry_costs_the_others_of_its_batch_nothing() {
        let url = new_database().await;
        let stores = Stores::new(open(&url).await, ());
        let (ada, bob, _) = who_talk(&stores).await;
        let (cy, dan) = (stores.user("cy").await, stores.user("dan").await);
        stores.befriend(cy, dan).await;
        let requests = [
            texts(cy, dan, &[("new", "of Cy")]),
            texts(ada, bob, &[("second", "second"), ("third", "third")]),
            texts(bob, ada, &[("second", "of Bob")]),
            texts(ada, bob, &[("first", "other content")]),
        ];
        let receipts = requests.map(|request| stores.conversations.submit(request));
        let [of_cy, of_ada, of_bob, reused] = futures_util::future::join_all(receipts).await.try_into().unwrap();
        assert_eq!(seqs(&of_cy.unwrap().texts), [2]);
        let of_ada = of_ada.unwrap();
        assert_eq!((seqs(&of_ada.texts), of_ada.fresh), (vec![3, 4], 1));
        assert_eq!(seqs(&of_bob.unwrap().texts), [5]);
        assert!(matches!(reused, Err(SubmitError::ClientIdReused)), "{reused:?}");
    }

    #[tokio::test]
    async fn a_slow_transaction_holds_up_only_what_comes_behind_it() {
        let url = new_database().await;
        let stores = Stores::new(open(&url).await, ());
        let (ada, bob, _) = who_talk(&stores).await;
        let (cy, dan) = (stores.user("cy").await, stores.user("dan").await);
        stores.befriend(cy, dan).await;
        stores.befriend(ada, dan).await;
        execute(
            &url,
            "CREATE TRIGGER slow BEFORE INSERT ON chat_message FOR EACH ROW
             IF new.content = 'slow' THEN DO SLEEP(3); END IF",
        )
        .await;
        let mut slow = pin!(stores.conversations.submit(texts(ada, bob, &[("", "slow")])));
        let sleeping = "SELECT COUNT(*) FROM information_schema.processlist
            WHERE state = 'User sleep' AND db = DATABASE()";
        let deadline = Instant::now() + Duration::from_secs(10);
        while rows(&url, sleeping).await != ["1"] {
            assert!(Instant::now() < deadline, "the slow one is not under way");
            sleep(Duration::from_millis(5)).await;
        }
        let behind = stores.conversations.submit(texts(ada, dan, &[("", "said behind it")]));
        let free = stores.conversations.submit(texts(cy, dan, &[("", "free")]));
        tokio::select! {
            biased;
            _ = &mut slow => panic!("the slow one was first"),
            _ = behind => panic!("it was said behind the slow one"),
            stored = free => assert_eq!(seqs(&stored.unwrap().texts), [2]),
        }
        assert_eq!(seqs(&slow.await.unwrap().texts), [4]);
    }
}
