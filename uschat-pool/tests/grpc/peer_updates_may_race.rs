//! Updates and callers at the same time: no caller is turned away from a member, and no connections outlive their membership.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::task::{JoinSet, yield_now};
use uschat_pool::{PeerError, PeerPools, PeersConfig, PoolError, Shared};

use crate::peers::{Peer, peers};

const UPDATES: usize = 1_000;

/// Three who rewrite the list, each with addresses of its own. "always" is on every list, "sometimes" on every other.
fn updaters(peers: &PeerPools<Peer>) -> JoinSet<()> {
    (0..3)
        .map(|updater| {
            let peers = peers.clone();
            async move {
                for update in 0..UPDATES {
                    let (always, sometimes) = (format!("{updater}.{}", update % 3), format!("{updater}"));
                    let list = [("always", &always), ("sometimes", &sometimes)];
                    peers.update(list.into_iter().take(1 + update % 2)).unwrap();
                    yield_now().await;
                }
            }
        })
        .collect()
}

/// Takes handles, and keeps every set it has seen.
async fn caller(peers: PeerPools<Peer>, done: Arc<AtomicBool>) -> HashMap<usize, Shared<Peer>> {
    let mut seen = HashMap::new();
    while !done.load(Ordering::SeqCst) {
        peers.handle("always").await.expect("it is a member all the time");
        match peers.handle("sometimes").await {
            Ok(_) | Err(PeerError::Unknown { .. }) => {}
            Err(error) => panic!("{error:?}"),
        }
        for name in ["always", "sometimes"] {
            if let Some(set) = peers.get(name)
                && let Ok(handle) = set.handle().await
            {
                seen.insert(handle.number, set.clone());
            }
        }
        yield_now().await; // nothing above needs to wait
    }
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn callers_and_updates() {
    let (peers, _) = peers(PeersConfig::default());
    peers.update([("always", "0.0")]).unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let mut callers: JoinSet<_> = (0..4).map(|_| caller(peers.clone(), Arc::clone(&done))).collect();

    updaters(&peers).join_all().await;
    done.store(true, Ordering::SeqCst);

    let mut current = vec![peers.handle("always").await.unwrap().number];
    current.extend(peers.handle("sometimes").await.map(|handle| handle.number).ok());
    let mut sets = 0;
    while let Some(seen) = callers.join_next().await {
        for (number, set) in seen.unwrap() {
            sets += 1;
            match set.handle().await {
                Err(PoolError::Closed) => assert!(!current.contains(&number)),
                outcome => assert!(current.contains(&number), "{number} is left behind: {outcome:?}"),
            }
        }
    }
    assert!(sets > 20, "the callers saw {sets}");
}
