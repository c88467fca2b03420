use std::collections::HashSet;

use tokio::task::JoinSet;
use uschat_proto::chat::{Profile, UserId};
use uschat_server::store::{Account, CreateAccountError, NewAccount, PasswordHash};

use super::{Stores, account};

macro_rules! accounts_suite {
    ($make:path) => {
        cases!(accounts, $make,
            uids_start_at_1001_and_rise
            a_new_account_is_found_by_email_uid_and_name
            an_unknown_account_is_none
            a_taken_email_is_reported_before_a_taken_name
            a_taken_name_is_refused_and_takes_no_email
            emails_and_names_are_compared_exactly
            any_text_is_kept_as_given
            concurrent_creates_of_one_name_make_one_account
            concurrent_creates_get_distinct_uids
            a_new_password_replaces_the_old_one
            nobody_gets_no_password
            a_password_is_replaced_only_if_it_is_the_expected_one
            of_concurrent_replacements_one_counts
            fences_rise_for_each_user_alone
            concurrent_fences_are_distinct
        );
    };
}

pub async fn uids_start_at_1001_and_rise(stores: Stores) {
    let uids = [stores.user("ada").await, stores.user("bob").await, stores.user("cy").await];
    assert_eq!(uids[0], UserId(1001));
    assert!(uids[0] < uids[1] && uids[1] < uids[2]);
}

pub async fn a_new_account_is_found_by_email_uid_and_name(stores: Stores) {
    let uid = stores.user("ada").await;
    stores.user("bob").await;

    let profile =
        Profile { uid, name: "ada".into(), nick: "ada".into(), icon: ":/res/ada.jpg".into(), ..Profile::default() };
    let password = PasswordHash::new("hash of ada");
    let expected = Some(Account { profile, email: "ada@example.org".into(), password });
    assert_eq!(stores.accounts.by_email("ada@example.org").await.unwrap(), expected);
    assert_eq!(stores.accounts.by_uid(uid).await.unwrap(), expected);
    assert_eq!(stores.accounts.by_name("ada").await.unwrap(), expected);
}

pub async fn an_unknown_account_is_none(stores: Stores) {
    stores.user("ada").await;
    assert_eq!(stores.accounts.by_email("ada").await.unwrap(), None);
    assert_eq!(stores.accounts.by_name("ada@example.org").await.unwrap(), None);
    for uid in [0, -1, 1000, 1002, i32::MIN, i32::MAX] {
        assert_eq!(stores.accounts.by_uid(UserId(uid)).await.unwrap(), None, "{uid}");
    }
}

pub async fn a_taken_email_is_reported_before_a_taken_name(stores: Stores) {
    stores.user("ada").await;
    assert!(matches!(stores.accounts.create(account("ada")).await, Err(CreateAccountError::EmailTaken)));
}

pub async fn a_taken_name_is_refused_and_takes_no_email(stores: Stores) {
    stores.user("ada").await;
    let other = NewAccount { email: "other@example.org".into(), ..account("ada") };
    assert!(matches!(stores.accounts.create(other).await, Err(CreateAccountError::NameTaken)));
    let free = NewAccount { email: "other@example.org".into(), ..account("bob") };
    stores.accounts.create(free).await.unwrap();
}

pub async fn emails_and_names_are_compared_exactly(stores: Stores) {
    let uid = stores.user("ada").await;
    for other in ["Ada", "ada ", "ádá"] {
        assert_eq!(stores.accounts.by_name(other).await.unwrap(), None, "{other}");
        assert_ne!(stores.user(other).await, uid, "{other}");
    }
    assert_eq!(stores.accounts.by_name("ada").await.unwrap().map(|account| account.profile.uid), Some(uid));
}

pub async fn any_text_is_kept_as_given(stores: Stores) {
    let odd = "O'Brien \"\\ %_; -- 名前 😀";
    let uid = stores.accounts.create(NewAccount { icon: odd.into(), ..account(odd) }).await.unwrap();
    let found = stores.accounts.by_name(odd).await.unwrap().unwrap();
    assert_eq!((found.profile.uid, found.profile.icon.as_str()), (uid, odd));
}

pub async fn concurrent_creates_of_one_name_make_one_account(stores: Stores) {
    let mut creates = JoinSet::new();
    for n in 0..16 {
        let accounts = stores.accounts.clone();
        let new = NewAccount { email: format!("{n}@example.org"), ..account("ada") };
        creates.spawn(async move { accounts.create(new).await });
    }
    let outcomes = creates.join_all().await;
    let made = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    let taken = outcomes.iter().filter(|outcome| matches!(outcome, Err(CreateAccountError::NameTaken))).count();
    assert_eq!((made, taken), (1, 15), "{outcomes:?}");
}

pub async fn concurrent_creates_get_distinct_uids(stores: Stores) {
    let mut creates = JoinSet::new();
    for n in 0..16 {
        let accounts = stores.accounts.clone();
        creates.spawn(async move { accounts.create(account(&format!("user{n}"))).await.unwrap() });
    }
    let uids: HashSet<_> = creates.join_all().await.into_iter().collect();
    assert_eq!(uids.len(), 16);
}

pub async fn a_new_password_replaces_the_old_one(stores: Stores) {
    let uid = stores.user("ada").await;
    let other = stores.user("bob").await;
    assert!(stores.accounts.set_password(uid, PasswordHash::new("another hash")).await.unwrap());

    let password = |account: Option<Account>| account.unwrap().password.expose().to_owned();
    assert_eq!(password(stores.accounts.by_uid(uid).await.unwrap()), "another hash");
    assert_eq!(password(stores.accounts.by_uid(other).await.unwrap()), "hash of bob");
}

pub async fn nobody_gets_no_password(stores: Stores) {
    assert!(!stores.accounts.set_password(UserId(1001), PasswordHash::new("hash")).await.unwrap());
}

pub async fn a_password_is_replaced_only_if_it_is_the_expected_one(stores: Stores) {
    let uid = stores.user("ada").await;
    let replace = async |uid, old: &str, new: &str| {
        stores.accounts.replace_password(uid, &PasswordHash::new(old), PasswordHash::new(new)).await.unwrap()
    };
    assert!(!replace(uid, "hash of bob", "new").await);
    assert!(!replace(uid, "HASH OF ADA", "new").await, "compared as bytes");
    assert!(replace(uid, "hash of ada", "new").await);
    assert!(!replace(uid, "hash of ada", "newer").await);
    assert_eq!(stores.accounts.by_uid(uid).await.unwrap().unwrap().password, PasswordHash::new("new"));
    assert!(!replace(UserId(uid.0 + 1), "", "new").await);
}

pub async fn of_concurrent_replacements_one_counts(stores: Stores) {
    let uid = stores.user("ada").await;
    let mut replacements = JoinSet::new();
    for n in 0..16 {
        let accounts = stores.accounts.clone();
        replacements.spawn(async move {
            let new = PasswordHash::new(format!("hash {n}"));
            accounts.replace_password(uid, &PasswordHash::new("hash of ada"), new).await.unwrap()
        });
    }
    let counted = replacements.join_all().await.into_iter().filter(|&replaced| replaced).count();
    assert_eq!(counted, 1);
}

pub async fn fences_rise_for_each_user_alone(stores: Stores) {
    let (ada, bob) = (stores.user("ada").await, stores.user("bob").await);
    let mut last = 0;
    for _ in 0..5 {
        let fence = stores.accounts.next_fence(ada).await.unwrap();
        assert!(fence > last);
        last = fence;
    }
    assert!(stores.accounts.next_fence(bob).await.unwrap() > 0);
    assert!(stores.accounts.next_fence(ada).await.unwrap() > last);
}

pub async fn concurrent_fences_are_distinct(stores: Stores) {
    let uid = stores.user("ada").await;
    let mut takes = JoinSet::new();
    for _ in 0..16 {
        let accounts = stores.accounts.clone();
        takes.spawn(async move { accounts.next_fence(uid).await.unwrap() });
    }
    let fences: HashSet<_> = takes.join_all().await.into_iter().collect();
    assert_eq!(fences.len(), 16);
}
