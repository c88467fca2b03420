use std::{any::Any, future::Future, pin::Pin, sync::Arc, time::Duration};

use tokio::task::JoinSet;
use uschat_proto::chat::{Profile, UserId};
use uschat_server::store::{
    State,
    state::{CodeVerdict, Holder, ServerRecord, Taken},
};

/// An empty state and a way to let time pass for it.
pub struct Subject {
    pub state: Arc<dyn State>,
    pub elapse: fn(Duration) -> Pin<Box<dyn Future<Output = ()> + Send>>,
    /// What must live as long as the state, such as its server.
    pub keep: Box<dyn Any + Send + Sync>,
}

/// `$test` holds the arguments of `#[tokio::test]`: an adapter that takes its time from tokio pauses it.
macro_rules! state_suite {
    ($make:path, ($($test:tt)*)) => {
        state_suite!(@ $make, ($($test)*),
            a_waiting_code_is_returned_instead_of_a_new_one
            a_waiting_code_is_not_renewed
            checking_does_not_spend
            the_last_wrong_try_removes_the_code
            wrong_tries_of_one_code_do_not_count_for_the_next
            a_code_is_spent_once_and_tells_what_it_had_left
            of_racing_spenders_one_wins
            a_counter_stops_at_its_limit
            a_window_begins_with_its_first_count
            racing_counts_stay_within_the_limit
            a_token_is_replaced_expires_and_can_be_revoked
            a_lease_is_granted_when_nobody_holds_it
            a_holder_renews_its_lease
            a_higher_fence_takes_a_lease_and_learns_from_whom
            a_lower_fence_is_refused_and_learns_by_whom
            an_expired_lease_is_free_for_any_fence
            only_the_holder_gives_a_lease_up
            of_racing_logins_the_highest_fence_holds
            a_cached_profile_is_returned_until_forgotten
            a_cached_profile_is_found_by_its_exact_name
            servers_are_listed_by_name_while_alive
            an_announcement_replaces_the_one_before
            only_the_same_start_of_a_server_retires_it
        );
    };
    (@ $make:path, $test:tt, $($case:ident)*) => {
        $( state_suite!(# $make, $test, $case); )*
    };
    (# $make:path, ($($test:tt)*), $case:ident) => {
        #[tokio::test($($test)*)]
        async fn $case() {
            let mut subject = $make().await;
            let _keep = std::mem::replace(&mut subject.keep, Box::new(()));
            crate::conformance::state::$case(subject).await;
        }
    };
}

const TTL: Duration = Duration::from_secs(2);
const HALF: Duration = Duration::from_secs(1);
const ADA: UserId = UserId(1001);
const BOB: UserId = UserId(1002);

pub async fn a_waiting_code_is_returned_instead_of_a_new_one(subject: Subject) {
    let state = subject.state;
    assert_eq!(state.code_or_insert("a@b.c", "1111", TTL).await.unwrap(), "1111");
    assert_eq!(state.code_or_insert("a@b.c", "2222", TTL).await.unwrap(), "1111");
    assert_eq!(state.code_or_insert("other@b.c", "2222", TTL).await.unwrap(), "2222");
}

pub async fn a_waiting_code_is_not_renewed(subject: Subject) {
    let state = subject.state;
    state.code_or_insert("a@b.c", "1111", TTL).await.unwrap();
    (subject.elapse)(HALF).await;
    state.code_or_insert("a@b.c", "2222", TTL * 10).await.unwrap();
    (subject.elapse)(HALF).await;
    assert_eq!(state.check_code("a@b.c", "1111", 3).await.unwrap(), CodeVerdict::Missing);
    assert_eq!(state.spend_code("a@b.c", "1111").await.unwrap(), None);
    assert_eq!(state.code_or_insert("a@b.c", "2222", TTL).await.unwrap(), "2222");
}

pub async fn checking_does_not_spend(subject: Subject) {
    let state = subject.state;
    assert_eq!(state.check_code("a@b.c", "1111", 3).await.unwrap(), CodeVerdict::Missing);
    state.code_or_insert("a@b.c", "1111", TTL).await.unwrap();
    for _ in 0..5 {
        assert_eq!(state.check_code("a@b.c", "1111", 3).await.unwrap(), CodeVerdict::Right);
    }
}

pub async fn the_last_wrong_try_removes_the_code(subject: Subject) {
    let state = subject.state;
    state.code_or_insert("a@b.c", "1111", TTL).await.unwrap();
    for _ in 0..2 {
        assert_eq!(state.check_code("a@b.c", "0000", 3).await.unwrap(), CodeVerdict::Wrong);
    }
    assert_eq!(state.check_code("a@b.c", "1111", 3).await.unwrap(), CodeVerdict::Right);
    assert_eq!(state.check_code("a@b.c", "0000", 3).await.unwrap(), CodeVerdict::Wrong);
    assert_eq!(state.check_code("a@b.c", "1111", 3).await.unwrap(), CodeVerdict::Missing);
}

pub async fn wrong_tries_of_one_code_do_not_count_for_the_next(subject: Subject) {
    let state = subject.state;
    for code in ["1111", "2222"] {
        state.code_or_insert("a@b.c", code, TTL).await.unwrap();
        for _ in 0..2 {
            assert_eq!(state.check_code("a@b.c", "0000", 3).await.unwrap(), CodeVerdict::Wrong);
        }
        assert!(state.spend_code("a@b.c", code).await.unwrap().is_some());
    }
}

pub async fn a_code_is_spent_once_and_tells_what_it_had_left(subject: Subject) {
    let state = subject.state;
    state.code_or_insert("a@b.c", "1111", TTL).await.unwrap();
    assert_eq!(state.spend_code("a@b.c", "0000").await.unwrap(), None);
    (subject.elapse)(HALF).await;
    let left = state.spend_code("a@b.c", "1111").await.unwrap().unwrap();
    assert!(left > Duration::ZERO && left <= HALF, "{left:?}");
    assert_eq!(state.spend_code("a@b.c", "1111").await.unwrap(), None);
}

pub async fn of_racing_spenders_one_wins(subject: Subject) {
    subject.state.code_or_insert("a@b.c", "1111", TTL).await.unwrap();
    let mut spenders = JoinSet::new();
    for _ in 0..16 {
        let state = subject.state.clone();
        spenders.spawn(async move { state.spend_code("a@b.c", "1111").await.unwrap() });
    }
    assert_eq!(spenders.join_all().await.into_iter().flatten().count(), 1);
}

pub async fn a_counter_stops_at_its_limit(subject: Subject) {
    let state = subject.state;
    assert_eq!(state.counted("mails").await.unwrap(), 0);
    for n in 1..=5 {
        assert!(state.count("mails", 5, TTL).await.unwrap());
        assert_eq!(state.counted("mails").await.unwrap(), n);
    }
    assert!(!state.count("mails", 5, TTL).await.unwrap());
    assert_eq!(state.counted("mails").await.unwrap(), 5);
    assert_eq!(state.counted("other").await.unwrap(), 0);
    assert!(!state.count("none", 0, TTL).await.unwrap());
}

pub async fn a_window_begins_with_its_first_count(subject: Subject) {
    let state = subject.state;
    assert!(state.count("mails", 2, TTL).await.unwrap());
    (subject.elapse)(HALF).await;
    assert!(state.count("mails", 2, TTL).await.unwrap());
    assert!(!state.count("mails", 2, TTL).await.unwrap());
    (subject.elapse)(HALF).await;
    assert_eq!(state.counted("mails").await.unwrap(), 0);
    assert!(state.count("mails", 2, TTL).await.unwrap());
    assert_eq!(state.counted("mails").await.unwrap(), 1);
}

pub async fn racing_counts_stay_within_the_limit(subject: Subject) {
    let mut counts = JoinSet::new();
    for _ in 0..32 {
        let state = subject.state.clone();
        counts.spawn(async move { state.count("mails", 5, TTL).await.unwrap() });
    }
    assert_eq!(counts.join_all().await.into_iter().filter(|counted| *counted).count(), 5);
    assert_eq!(subject.state.counted("mails").await.unwrap(), 5);
}

pub async fn a_token_is_replaced_expires_and_can_be_revoked(subject: Subject) {
    let state = subject.state;
    let token = |uid| state.token(uid);
    assert_eq!(token(ADA).await.unwrap(), None);
    state.put_token(ADA, "first", TTL).await.unwrap();
    state.put_token(BOB, "of bob", TTL * 2).await.unwrap();
    (subject.elapse)(HALF).await;
    state.put_token(ADA, "second", TTL).await.unwrap();
    (subject.elapse)(HALF).await;
    assert_eq!(token(ADA).await.unwrap().as_deref(), Some("second"));
    (subject.elapse)(HALF).await;
    assert_eq!(token(ADA).await.unwrap(), None);
    assert_eq!(token(BOB).await.unwrap().as_deref(), Some("of bob"));
    state.revoke_token(BOB).await.unwrap();
    assert_eq!(token(BOB).await.unwrap(), None);
    state.revoke_token(BOB).await.unwrap();
}

fn holder(server: &str, fence: i64) -> Holder {
    Holder { server: server.into(), session: fence.unsigned_abs() * 100, fence }
}

pub async fn a_lease_is_granted_when_nobody_holds_it(subject: Subject) {
    let state = subject.state;
    assert_eq!(state.presence(ADA).await.unwrap(), None);
    let taken = state.take_presence(ADA, &holder("one", 3), TTL).await.unwrap();
    assert_eq!(taken, Taken::Granted { previous: None });
    assert_eq!(state.presence(ADA).await.unwrap(), Some(holder("one", 3)));
    assert_eq!(state.presence(BOB).await.unwrap(), None);
}

pub async fn a_holder_renews_its_lease(subject: Subject) {
    let state = subject.state;
    for _ in 0..4 {
        let taken = state.take_presence(ADA, &holder("one", 3), TTL).await.unwrap();
        assert_eq!(taken, Taken::Granted { previous: None });
        (subject.elapse)(HALF).await;
    }
    assert_eq!(state.presence(ADA).await.unwrap(), Some(holder("one", 3)));
}

pub async fn a_higher_fence_takes_a_lease_and_learns_from_whom(subject: Subject) {
    let state = subject.state;
    state.take_presence(ADA, &holder("one", 3), TTL).await.unwrap();
    let taken = state.take_presence(ADA, &holder("two", 4), TTL).await.unwrap();
    assert_eq!(taken, Taken::Granted { previous: Some(holder("one", 3)) });
    assert_eq!(state.presence(ADA).await.unwrap(), Some(holder("two", 4)));
}

pub async fn a_lower_fence_is_refused_and_learns_by_whom(subject: Subject) {
    let state = subject.state;
    state.take_presence(ADA, &holder("two", 10), TTL).await.unwrap();
    // 9 against 10: fences are numbers, not text.
    let taken = state.take_presence(ADA, &holder("one", 9), TTL).await.unwrap();
    assert_eq!(taken, Taken::Refused(holder("two", 10)));
    assert_eq!(state.presence(ADA).await.unwrap(), Some(holder("two", 10)));
}

pub async fn an_expired_lease_is_free_for_any_fence(subject: Subject) {
    let state = subject.state;
    state.take_presence(ADA, &holder("two", 4), TTL).await.unwrap();
    (subject.elapse)(TTL).await;
    assert_eq!(state.presence(ADA).await.unwrap(), None);
    assert!(!state.release_presence(ADA, 4).await.unwrap());
    let taken = state.take_presence(ADA, &holder("one", 3), TTL).await.unwrap();
    assert_eq!(taken, Taken::Granted { previous: None });
}

pub async fn only_the_holder_gives_a_lease_up(subject: Subject) {
    let state = subject.state;
    assert!(!state.release_presence(ADA, 4).await.unwrap());
    state.take_presence(ADA, &holder("two", 4), TTL).await.unwrap();
    for fence in [3, 5] {
        assert!(!state.release_presence(ADA, fence).await.unwrap());
    }
    assert_eq!(state.presence(ADA).await.unwrap(), Some(holder("two", 4)));
    assert!(state.release_presence(ADA, 4).await.unwrap());
    assert_eq!(state.presence(ADA).await.unwrap(), None);
}

pub async fn of_racing_logins_the_highest_fence_holds(subject: Subject) {
    let mut logins = JoinSet::new();
    for fence in 1..=16 {
        let state = subject.state.clone();
        logins.spawn(async move { state.take_presence(ADA, &holder("any", fence), TTL).await.unwrap() });
    }
    logins.join_all().await;
    assert_eq!(subject.state.presence(ADA).await.unwrap(), Some(holder("any", 16)));
}

pub async fn a_cached_profile_is_returned_until_forgotten(subject: Subject) {
    let state = subject.state;
    let profile = Profile {
        uid: ADA,
        name: "ada".into(),
        nick: "Ada 😀".into(),
        desc: "a \"line\"".into(),
        sex: 1,
        icon: "x".into(),
    };
    assert_eq!(state.cached_profile(ADA).await.unwrap(), None);
    state.cache_profile(&profile).await.unwrap();
    assert_eq!(state.cached_profile(ADA).await.unwrap(), Some(profile.clone()));
    let changed = Profile { nick: "Lady Ada".into(), ..profile };
    state.cache_profile(&changed).await.unwrap();
    assert_eq!(state.cached_profile(ADA).await.unwrap(), Some(changed));
    state.forget_profile(ADA).await.unwrap();
    assert_eq!(state.cached_profile(ADA).await.unwrap(), None);
    state.forget_profile(ADA).await.unwrap();
}

pub async fn a_cached_profile_is_found_by_its_exact_name(subject: Subject) {
    let state = subject.state;
    let profile = |uid, name: &str| Profile { uid, name: name.into(), nick: format!("{name}!"), ..Profile::default() };
    let named = |name| state.cached_profile_named(name);
    assert_eq!(named("ada").await.unwrap(), None);
    state.cache_profile(&profile(ADA, "ada")).await.unwrap();
    state.cache_profile(&profile(BOB, "1001")).await.unwrap();
    assert_eq!(named("ada").await.unwrap(), Some(profile(ADA, "ada")));
    assert_eq!(named("1001").await.unwrap(), Some(profile(BOB, "1001")));
    assert_eq!(named("Ada").await.unwrap(), None);
    state.forget_profile(ADA).await.unwrap();
    assert_eq!(named("ada").await.unwrap(), None);
    assert_eq!(named("1001").await.unwrap(), Some(profile(BOB, "1001")));
}

fn server(name: &str, boot_id: u64) -> ServerRecord {
    ServerRecord {
        name: name.into(),
        boot_id,
        client_host: "127.0.0.1".into(),
        client_port: 8090,
        peer_address: "127.0.0.1:50055".into(),
        sessions: 7,
        draining: false,
    }
}

pub async fn servers_are_listed_by_name_while_alive(subject: Subject) {
    let state = subject.state;
    assert!(state.servers().await.unwrap().is_empty());
    state.announce_server(&server("two", u64::MAX), TTL).await.unwrap();
    (subject.elapse)(HALF).await;
    state.announce_server(&server("one", 1), TTL).await.unwrap();
    assert_eq!(state.servers().await.unwrap(), [server("one", 1), server("two", u64::MAX)]);
    (subject.elapse)(HALF).await;
    assert_eq!(state.servers().await.unwrap(), [server("one", 1)]);
    (subject.elapse)(HALF).await;
    assert!(state.servers().await.unwrap().is_empty());
}

pub async fn an_announcement_replaces_the_one_before(subject: Subject) {
    let state = subject.state;
    state.announce_server(&server("one", 1), TTL).await.unwrap();
    let now = ServerRecord { sessions: 8, draining: true, ..server("one", 2) };
    (subject.elapse)(HALF).await;
    state.announce_server(&now, TTL).await.unwrap();
    (subject.elapse)(HALF).await;
    assert_eq!(state.servers().await.unwrap(), [now]);
}

pub async fn only_the_same_start_of_a_server_retires_it(subject: Subject) {
    let state = subject.state;
    state.announce_server(&server("one", 2), TTL).await.unwrap();
    state.retire_server("one", 1).await.unwrap();
    state.retire_server("two", 2).await.unwrap();
    assert_eq!(state.servers().await.unwrap(), [server("one", 2)]);
    state.retire_server("one", 2).await.unwrap();
    assert!(state.servers().await.unwrap().is_empty());
}
