//! A lent connection belongs to one user, and there are never more than configured.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use std::collections::HashSet;

use crate::fake::{Fake, sized};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_connection_has_two_users() {
    let fake = Fake::new();
    let pool = fake.pool(sized(4));
    let lent: Arc<Mutex<HashSet<usize>>> = Arc::default();
    let done = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..32)
        .map(|task| {
            let (pool, lent, done) = (pool.clone(), Arc::clone(&lent), Arc::clone(&done));
            tokio::spawn(async move {
                for round in 0..100 {
                    let lease = pool.get().await.unwrap();
                    assert!(lent.lock().unwrap().insert(lease.number), "lent twice");
                    tokio::task::yield_now().await;
                    assert!(lent.lock().unwrap().remove(&lease.number));
                    if (task + round) % 50 == 0 {
                        lease.discard();
                    }
                    done.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(done.load(Ordering::Relaxed), 3_200);
    let snapshot = pool.snapshot();
    assert!(snapshot.size <= 4 && snapshot.idle == snapshot.size, "{snapshot:?}");
    assert_eq!((snapshot.in_use, snapshot.waiting), (0, 0));
    assert_eq!(fake.open(), snapshot.size);
}

#[tokio::test]
async fn a_snapshot_counts_what_is_there() {
    let pool = Fake::new().pool(sized(3));
    let (a, _b) = (pool.get().await.unwrap(), pool.get().await.unwrap());
    drop(a);
    let snapshot = pool.snapshot();
    assert_eq!(&*snapshot.name, "fake");
    assert_eq!((snapshot.size, snapshot.idle, snapshot.in_use, snapshot.waiting), (2, 1, 1, 0));
}
