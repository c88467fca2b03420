//! A connection from which nothing comes back is verified, and replaced if it does not pass; its handles stay usable.

use std::{fmt, time::Duration};

use tokio::time::{Instant, sleep};
use uschat_pool::{CallFailure, Repeat, Retry, SharedConfig};

use crate::fake::{Fake, Peer, grow, settle, shared_sized};

/// One and a half times the default `stall_after`, and one `recycle`.
const AT_THE_LATEST: Duration = Duration::from_millis(8_501);

#[tokio::test(start_paused = true)]
async fn without_a_call_and_without_its_handles() {
    for peer in [Peer::Silent, Peer::Refuses] {
        let fake = Fake::new();
        let shared = fake.shared(shared_sized(4));
        grow(&shared, 2).await;
        let stuck = shared.handle().await.unwrap();
        assert_eq!(stuck.number, 1);
        fake.on_verify(peer);

        sleep(Duration::from_millis(4_900)).await;
        assert_eq!((fake.verifies(), fake.connects()), (0, 2));
        sleep(AT_THE_LATEST - Duration::from_millis(4_900)).await;

        assert_eq!((shared.snapshot().live, fake.connects(), fake.verifies()), (2, 3, 1));
        let other = shared.handle().await.unwrap();
        assert_eq!(other.number, 2);
        assert_eq!(shared.handle().await.unwrap().number, 3, "the new one has none of the old one's load");
        assert_eq!((stuck.number, shared.snapshot().in_flight), (1, 2));
        drop((stuck, other));
        assert_eq!((shared.snapshot().in_flight, fake.open()), (0, 2));
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_passes_stays_however_long_its_handle_is_out() {
    let fake = Fake::new();
    let shared = fake.shared(shared_sized(1));
    let stream = shared.handle().await.unwrap();
    sleep(Duration::from_secs(60)).await;
    assert!((8..=12).contains(&fake.verifies()), "{}", fake.verifies());
    assert_eq!((fake.connects(), stream.number), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn one_whose_handles_come_back_is_not_verified() {
    let fake = Fake::new();
    let shared = fake.shared(shared_sized(1));
    let _stream = shared.handle().await.unwrap();
    for _ in 0..100 {
        let call = shared.handle().await.unwrap();
        sleep(Duration::from_secs(1)).await;
        drop(call);
    }
    assert_eq!(fake.verifies(), 0);
}

#[tokio::test(start_paused = true)]
async fn one_that_nobody_uses_is_not_verified() {
    let fake = Fake::new();
    let shared = fake.shared(shared_sized(4));
    grow(&shared, 4).await;
    for _ in 0..10 {
        sleep(Duration::from_secs(60)).await;
        drop(shared.handle().await.unwrap());
    }
    assert_eq!(fake.verifies(), 0);
}

#[tokio::test(start_paused = true)]
async fn never_if_so_configured() {
    let fake = Fake::new();
    let shared = fake.shared(SharedConfig { stall_after: Duration::ZERO, ..shared_sized(1) });
    let _stuck = shared.handle().await.unwrap();
    sleep(Duration::from_secs(600)).await;
    assert_eq!(fake.verifies(), 0);
}

#[derive(Debug)]
struct Unused;

impl fmt::Display for Unused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("never made")
    }
}

impl std::error::Error for Unused {}

impl CallFailure for Unused {
    fn repeat(&self) -> Repeat {
        Repeat::Never
    }

    fn is_connection_lost(&self) -> bool {
        false
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_cut_off_is_no_sign_of_life() {
    let fake = Fake::new();
    let shared = fake.shared(shared_sized(1));
    grow(&shared, 1).await;
    fake.on_verify(Peer::Silent);
    let retry = Retry::within(Duration::from_secs(1));
    let start = Instant::now();
    while fake.connects() == 1 && start.elapsed() < Duration::from_secs(60) {
        let silent = shared.call(retry, |_| std::future::pending::<Result<(), Unused>>());
        let _ = silent.await.unwrap_err();
        settle().await;
    }
    // The callers' deadlines, between which no handle is out, cost one look.
    assert!(start.elapsed() <= AT_THE_LATEST + Duration::from_secs(2), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_answered_is_one() {
    let fake = Fake::new();
    let shared = fake.shared(shared_sized(1));
    let _stream = shared.handle().await.unwrap();
    let retry = Retry::within(Duration::from_secs(10));
    for _ in 0..60 {
        let slow = shared.call(retry, |_| async {
            sleep(Duration::from_secs(1)).await;
            Ok::<(), Unused>(())
        });
        slow.await.unwrap();
    }
    assert_eq!(fake.verifies(), 0);
}
