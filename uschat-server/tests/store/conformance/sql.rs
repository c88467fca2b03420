//! What every SQL adapter promises beyond one open store: over a reopen, between programs, beside rows that are not ours.
//! A driver opens, closes and plants what its database needs, and hands over.

use futures_util::future::join_all;
use tokio::task::JoinSet;
use uschat_proto::chat::{MessageKey, ThreadId, UserId};
use uschat_server::store::{Conversations, NewTexts, PrivateThread, StoreError, StoredTexts, SubmitError};

use super::{Stores, contents, seqs, texts};

/// What was there before a reopen.
pub struct Before {
    ada: UserId,
    bob: UserId,
    thread: ThreadId,
    first: StoredTexts,
    fence: i64,
}

pub async fn before_a_reopen(stores: &Stores) -> Before {
    let (ada, bob, thread) = stores.two_friends().await;
    let first = stores.conversations.submit(texts(ada, bob, &[("a", "1")])).await.unwrap();
    let fence = stores.accounts.next_fence(ada).await.unwrap();
    Before { ada, bob, thread, first, fence }
}

pub async fn after_a_reopen(stores: &Stores, before: Before) {
    let Before { ada, bob, thread, first, fence } = before;
    assert_eq!(stores.conversations.submit(texts(ada, bob, &[("a", "1")])).await.unwrap().texts, first.texts);
    assert_eq!(stores.conversations.submit(texts(ada, bob, &[("b", "2")])).await.unwrap().texts[0].seq, 3);
    assert_eq!(seqs(&stores.all(thread).await), [1, 2, 3]);
    assert!(stores.accounts.next_fence(ada).await.unwrap() > fence);
    assert!(stores.user("cy").await > bob);
}

/// Two stores on one database; `third` is opened when they are done.
pub async fn programs_wait_for_each_other(programs: [Stores; 2], third: impl AsyncFnOnce() -> Stores) {
    let (ada, bob, thread) = programs[0].two_friends().await;
    let mut running = JoinSet::new();
    for (program, stores) in programs.into_iter().enumerate() {
        running.spawn(async move {
            for n in 0..30 {
                stores.user(&format!("user{program}-{n}")).await;
                // The same ids from both: whoever comes second gets the first result.
                stores.conversations.submit(texts(ada, bob, &[(&format!("id{n}"), "text")])).await.unwrap();
                stores.conversations.submit(texts(bob, ada, &[("", "text")])).await.unwrap();
            }
        });
    }
    running.join_all().await;
    let all = third().await.all(thread).await;
    assert_eq!(seqs(&all), (1..=1 + 30 + 60).collect::<Vec<_>>());
    assert!(all.is_sorted_by(|text, next| text.key < next.key));
}

/// `close` closes the store; the conversation then holds 301 texts.
pub async fn closing_commits(store: &impl Conversations, stores: &Stores, close: impl AsyncFnOnce()) -> ThreadId {
    let (ada, bob, thread) = stores.two_friends().await;
    let receipts: Vec<_> = (0..300).map(|_| store.submit(texts(ada, bob, &[("", "text")]))).collect();
    close().await;
    for receipt in receipts {
        receipt.await.unwrap();
    }
    let late = store.submit(texts(ada, bob, &[("", "late")])).await;
    assert!(matches!(late, Err(SubmitError::Store(StoreError::Unavailable(_)))), "{late:?}");
    assert!(store.history(thread, MessageKey(0), 1).await.is_err());
    thread
}

/// The two are friends by rows that an original wrote, and have no conversation.
pub async fn friends_without_a_conversation_open_one(stores: &Stores, (ada, bob): (UserId, UserId)) {
    assert_eq!(stores.conversations.private_thread(ada, bob).await.unwrap(), None);
    let opened = (0..16).map(|n| {
        let (uid, friend) = if n % 2 == 0 { (ada, bob) } else { (bob, ada) };
        stores.conversations.open_private(uid, friend)
    });
    let opened: Vec<_> = join_all(opened).await.into_iter().map(Result::unwrap).collect();
    assert!(opened.iter().all(|thread| *thread == opened[0]), "{opened:?}");
    let mine = PrivateThread { thread: opened[0], friend: bob };
    assert_eq!(stores.conversations.threads(ada, ThreadId(0), 9).await.unwrap(), [mine]);
    let stored = stores.conversations.submit(texts(ada, bob, &[("", "1")])).await.unwrap();
    assert_eq!((stored.thread, seqs(&stored.texts)), (opened[0], vec![1]));
}

/// The database refuses rows with the content `poison`.
pub async fn only_poison_fails(stores: &Stores, (ada, bob, thread): (UserId, UserId, ThreadId)) {
    let content = |n: usize| if n % 10 == 3 { "poison" } else { "text" };
    let receipts: Vec<_> =
        (0..40).map(|n| stores.conversations.submit(texts(ada, bob, &[(&format!("id{n}"), content(n))]))).collect();
    let mut next = 2;
    for (n, receipt) in receipts.into_iter().enumerate() {
        match receipt.await {
            Ok(stored) => {
                assert_eq!((content(n), seqs(&stored.texts)), ("text", vec![next]));
                next += 1;
            }
            Err(SubmitError::Store(StoreError::Corrupt(_))) => assert_eq!(content(n), "poison"),
            Err(other) => panic!("{n}: {other}"),
        }
    }
    assert_eq!(seqs(&stores.all(thread).await), (1..=37).collect::<Vec<_>>());
}

/// Conversation 500 is of the same pair, stored in the other order, and empty.
pub async fn the_older_conversation_counts(stores: &Stores, (ada, bob, thread): (UserId, UserId, ThreadId)) {
    assert_eq!(stores.conversations.private_thread(bob, ada).await.unwrap(), Some(thread));
    assert_eq!(stores.conversations.submit(texts(bob, ada, &[("", "1")])).await.unwrap().thread, thread);
    assert_eq!(stores.conversations.open_private(ada, bob).await.unwrap(), thread);
    let both = [thread, ThreadId(500)].map(|thread| PrivateThread { thread, friend: bob });
    assert_eq!(stores.conversations.threads(ada, ThreadId(0), 9).await.unwrap(), both);
    assert_eq!(stores.conversations.participants(ThreadId(500)).await.unwrap(), Some([ada, bob]));
    // A client may still have the other one open.
    let named = NewTexts { thread: Some(ThreadId(500)), ..texts(ada, bob, &[("", "2")]) };
    let stored = stores.conversations.submit(named).await.unwrap();
    assert_eq!((stored.thread, seqs(&stored.texts)), (ThreadId(500), vec![1]));
    assert_eq!(contents(&stores.all(thread).await)[1..], ["1"]);
}
