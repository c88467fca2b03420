//! A connection reported or found broken is replaced by the next caller that meets its place.

use crate::fake::{Fake, Peer, shared_sized};

mod fake;

#[tokio::test]
async fn after_a_report() {
    let fake = Fake::new();
    let shared = fake.shared(shared_sized(1));
    let (first, second) = (shared.handle().await.unwrap(), shared.handle().await.unwrap());

    first.broken();

    assert_eq!(shared.snapshot().live, 0);
    assert_eq!(second.number, 1, "handles in use stay");
    assert_eq!(shared.handle().await.unwrap().number, 2);
    second.broken();
    assert_eq!(shared.handle().await.unwrap().number, 2, "the second report was about the old one");
}

#[tokio::test]
async fn when_the_manager_sees_it() {
    let fake = Fake::new();
    let shared = fake.shared(shared_sized(1));
    shared.handle().await.unwrap().break_it();
    assert_eq!(shared.handle().await.unwrap().number, 2);
    assert_eq!(fake.open(), 1);
}

#[tokio::test]
async fn calls_go_to_the_others_while_it_cannot_be_replaced() {
    let fake = Fake::new();
    let shared = fake.shared(shared_sized(2));
    let (first, second) = (shared.handle().await.unwrap(), shared.handle().await.unwrap());
    assert_eq!((first.number, second.number), (1, 2));
    fake.on_connect(Peer::Refuses);
    first.broken();

    for _ in 0..20 {
        assert_eq!(shared.handle().await.unwrap().number, 2, "no call fails");
    }
}
