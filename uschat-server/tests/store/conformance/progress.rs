//! How far users have got, and what moved: the part of [`Conversations`](uschat_server::store::Conversations) that
//! delivering rests on.

use futures_util::future::join_all;
use uschat_proto::chat::{MessageKey, ThreadId, UserId};
use uschat_server::store::{NewTexts, Progress, Standing, SubmitError, ThreadHead};

use super::{Stores, contents, seqs, texts};

macro_rules! progress_suite {
    ($make:path) => {
        cases!(progress, $make,
            texts_page_by_number
            texts_are_found_at_their_places
            everybody_begins_with_nothing_delivered
            progress_moves_forward_only_and_not_beyond_the_head
            delivered_and_read_move_apart
            progress_of_one_is_not_progress_of_the_other
            progress_of_an_earlier_session_has_no_effect
            progress_of_strangers_is_left_out
            a_batch_of_progress_is_recorded_together
            long_lists_are_answered_too
            standings_are_of_the_users_conversations_only
            what_waits_pages_by_conversation
            heads_come_in_the_order_of_their_last_keys
            the_last_key_is_that_of_the_last_text
            a_head_moves_with_every_text
            a_place_takes_one_request
            places_are_many_and_in_order
            what_belongs_to_a_broken_chain_is_refused
            a_permanent_refusal_breaks_no_chain
            random_progress_agrees_with_a_naive_model
        );
    };
}

impl Stores {
    async fn say(&self, from: UserId, to: UserId, count: usize) -> ThreadId {
        let new = vec![("", "text"); count];
        self.conversations.submit(texts(from, to, &new)).await.unwrap().thread
    }

    /// As the session with this fence says it.
    async fn record(&self, (uid, fence): (UserId, i64), thread: ThreadId, delivered: i64, read: i64) {
        let news = Progress { uid, fence, thread, delivered, read };
        self.conversations.record_progress(&[news]).await.unwrap();
    }

    async fn standing(&self, uid: UserId, thread: ThreadId) -> Standing {
        let standings = self.conversations.standings(uid, &[thread]).await.unwrap();
        assert_eq!(standings.len(), 1);
        standings[0]
    }

    /// What the user has had delivered, and has read.
    async fn reached(&self, uid: UserId, thread: ThreadId) -> (i64, i64) {
        let standing = self.standing(uid, thread).await;
        (standing.delivered, standing.read)
    }

    async fn log_in(&self, uid: UserId) -> (UserId, i64) {
        (uid, self.accounts.next_fence(uid).await.unwrap())
    }

    /// A user with some friends, and the conversation with each.
    async fn with_friends(&self, friends: usize) -> (UserId, Vec<(UserId, ThreadId)>) {
        let uid = self.user("ada").await;
        let mut threads = Vec::new();
        for n in 0..friends {
            let friend = self.user(&format!("friend{n}")).await;
            // In both roles, since an index serves each.
            let approval = if n % 2 == 0 { self.befriend(uid, friend).await } else { self.befriend(friend, uid).await };
            threads.push((friend, approval.thread_id));
        }
        (uid, threads)
    }
}

pub async fn texts_page_by_number(stores: Stores) {
    let (ada, bob, thread) = stores.two_friends().await;
    let cy = stores.user("cy").await;
    stores.befriend(ada, cy).await;
    for _ in 0..3 {
        stores.say(ada, bob, 2).await;
        stores.say(ada, cy, 1).await;
    }
    let page = async |after, limit| stores.conversations.texts_after(thread, after, limit).await.unwrap();
    assert_eq!(page(0, usize::MAX).await, stores.all(thread).await);
    assert_eq!(seqs(&page(0, 3).await), [1, 2, 3]);
    assert_eq!(seqs(&page(3, 3).await), [4, 5, 6]);
    assert_eq!(seqs(&page(6, 3).await), [7]);
    assert_eq!(page(7, 3).await, []);
    assert_eq!(page(i64::MAX, 3).await, []);
    assert_eq!(seqs(&page(-5, 1).await), [1]);
    assert_eq!(page(0, 0).await, []);
    assert_eq!(stores.conversations.texts_after(ThreadId(999_999), 0, 3).await.unwrap(), []);
}

pub async fn texts_are_found_at_their_places(stores: Stores) {
    let (ada, bob, thread) = stores.two_friends().await;
    let cy = stores.user("cy").await;
    let other = stores.befriend(ada, cy).await.thread_id;
    stores.conversations.submit(texts(bob, ada, &[("a", "1"), ("", "2"), ("c", "3")])).await.unwrap();
    let nowhere = [(thread, 5), (thread, 0), (thread, -1), (other, 2), (ThreadId(999_999), 1)];
    let places = [&[(thread, 4), (other, 1), (thread, 2)][..], &nowhere].concat();
    let mut found = stores.conversations.texts_at(&places).await.unwrap();
    found.sort_by_key(|text| (text.thread, text.seq));
    let expected = [&stores.all(thread).await[1..2], &stores.all(thread).await[3..], &stores.all(other).await].concat();
    assert_eq!((contents(&found)[0], &found), ("1", &expected));
    assert_eq!(stores.conversations.texts_at(&[]).await.unwrap(), []);
    assert_eq!(stores.conversations.texts_at(&nowhere).await.unwrap(), []);
}

pub async fn everybody_begins_with_nothing_delivered(stores: Stores) {
    let (ada, bob, thread) = stores.two_friends().await;
    stores.say(ada, bob, 2).await;
    let standing = |peer| Standing { thread, peer, head: 3, delivered: 0, read: 0 };
    assert_eq!(stores.standing(ada, thread).await, standing(bob));
    assert_eq!(stores.standing(bob, thread).await, standing(ada));
}

pub async fn progress_moves_forward_only_and_not_beyond_the_head(stores: Stores) {
    let (ada, bob, thread) = stores.two_friends().await;
    stores.say(ada, bob, 4).await;
    let session = stores.log_in(bob).await;
    for ((delivered, read), expected) in
        [((3, 1), (3, 1)), ((2, 0), (3, 1)), ((0, 2), (3, 2)), ((-7, -7), (3, 2)), ((99, 99), (5, 5)), ((0, 0), (5, 5))]
    {
        stores.record(session, thread, delivered, read).await;
        assert_eq!(stores.reached(bob, thread).await, expected, "after {delivered}, {read}");
    }
    // What comes behind is not covered by what was too high.
    stores.say(ada, bob, 1).await;
    assert_eq!(stores.standing(bob, thread).await, Standing { thread, peer: ada, head: 6, delivered: 5, read: 5 });
}

pub async fn delivered_and_read_move_apart(stores: Stores) {
    let (ada, bob, thread) = stores.two_friends().await;
    stores.say(ada, bob, 4).await;
    let session = stores.log_in(bob).await;
    stores.record(session, thread, 0, 2).await;
    assert_eq!(stores.reached(bob, thread).await, (0, 2));
    stores.record(session, thread, 4, 0).await;
    assert_eq!(stores.reached(bob, thread).await, (4, 2));
}

pub async fn progress_of_one_is_not_progress_of_the_other(stores: Stores) {
    let (ada, bob, thread) = stores.two_friends().await;
    let cy = stores.user("cy").await;
    let other = stores.befriend(bob, cy).await.thread_id;
    let session = stores.log_in(bob).await;
    stores.record(session, thread, 1, 1).await;
    assert_eq!(stores.reached(bob, thread).await, (1, 1));
    assert_eq!((stores.reached(ada, thread).await, stores.reached(bob, other).await), ((0, 0), (0, 0)));
}

pub async fn progress_of_an_earlier_session_has_no_effect(stores: Stores) {
    let (_, bob, thread) = stores.two_friends().await;
    // Never logged in.
    stores.record((bob, 0), thread, 1, 1).await;
    stores.record((bob, 1), thread, 1, 1).await;
    assert_eq!(stores.reached(bob, thread).await, (0, 0));
    let (earlier, last) = (stores.log_in(bob).await, stores.log_in(bob).await);
    stores.record(earlier, thread, 1, 1).await;
    stores.record((bob, last.1 + 1), thread, 1, 1).await;
    assert_eq!(stores.reached(bob, thread).await, (0, 0));
    stores.record(last, thread, 1, 0).await;
    assert_eq!(stores.reached(bob, thread).await, (1, 0));
}

pub async fn progress_of_strangers_is_left_out(stores: Stores) {
    let (ada, _, thread) = stores.two_friends().await;
    let (cy, session) = (stores.user("cy").await, stores.log_in(ada).await);
    let stranger = stores.log_in(cy).await;
    let news = |(uid, fence), thread| Progress { uid, fence, thread, delivered: 1, read: 1 };
    let nobody = (UserId(999_999), 1);
    let batch = [news(stranger, thread), news(nobody, thread), news(session, ThreadId(999_999)), news(session, thread)];
    stores.conversations.record_progress(&batch).await.unwrap();
    // One that counts for nothing takes nobody with it.
    assert_eq!(stores.reached(ada, thread).await, (1, 1));
    assert_eq!(stores.conversations.standings(cy, &[thread]).await.unwrap(), []);
}

pub async fn a_batch_of_progress_is_recorded_together(stores: Stores) {
    let (ada, friends) = stores.with_friends(5).await;
    let session = stores.log_in(ada).await;
    let mut batch = Vec::new();
    for (n, &(friend, thread)) in friends.iter().enumerate() {
        stores.say(friend, ada, 5).await;
        // One of them several times, in no order.
        for delivered in [n as i64, n as i64 + 1, 1] {
            batch.push(Progress { uid: ada, fence: session.1, thread, delivered, read: delivered - 1 });
        }
        let (friend, fence) = stores.log_in(friend).await;
        batch.push(Progress { uid: friend, fence, thread, delivered: 6, read: 0 });
    }
    stores.conversations.record_progress(&batch).await.unwrap();
    stores.conversations.record_progress(&[]).await.unwrap();
    for (n, &(friend, thread)) in friends.iter().enumerate() {
        assert_eq!(stores.reached(ada, thread).await, (n as i64 + 1, n as i64));
        assert_eq!(stores.reached(friend, thread).await, (6, 0));
    }
}

pub async fn long_lists_are_answered_too(stores: Stores) {
    const MANY: i64 = 9_000;
    let (ada, bob, thread) = stores.two_friends().await;
    stores.say(bob, ada, 3).await;
    let (uid, fence) = stores.log_in(ada).await;
    let threads: Vec<_> = (1..=MANY).map(ThreadId).collect();
    assert_eq!(stores.conversations.standings(ada, &threads).await.unwrap(), [stores.standing(ada, thread).await]);
    let places: Vec<_> = (1..=MANY).map(|n| (thread, n)).collect();
    assert_eq!(stores.conversations.texts_at(&places).await.unwrap().len(), 4);
    let news = threads.iter().map(|&thread| Progress { uid, fence, thread, delivered: 3, read: 2 });
    stores.conversations.record_progress(&news.take(1_500).collect::<Vec<_>>()).await.unwrap();
    assert_eq!(stores.reached(ada, thread).await, (3, 2));
}

pub async fn standings_are_of_the_users_conversations_only(stores: Stores) {
    let (ada, friends) = stores.with_friends(3).await;
    let cy = stores.user("cy").await;
    let foreign = stores.befriend(friends[0].0, cy).await.thread_id;
    let session = stores.log_in(ada).await;
    stores.record(session, friends[1].1, 1, 0).await;
    let asked = [friends[1].1, foreign, ThreadId(999_999), friends[0].1];
    let mut standings = stores.conversations.standings(ada, &asked).await.unwrap();
    standings.sort_by_key(|standing| standing.thread);
    let standing =
        |n: usize, delivered| Standing { thread: friends[n].1, peer: friends[n].0, head: 1, delivered, read: 0 };
    assert_eq!(standings, [standing(0, 0), standing(1, 1)]);
    assert_eq!(stores.conversations.standings(ada, &[]).await.unwrap(), []);
    assert_eq!(stores.conversations.standings(UserId(999_999), &asked).await.unwrap(), []);
}

pub async fn what_waits_pages_by_conversation(stores: Stores) {
    let (ada, friends) = stores.with_friends(5).await;
    let session = stores.log_in(ada).await;
    let standing = |n: usize, head, delivered| {
        let (peer, thread) = friends[n];
        Standing { thread, peer, head, delivered, read: 0 }
    };
    let waiting = async |after, limit| stores.conversations.waiting(ada, after, limit).await.unwrap();
    let nothing = ThreadId(0);
    assert_eq!(waiting(nothing, 9).await, [0, 1, 2, 3, 4].map(|n| standing(n, 1, 0)));
    for n in [0, 3] {
        stores.record(session, friends[n].1, 1, 0).await;
    }
    assert_eq!(waiting(nothing, 2).await, [1, 2].map(|n| standing(n, 1, 0)));
    assert_eq!(waiting(friends[2].1, 2).await, [standing(4, 1, 0)]);
    assert_eq!(waiting(friends[4].1, 2).await, []);
    assert_eq!(waiting(nothing, 0).await, []);
    // Own texts move the head as well.
    stores.say(ada, friends[3].0, 2).await;
    assert_eq!(waiting(friends[2].1, 9).await, [standing(3, 3, 1), standing(4, 1, 0)]);
    for &(_, thread) in &friends {
        stores.record(session, thread, 3, 0).await;
    }
    assert_eq!(waiting(nothing, 9).await, []);
    // The others have got nothing so far.
    assert_eq!(stores.conversations.waiting(friends[3].0, nothing, 9).await.unwrap().len(), 1);
    assert_eq!(stores.conversations.waiting(UserId(999_999), nothing, 9).await.unwrap(), []);
}

pub async fn heads_come_in_the_order_of_their_last_keys(stores: Stores) {
    let (ada, friends) = stores.with_friends(3).await;
    for n in [2, 0, 1] {
        stores.say(ada, friends[n].0, 1).await;
    }
    let mut expected = Vec::new();
    for n in [2, 0, 1] {
        let (friend, thread) = friends[n];
        let last = stores.all(thread).await.pop().unwrap();
        expected.push(ThreadHead { thread, users: [ada.min(friend), ada.max(friend)], seq: last.seq, key: last.key });
    }
    let heads = async |after, limit| stores.conversations.heads_after(after, limit).await.unwrap();
    assert_eq!(heads(MessageKey(0), 9).await, expected);
    assert_eq!(heads(MessageKey(-1), 2).await, expected[..2]);
    assert_eq!(heads(expected[0].key, 9).await, expected[1..]);
    assert_eq!(heads(expected[2].key, 9).await, []);
    assert_eq!(heads(MessageKey(0), 0).await, []);
}

pub async fn the_last_key_is_that_of_the_last_text(stores: Stores) {
    assert_eq!(stores.conversations.last_key().await.unwrap(), MessageKey(0));
    let (ada, bob, thread) = stores.two_friends().await;
    stores.say(ada, bob, 3).await;
    let last = stores.all(thread).await.pop().unwrap();
    assert_eq!(stores.conversations.last_key().await.unwrap(), last.key);
}

pub async fn a_head_moves_with_every_text(stores: Stores) {
    let (ada, bob, thread) = stores.two_friends().await;
    for n in 2..6 {
        let before = stores.conversations.last_key().await.unwrap();
        let id = n.to_string();
        let stored = stores.conversations.submit(texts(ada, bob, &[(&id, "text")])).await.unwrap();
        let heads = stores.conversations.heads_after(before, 9).await.unwrap();
        assert_eq!(heads, [ThreadHead { thread, users: [ada, bob], seq: n, key: stored.texts[0].key }]);
        // A retry moves nothing.
        stores.conversations.submit(texts(ada, bob, &[(&id, "text")])).await.unwrap();
        assert_eq!(stores.conversations.heads_after(stored.texts[0].key, 9).await.unwrap(), []);
        assert_eq!(stores.standing(bob, thread).await.head, n);
    }
}

pub async fn a_place_takes_one_request(stores: Stores) {
    let (ada, bob, thread) = stores.two_friends().await;
    // One that is given back unused costs nobody anything.
    drop(stores.conversations.place().await);
    let place = stores.conversations.place().await;
    let stored = place.submit(texts(ada, bob, &[("a", "1")])).await.unwrap();
    assert_eq!((stored.thread, seqs(&stored.texts), stored.fresh), (thread, vec![2], 1));
    let refused = stores.conversations.place().await.submit(texts(ada, bob, &[("a", "2")])).await;
    assert!(matches!(refused, Err(SubmitError::ClientIdReused)), "{refused:?}");
}

pub async fn places_are_many_and_in_order(stores: Stores) {
    let (ada, bob, thread) = stores.two_friends().await;
    let mut receipts = Vec::new();
    for n in 0..300 {
        let place = stores.conversations.place().await;
        receipts.push(place.submit(texts(ada, bob, &[("", &n.to_string())])));
    }
    for (n, outcome) in join_all(receipts).await.into_iter().enumerate() {
        assert_eq!(seqs(&outcome.unwrap().texts), [n as i64 + 2]);
    }
    assert_eq!(stores.all(thread).await.len(), 301);
}

pub async fn what_belongs_to_a_broken_chain_is_refused(stores: Stores) {
    let (ada, bob, thread) = stores.two_friends().await;
    let first = texts(ada, bob, &[("a", "1")]);
    let chained = |new: &[(&str, &str)]| NewTexts { chain: first.chain.clone(), ..texts(ada, bob, new) };
    let behind = |outcome: &Result<_, SubmitError>| matches!(outcome, Err(SubmitError::Behind));
    assert_eq!(stores.conversations.submit(first.clone()).await.unwrap().texts[0].seq, 2);
    assert_eq!(stores.conversations.submit(chained(&[("b", "2")])).await.unwrap().texts[0].seq, 3);
    let place = stores.conversations.place().await;
    first.chain.break_off();
    let refused =
        [stores.conversations.submit(chained(&[("c", "3")])).await, place.submit(chained(&[("d", "4")])).await];
    assert!(refused.iter().all(behind), "{refused:?}");
    // Also a retry: the session that would get the answer is closed.
    let retried = stores.conversations.submit(first.clone()).await;
    assert!(behind(&retried), "{retried:?}");
    assert_eq!(seqs(&stores.all(thread).await), [1, 2, 3]);
    // Others go on, and the same texts in a new session.
    let again = texts(ada, bob, &[("c", "3")]);
    assert_eq!(stores.conversations.submit(again).await.unwrap().texts[0].seq, 4);
}

pub async fn a_permanent_refusal_breaks_no_chain(stores: Stores) {
    let (ada, bob, _) = stores.two_friends().await;
    let cy = stores.user("cy").await;
    let first = texts(ada, bob, &[("a", "1")]);
    let in_chain = |request: NewTexts| NewTexts { chain: first.chain.clone(), ..request };
    let outcomes = join_all([
        stores.conversations.submit(first.clone()),
        stores.conversations.submit(in_chain(texts(ada, cy, &[("b", "2")]))),
        stores.conversations.submit(in_chain(texts(ada, bob, &[("a", "3")]))),
        stores.conversations.submit(in_chain(texts(ada, bob, &[("c", "4")]))),
    ]);
    let outcomes: Vec<_> = outcomes.await.into_iter().map(|it| it.map(|stored| stored.texts[0].seq)).collect();
    assert!(
        matches!(outcomes[..], [Ok(2), Err(SubmitError::NotFriends), Err(SubmitError::ClientIdReused), Ok(3)]),
        "{outcomes:?}"
    );
    assert!(!first.chain.is_broken());
}

pub async fn random_progress_agrees_with_a_naive_model(stores: Stores) {
    super::model::random_progress_agrees(stores).await;
}
