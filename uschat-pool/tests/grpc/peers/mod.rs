//! Peers that answer with who they are.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use uschat_pool::{Manager, PeerPools, PeersConfig};

/// A manager for one address.
pub struct Peer {
    /// How many managers were made before it.
    number: usize,
    address: String,
    connects: Arc<AtomicUsize>,
}

/// What a peer's connection is, for its clones too.
#[derive(Debug, PartialEq)]
pub struct Answer {
    pub number: usize,
    pub address: String,
}

impl Manager for Peer {
    type Connection = Arc<Answer>;
    type Error = io::Error;

    async fn connect(&self) -> io::Result<Arc<Answer>> {
        self.connects.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        Ok(Arc::new(Answer { number: self.number, address: self.address.clone() }))
    }

    async fn verify(&self, _: &mut Arc<Answer>) -> io::Result<()> {
        Ok(())
    }

    fn is_broken(&self, _: &Arc<Answer>) -> bool {
        false
    }
}

/// Peers, and how often any of them was connected to. The address "bad" is none.
pub fn peers(config: PeersConfig) -> (PeerPools<Peer>, Arc<AtomicUsize>) {
    let (made, connects) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&connects);
    let connect = move |_: &str, address: &str| match address {
        "bad" => Err(io::ErrorKind::InvalidInput.into()),
        _ => Ok(Peer {
            number: made.fetch_add(1, Ordering::SeqCst),
            address: address.to_owned(),
            connects: Arc::clone(&counted),
        }),
    };
    (PeerPools::new("peers", config, connect).unwrap(), connects)
}
