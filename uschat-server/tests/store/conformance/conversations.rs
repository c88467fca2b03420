use futures_util::future::join_all;
use tokio::task::JoinSet;
use uschat_proto::chat::{MessageKey, ThreadId, UserId};
use uschat_server::store::{NewTexts, OpenThreadError, PrivateThread, SubmitError};

use super::{Stores, contents, seqs, texts};

macro_rules! conversations_suite {
    ($make:path) => {
        cases!(conversations, $make,
            a_text_is_kept_as_given
            a_request_gets_consecutive_numbers_in_its_order
            numbers_and_keys_rise_together
            the_order_of_calls_is_the_order_of_numbers
            both_directions_share_one_conversation
            conversations_are_numbered_apart
            a_retry_returns_the_first_result
            a_retry_is_answered_before_permissions
            other_content_under_a_used_id_is_refused_whole
            another_receiver_under_a_used_id_is_refused
            an_id_twice_in_one_request_is_stored_once
            an_id_twice_with_other_content_refuses_the_request
            a_partly_stored_request_keeps_first_results
            client_ids_are_bytes_and_belong_to_their_sender
            texts_without_id_are_never_taken_for_a_retry
            strangers_are_refused
            a_named_conversation_must_be_that_of_the_two
            a_refusal_takes_nobody_with_it
            concurrent_retries_store_one_text
            sixty_four_submitters_leave_no_gap_and_keep_their_order
            a_dropped_receipt_does_not_recall
            history_pages_by_key
            a_private_conversation_is_found_in_either_order
            conversations_page_by_id
            a_conversation_has_two_participants
            an_open_conversation_is_returned_to_both
            strangers_open_nothing
            random_requests_agree_with_a_naive_model
        );
    };
}

pub async fn a_text_is_kept_as_given(stores: Stores) {
    let (ada, bob, thread) = stores.two_friends().await;
    let long = "名😀".repeat(2_048);
    let odd = ["", "\"quoted\" \\ \u{0} [1,2] {\"a\":null}", "null", "007", " space ", long.as_str()];
    let new: Vec<_> = odd.iter().map(|content| ("", *content)).collect();
    let stored = stores.conversations.submit(texts(ada, bob, &new)).await.unwrap();

    assert_eq!(contents(&stored.texts), odd);
    assert!(stored.texts.iter().all(|text| text.sender == ada && text.sent_at == 1_700_000_000_123));
    assert_eq!(stores.all(thread).await[1..], stored.texts);
}

pub async fn a_request_gets_consecutive_numbers_in_its_order(stores: Stores) {
    let (ada, bob, thread) = stores.two_friends().await;
    let stored = stores.conversations.submit(texts(ada, bob, &[("b", "1"), ("", "2"), ("a", "3")])).await.unwrap();
    assert_eq!((stored.thread, stored.fresh), (thread, 3));
    assert_eq!((seqs(&stored.texts), contents(&stored.texts)), (vec![2, 3, 4], vec!["1", "2", "3"]));
    assert_eq!(stored.texts[0].client_id.as_deref(), Some("b"));
}

pub async fn numbers_and_keys_rise_together(stores: Stores) {
    let (ada, bob, thread) = stores.two_friends().await;
    let cy = stores.user("cy").await;
    stores.befriend(ada, cy).await;
    for round in 0..10 {
        let receiver = if round % 3 == 0 { cy } else { bob };
        stores.conversations.submit(texts(ada, receiver, &[("", "x"), ("", "y")])).await.unwrap();
    }
    let all = stores.all(thread).await;
    assert_eq!(seqs(&all), (1..=13).collect::<Vec<_>>());
    assert!(all.is_sorted_by(|one, next| one.key < next.key));
}

pub async fn the_order_of_calls_is_the_order_of_numbers(stores: Stores) {
    let (ada, bob, _) = stores.two_friends().await;
    let receipts: Vec<_> = (0..500)
        .map(|n| stores.conversations.submit(texts(ada, bob, &[(&format!("id{n}"), &format!("text {n}"))])))
        .collect();
    for (n, outcome) in join_all(receipts).await.into_iter().enumerate() {
        let stored = outcome.unwrap();
        assert_eq!((seqs(&stored.texts), contents(&stored.texts)), (vec![n as i64 + 2], vec![&*format!("text {n}")]));
    }
}

pub async fn both_directions_share_one_conversation(stores: Stores) {
    let (ada, bob, thread) = stores.two_friends().await;
    for (n, (sender, receiver)) in [(ada, bob), (bob, ada), (ada, bob)].into_iter().enumerate() {
        let stored = stores.conversations.submit(texts(sender, receiver, &[("", "x")])).await.unwrap();
        assert_eq!((stored.thread, seqs(&stored.texts)), (thread, vec![n as i64 + 2]));
    }
}

pub async fn conversations_are_numbered_apart(stores: Stores) {
    let (ada, bob, _) = stores.two_friends().await;
    let cy = stores.user("cy").await;
    stores.befriend(ada, cy).await;
    for receiver in [bob, cy] {
        let stored = stores.conversations.submit(texts(ada, receiver, &[("", "x")])).await.unwrap();
        assert_eq!(seqs(&stored.texts), [2]);
    }
}

pub async fn a_retry_returns_the_first_result(stores: Stores) {
    let (ada, bob, thread) = stores.two_friends().await;
    let request = texts(ada, bob, &[("a", "1"), ("b", "2")]);
    let first = stores.conversations.submit(request.clone()).await.unwrap();
    stores.conversations.submit(texts(ada, bob, &[("c", "3")])).await.unwrap();

    let later = NewTexts { sent_at: 1_800_000_000_000, ..request };
    let again = stores.conversations.submit(later).await.unwrap();
    assert_eq!((again.thread, &again.texts, again.fresh), (first.thread, &first.texts, 0));
    assert_eq!(stores.all(thread).await.len(), 4);
}

pub async fn a_retry_is_answered_before_permissions(stores: Stores) {
    let (ada, bob, _) = stores.two_friends().await;
    let request = texts(ada, bob, &[("a", "1")]);
    let first = stores.conversations.submit(request.clone()).await.unwrap();
    let elsewhere = Some(ThreadId(999_999));
    let again = stores.conversations.submit(NewTexts { thread: elsewhere, ..request }).await.unwrap();
    assert_eq!(again.texts, first.texts);
    let fresh = NewTexts { thread: elsewhere, ..texts(ada, bob, &[("a", "1"), ("b", "2")]) };
    assert!(matches!(stores.conversations.submit(fresh).await, Err(SubmitError::NotAMember)));
}

pub async fn other_content_under_a_used_id_is_refused_whole(stores: Stores) {
    let (ada, bob, thread) = stores.two_friends().await;
    stores.conversations.submit(texts(ada, bob, &[("a", "1")])).await.unwrap();
    let refused = stores.conversations.submit(texts(ada, bob, &[("new", "2"), ("a", "3"), ("", "4")])).await;
    assert!(matches!(refused, Err(SubmitError::ClientIdReused)), "{refused:?}");
    assert_eq!(stores.all(thread).await.len(), 2);
    // Nothing of it was kept, so its first id is free.
    assert_eq!(stores.conversations.submit(texts(ada, bob, &[("new", "other")])).await.unwrap().fresh, 1);
}

pub async fn another_receiver_under_a_used_id_is_refused(stores: Stores) {
    let (ada, bob, _) = stores.two_friends().await;
    let cy = stores.user("cy").await;
    let thread = stores.befriend(ada, cy).await.thread_id;
    stores.conversations.submit(texts(ada, bob, &[("a", "1")])).await.unwrap();
    let refused = stores.conversations.submit(texts(ada, cy, &[("a", "1")])).await;
    assert!(matches!(refused, Err(SubmitError::ClientIdReused)), "{refused:?}");
    assert_eq!(stores.all(thread).await.len(), 1);
}

pub async fn an_id_twice_in_one_request_is_stored_once(stores: Stores) {
    let (ada, bob, thread) = stores.two_friends().await;
    let stored = stores.conversations.submit(texts(ada, bob, &[("a", "1"), ("b", "2"), ("a", "1")])).await.unwrap();
    assert_eq!((seqs(&stored.texts), stored.fresh), (vec![2, 3, 2], 2));
    assert_eq!(seqs(&stores.all(thread).await), [1, 2, 3]);
}

pub async fn an_id_twice_with_other_content_refuses_the_request(stores: Stores) {
    let (ada, bob, thread) = stores.two_friends().await;
    let refused = stores.conversations.submit(texts(ada, bob, &[("a", "1"), ("a", "2")])).await;
    assert!(matches!(refused, Err(SubmitError::ClientIdReused)), "{refused:?}");
    assert_eq!(stores.all(thread).await.len(), 1);
}

pub async fn a_partly_stored_request_keeps_first_results(stores: Stores) {
    let (ada, bob, thread) = stores.two_friends().await;
    let first = stores.conversations.submit(texts(ada, bob, &[("b", "2")])).await.unwrap();
    let mixed = stores.conversations.submit(texts(ada, bob, &[("a", "1"), ("b", "2"), ("c", "3")])).await.unwrap();
    assert_eq!((seqs(&mixed.texts), mixed.fresh), (vec![3, 2, 4], 2));
    assert_eq!(mixed.texts[1], first.texts[0]);
    assert_eq!(contents(&stores.all(thread).await)[1..], ["2", "1", "3"]);
}

pub async fn client_ids_are_bytes_and_belong_to_their_sender(stores: Stores) {
    let (ada, bob, thread) = stores.two_friends().await;
    let long = "x".repeat(64);
    let ids = ["id", "ID", "id ", " id", "íd", "i\u{301}d", "1", "01", "a\u{0}b", "a", "'\"\\", long.as_str()];
    for (n, id) in ids.into_iter().enumerate() {
        let stored = stores.conversations.submit(texts(ada, bob, &[(id, &n.to_string())])).await.unwrap();
        assert_eq!((stored.fresh, stored.texts[0].client_id.as_deref()), (1, Some(id)), "{id:?}");
    }
    for (n, id) in ids.into_iter().enumerate() {
        let again = stores.conversations.submit(texts(ada, bob, &[(id, &n.to_string())])).await.unwrap();
        assert_eq!((again.fresh, again.texts[0].client_id.as_deref()), (0, Some(id)), "{id:?}");
    }
    assert_eq!(stores.conversations.submit(texts(bob, ada, &[("id", "of bob")])).await.unwrap().fresh, 1);
    assert_eq!(stores.all(thread).await.len(), ids.len() + 2);
}

pub async fn texts_without_id_are_never_taken_for_a_retry(stores: Stores) {
    let (ada, bob, _) = stores.two_friends().await;
    for seq in 2..5 {
        let stored = stores.conversations.submit(texts(ada, bob, &[("", "same")])).await.unwrap();
        assert_eq!((stored.fresh, stored.texts[0].seq, &stored.texts[0].client_id), (1, seq, &None));
    }
}

pub async fn strangers_are_refused(stores: Stores) {
    let (ada, _, _) = stores.two_friends().await;
    let cy = stores.user("cy").await;
    stores.contacts.apply(ada, cy, "hello", "").await.unwrap();
    for (sender, receiver) in [(ada, cy), (cy, ada), (ada, ada)] {
        let refused = stores.conversations.submit(texts(sender, receiver, &[("a", "1")])).await;
        assert!(matches!(refused, Err(SubmitError::NotFriends)), "{refused:?}");
        assert_eq!(stores.conversations.private_thread(sender, receiver).await.unwrap(), None);
    }
    // A refused id is not used up.
    stores.contacts.approve(cy, ada, "").await.unwrap();
    assert_eq!(stores.conversations.submit(texts(ada, cy, &[("a", "2")])).await.unwrap().fresh, 1);
}

pub async fn a_named_conversation_must_be_that_of_the_two(stores: Stores) {
    let (ada, bob, thread) = stores.two_friends().await;
    let cy = stores.user("cy").await;
    let other = stores.befriend(bob, cy).await.thread_id;
    for wrong in [other, ThreadId(0), ThreadId(-1), ThreadId(i64::MAX)] {
        let named = NewTexts { thread: Some(wrong), ..texts(ada, bob, &[("", "x")]) };
        let refused = stores.conversations.submit(named).await;
        assert!(matches!(refused, Err(SubmitError::NotAMember)), "{wrong}: {refused:?}");
    }
    let named = NewTexts { thread: Some(thread), ..texts(ada, bob, &[("", "x")]) };
    assert_eq!(stores.conversations.submit(named).await.unwrap().thread, thread);
    assert_eq!((stores.all(thread).await.len(), stores.all(other).await.len()), (2, 1));
}

pub async fn a_refusal_takes_nobody_with_it(stores: Stores) {
    let (ada, bob, thread) = stores.two_friends().await;
    let cy = stores.user("cy").await;
    let submit = |request| stores.conversations.submit(request);
    let outcomes = join_all([
        submit(texts(ada, bob, &[("a", "1")])),
        submit(texts(ada, cy, &[("b", "2")])),
        submit(texts(bob, ada, &[("a", "3")])),
        submit(texts(ada, bob, &[("c", "4"), ("a", "5")])),
        submit(NewTexts { thread: Some(ThreadId(77)), ..texts(ada, bob, &[("d", "6")]) }),
        submit(texts(ada, bob, &[("c", "7")])),
    ]);
    let numbers: Vec<_> = outcomes.await.into_iter().map(|it| it.map(|stored| stored.texts[0].seq)).collect();
    assert!(
        matches!(
            numbers[..],
            [
                Ok(2),
                Err(SubmitError::NotFriends),
                Ok(3),
                Err(SubmitError::ClientIdReused),
                Err(SubmitError::NotAMember),
                Ok(4)
            ]
        ),
        "{numbers:?}"
    );
    assert_eq!(contents(&stores.all(thread).await)[1..], ["1", "3", "7"]);
}

pub async fn concurrent_retries_store_one_text(stores: Stores) {
    let (ada, bob, thread) = stores.two_friends().await;
    let mut submits = JoinSet::new();
    for _ in 0..32 {
        let conversations = stores.conversations.clone();
        submits.spawn(async move { conversations.submit(texts(ada, bob, &[("a", "1")])).await.unwrap() });
    }
    let outcomes = submits.join_all().await;
    assert_eq!(outcomes.iter().map(|stored| stored.fresh).sum::<usize>(), 1);
    assert!(outcomes.iter().all(|stored| stored.texts == outcomes[0].texts));
    assert_eq!(stores.all(thread).await.len(), 2);
}

pub async fn sixty_four_submitters_leave_no_gap_and_keep_their_order(stores: Stores) {
    const SUBMITTERS: usize = 64;
    const EACH: usize = 20;
    let (ada, bob, thread) = stores.two_friends().await;
    let mut submitters = JoinSet::new();
    for submitter in 0..SUBMITTERS {
        let conversations = stores.conversations.clone();
        let (sender, receiver) = if submitter % 2 == 0 { (ada, bob) } else { (bob, ada) };
        submitters.spawn(async move {
            let receipts = (0..EACH).map(|n| {
                let id = format!("{submitter}/{n}");
                conversations.submit(texts(sender, receiver, &[(&id, &id)]))
            });
            let stored = join_all(receipts).await.into_iter().map(|outcome| outcome.unwrap().texts[0].seq);
            assert!(stored.is_sorted_by(|one, next| one < next), "submitter {submitter}");
        });
    }
    submitters.join_all().await;
    let all = stores.all(thread).await;
    assert_eq!(seqs(&all), (1..=1 + (SUBMITTERS * EACH) as i64).collect::<Vec<_>>());
    assert!(all.is_sorted_by(|one, next| one.key < next.key));
}

pub async fn a_dropped_receipt_does_not_recall(stores: Stores) {
    let (ada, bob, thread) = stores.two_friends().await;
    drop(stores.conversations.submit(texts(ada, bob, &[("a", "1")])));
    stores.conversations.submit(texts(ada, bob, &[("b", "2")])).await.unwrap();
    assert_eq!(contents(&stores.all(thread).await)[1..], ["1", "2"]);
}

pub async fn history_pages_by_key(stores: Stores) {
    let (ada, bob, thread) = stores.two_friends().await;
    let cy = stores.user("cy").await;
    stores.befriend(ada, cy).await;
    for n in 0..5 {
        stores.conversations.submit(texts(ada, bob, &[("", &format!("text {n}"))])).await.unwrap();
        stores.conversations.submit(texts(ada, cy, &[("", "elsewhere")])).await.unwrap();
    }
    let mut after = MessageKey(0);
    let mut read = Vec::new();
    loop {
        let page = stores.conversations.history(thread, after, 4).await.unwrap();
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 4);
        after = last.key;
        read.extend(page);
    }
    assert_eq!(seqs(&read), [1, 2, 3, 4, 5, 6]);
    assert_eq!(read, stores.all(thread).await);
    assert!(stores.conversations.history(thread, MessageKey(0), 0).await.unwrap().is_empty());
    assert!(stores.conversations.history(ThreadId(999_999), MessageKey(0), 4).await.unwrap().is_empty());
}

pub async fn a_private_conversation_is_found_in_either_order(stores: Stores) {
    let (ada, bob, thread) = stores.two_friends().await;
    let cy = stores.user("cy").await;
    assert_eq!(stores.conversations.private_thread(ada, bob).await.unwrap(), Some(thread));
    assert_eq!(stores.conversations.private_thread(bob, ada).await.unwrap(), Some(thread));
    assert_eq!(stores.conversations.private_thread(ada, cy).await.unwrap(), None);
}

pub async fn conversations_page_by_id(stores: Stores) {
    let (ada, bob, first) = stores.two_friends().await;
    let mut expected = vec![PrivateThread { thread: first, friend: bob }];
    for name in ["cy", "di", "ed"] {
        let friend = stores.user(name).await;
        stores.befriend(bob, friend).await;
        // In both roles, since an index serves each.
        let approval =
            if name == "di" { stores.befriend(ada, friend).await } else { stores.befriend(friend, ada).await };
        expected.push(PrivateThread { thread: approval.thread_id, friend });
    }
    let page = async |after, limit| stores.conversations.threads(ada, after, limit).await.unwrap();
    assert_eq!(page(ThreadId(0), 3).await, expected[..3]);
    assert_eq!(page(expected[2].thread, 3).await, expected[3..]);
    assert_eq!(page(expected[3].thread, 3).await, []);
    assert_eq!(page(ThreadId(0), 0).await, []);
    assert_eq!(stores.conversations.threads(UserId(999_999), ThreadId(0), 3).await.unwrap(), []);
}

pub async fn a_conversation_has_two_participants(stores: Stores) {
    let (ada, bob, thread) = stores.two_friends().await;
    assert_eq!(stores.conversations.participants(thread).await.unwrap(), Some([ada, bob]));
    assert_eq!(stores.conversations.participants(ThreadId(999_999)).await.unwrap(), None);
}

pub async fn an_open_conversation_is_returned_to_both(stores: Stores) {
    let (ada, bob, thread) = stores.two_friends().await;
    assert_eq!(stores.conversations.open_private(ada, bob).await.unwrap(), thread);
    assert_eq!(stores.conversations.open_private(bob, ada).await.unwrap(), thread);
}

pub async fn strangers_open_nothing(stores: Stores) {
    let (ada, _, _) = stores.two_friends().await;
    let cy = stores.user("cy").await;
    for other in [cy, ada, UserId(999_999)] {
        let refused = stores.conversations.open_private(ada, other).await;
        assert!(matches!(refused, Err(OpenThreadError::NotFriends)), "{refused:?}");
    }
    assert_eq!(stores.conversations.private_thread(ada, cy).await.unwrap(), None);
    assert_eq!(stores.conversations.threads(cy, ThreadId(0), 3).await.unwrap(), []);
}

pub async fn random_requests_agree_with_a_naive_model(stores: Stores) {
    super::model::random_requests_agree(stores).await;
}
