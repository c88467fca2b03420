use tokio::task::JoinSet;
use uschat_proto::chat::UserId;
use uschat_server::store::{Applied, ApproveError, NOW_FRIENDS};

use super::{Stores, contents, seqs, texts};

macro_rules! contacts_suite {
    ($make:path) => {
        cases!(contacts, $make,
            an_application_waits_for_its_receiver
            nobody_can_be_applied_to
            a_second_application_replaces_introduction_and_remark
            applying_after_the_approval_changes_nothing
            pending_applications_are_served_first_and_returned_oldest_first
            approving_makes_both_friends_with_their_remarks
            approving_opens_a_conversation_with_introduction_and_greeting
            an_empty_introduction_is_not_said
            approving_twice_returns_the_first_outcome
            of_concurrent_approvals_one_is_the_first
            only_an_application_can_be_approved
            crossed_applications_share_one_conversation
            friends_ascend_by_uid
        );
    };
}

pub async fn an_application_waits_for_its_receiver(stores: Stores) {
    let (ada, bob) = (stores.user("ada").await, stores.user("bob").await);
    assert_eq!(stores.contacts.apply(ada, bob, "I am Ada", "Bobby").await.unwrap(), Applied::Pending);

    let waiting = stores.contacts.applications_to(bob, 10).await.unwrap();
    assert_eq!(waiting.len(), 1);
    assert_eq!((waiting[0].introduction.as_str(), waiting[0].approved), ("I am Ada", false));
    assert_eq!(waiting[0].applicant, stores.accounts.by_uid(ada).await.unwrap().unwrap().profile);
    assert!(stores.contacts.applications_to(ada, 10).await.unwrap().is_empty());
    assert!(!stores.contacts.are_friends(ada, bob).await.unwrap());
    assert!(!stores.contacts.are_friends(bob, ada).await.unwrap());
    assert_eq!(stores.conversations.private_thread(ada, bob).await.unwrap(), None);
}

pub async fn nobody_can_be_applied_to(stores: Stores) {
    let ada = stores.user("ada").await;
    assert_eq!(stores.contacts.apply(ada, UserId(7), "", "").await.unwrap(), Applied::UnknownUser);
    assert!(stores.contacts.applications_to(UserId(7), 10).await.unwrap().is_empty());
}

pub async fn a_second_application_replaces_introduction_and_remark(stores: Stores) {
    let (ada, bob) = (stores.user("ada").await, stores.user("bob").await);
    stores.contacts.apply(ada, bob, "hello", "first").await.unwrap();
    assert_eq!(stores.contacts.apply(ada, bob, "hello again", "second").await.unwrap(), Applied::Pending);

    let waiting = stores.contacts.applications_to(bob, 10).await.unwrap();
    assert_eq!(waiting.iter().map(|it| it.introduction.as_str()).collect::<Vec<_>>(), ["hello again"]);
    stores.contacts.approve(bob, ada, "").await.unwrap();
    assert_eq!(stores.contacts.friends(ada).await.unwrap()[0].remark, "second");
}

pub async fn applying_after_the_approval_changes_nothing(stores: Stores) {
    let (ada, bob) = (stores.user("ada").await, stores.user("bob").await);
    stores.contacts.apply(ada, bob, "hello", "first").await.unwrap();
    stores.contacts.approve(bob, ada, "").await.unwrap();
    assert_eq!(stores.contacts.apply(ada, bob, "hello again", "second").await.unwrap(), Applied::AlreadyApproved);

    let all = stores.contacts.applications_to(bob, 10).await.unwrap();
    assert_eq!((all.len(), all[0].introduction.as_str(), all[0].approved), (1, "hello", true));
    assert_eq!(stores.contacts.friends(ada).await.unwrap()[0].remark, "first");
}

pub async fn pending_applications_are_served_first_and_returned_oldest_first(stores: Stores) {
    let ada = stores.user("ada").await;
    let mut applicants = Vec::new();
    for n in 0..6 {
        let uid = stores.user(&format!("user{n}")).await;
        stores.contacts.apply(uid, ada, "", "").await.unwrap();
        applicants.push(uid);
    }
    for approved in [1, 4, 5] {
        stores.contacts.approve(ada, applicants[approved], "").await.unwrap();
    }
    for (limit, expected) in
        [(0, vec![]), (2, vec![2, 3]), (3, vec![0, 2, 3]), (5, vec![0, 2, 3, 4, 5]), (9, vec![0, 1, 2, 3, 4, 5])]
    {
        let found = stores.contacts.applications_to(ada, limit).await.unwrap();
        let found: Vec<_> = found.into_iter().map(|it| (it.applicant.uid, it.approved)).collect();
        let expected: Vec<_> = expected.into_iter().map(|n| (applicants[n], [1, 4, 5].contains(&n))).collect();
        assert_eq!(found, expected, "limit {limit}");
    }
}

pub async fn approving_makes_both_friends_with_their_remarks(stores: Stores) {
    let (ada, bob) = (stores.user("ada").await, stores.user("bob").await);
    stores.contacts.apply(ada, bob, "hello", "my Bob").await.unwrap();
    assert!(stores.contacts.approve(bob, ada, "my Ada").await.unwrap().first);

    let (of_ada, of_bob) = (stores.contacts.friends(ada).await.unwrap(), stores.contacts.friends(bob).await.unwrap());
    assert_eq!((of_ada.len(), of_ada[0].profile.name.as_str(), of_ada[0].remark.as_str()), (1, "bob", "my Bob"));
    assert_eq!((of_bob.len(), of_bob[0].profile.name.as_str(), of_bob[0].remark.as_str()), (1, "ada", "my Ada"));
    assert!(stores.contacts.are_friends(ada, bob).await.unwrap());
    assert!(stores.contacts.are_friends(bob, ada).await.unwrap());
}

pub async fn approving_opens_a_conversation_with_introduction_and_greeting(stores: Stores) {
    let (ada, bob) = (stores.user("ada").await, stores.user("bob").await);
    stores.contacts.apply(ada, bob, "I am Ada", "").await.unwrap();
    let approval = stores.contacts.approve(bob, ada, "").await.unwrap();

    assert_eq!(contents(&approval.texts), ["I am Ada", NOW_FRIENDS]);
    assert_eq!(seqs(&approval.texts), [1, 2]);
    assert_eq!(approval.texts.iter().map(|text| text.sender).collect::<Vec<_>>(), [ada, bob]);
    assert!(approval.texts.iter().all(|text| text.thread == approval.thread_id && text.client_id.is_none()));
    assert!(approval.texts[0].key < approval.texts[1].key);
    assert_eq!(stores.all(approval.thread_id).await, approval.texts);
    assert_eq!(stores.conversations.private_thread(ada, bob).await.unwrap(), Some(approval.thread_id));
}

pub async fn an_empty_introduction_is_not_said(stores: Stores) {
    let (ada, bob) = (stores.user("ada").await, stores.user("bob").await);
    let approval = stores.befriend(ada, bob).await;
    assert_eq!((contents(&approval.texts), seqs(&approval.texts)), (vec![NOW_FRIENDS], vec![1]));
}

pub async fn approving_twice_returns_the_first_outcome(stores: Stores) {
    let (ada, bob) = (stores.user("ada").await, stores.user("bob").await);
    stores.contacts.apply(ada, bob, "I am Ada", "my Bob").await.unwrap();
    let first = stores.contacts.approve(bob, ada, "my Ada").await.unwrap();
    stores.conversations.submit(texts(ada, bob, &[("", "later")])).await.unwrap();

    let again = stores.contacts.approve(bob, ada, "another remark").await.unwrap();
    assert_eq!((again.thread_id, &again.texts, again.first), (first.thread_id, &first.texts, false));
    assert_eq!(stores.contacts.friends(bob).await.unwrap()[0].remark, "my Ada");
    assert_eq!(stores.all(first.thread_id).await.len(), 3);
}

pub async fn of_concurrent_approvals_one_is_the_first(stores: Stores) {
    let (ada, bob) = (stores.user("ada").await, stores.user("bob").await);
    stores.contacts.apply(ada, bob, "I am Ada", "").await.unwrap();
    let mut approvals = JoinSet::new();
    for _ in 0..8 {
        let contacts = stores.contacts.clone();
        approvals.spawn(async move { contacts.approve(bob, ada, "").await.unwrap() });
    }
    let approvals = approvals.join_all().await;
    assert_eq!(approvals.iter().filter(|approval| approval.first).count(), 1);
    assert!(approvals.iter().all(|approval| approval.texts == approvals[0].texts));
    assert_eq!(stores.all(approvals[0].thread_id).await.len(), 2);
}

pub async fn only_an_application_can_be_approved(stores: Stores) {
    let (ada, bob) = (stores.user("ada").await, stores.user("bob").await);
    stores.contacts.apply(ada, bob, "I am Ada", "").await.unwrap();
    for (approver, applicant) in [(ada, bob), (bob, UserId(7)), (UserId(7), ada)] {
        let refused = stores.contacts.approve(approver, applicant, "").await;
        assert!(matches!(refused, Err(ApproveError::NoApplication)), "{refused:?}");
    }
    assert!(!stores.contacts.are_friends(ada, bob).await.unwrap());
    assert_eq!(stores.conversations.private_thread(ada, bob).await.unwrap(), None);
}

pub async fn crossed_applications_share_one_conversation(stores: Stores) {
    let (ada, bob) = (stores.user("ada").await, stores.user("bob").await);
    stores.contacts.apply(ada, bob, "I am Ada", "Bob as applied").await.unwrap();
    stores.contacts.apply(bob, ada, "I am Bob", "Ada as applied").await.unwrap();
    let one = stores.contacts.approve(bob, ada, "Ada as approved").await.unwrap();
    let other = stores.contacts.approve(ada, bob, "Bob as approved").await.unwrap();

    assert_eq!(one.thread_id, other.thread_id);
    assert!(one.first && other.first);
    assert_eq!((seqs(&one.texts), seqs(&other.texts)), (vec![1, 2], vec![3, 4]));
    assert_eq!(contents(&other.texts), ["I am Bob", NOW_FRIENDS]);
    // What somebody says when approving counts; a friendship that exists keeps the applicant's remark.
    assert_eq!(stores.contacts.friends(ada).await.unwrap()[0].remark, "Bob as approved");
    assert_eq!(stores.contacts.friends(bob).await.unwrap()[0].remark, "Ada as approved");
}

pub async fn friends_ascend_by_uid(stores: Stores) {
    let (ada, bob) = (stores.user("ada").await, stores.user("bob").await);
    let (cy, dan) = (stores.user("cy").await, stores.user("dan").await);
    for other in [dan, ada, cy] {
        stores.befriend(other, bob).await;
    }
    stores.befriend(ada, cy).await;
    let uids =
        |friends: Vec<uschat_server::store::Contact>| friends.into_iter().map(|it| it.profile.uid).collect::<Vec<_>>();
    assert_eq!(uids(stores.contacts.friends(bob).await.unwrap()), [ada, cy, dan]);
    assert_eq!(uids(stores.contacts.friends(dan).await.unwrap()), [bob]);
    assert!(!stores.contacts.are_friends(ada, dan).await.unwrap());
}
