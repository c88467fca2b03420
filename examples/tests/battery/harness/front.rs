use std::sync::Arc;

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_util::task::AbortOnDropHandle;

use crate::support::Gate;

/// An address that stays while the gate behind it changes its own, as a load balancer's does.
#[derive(Debug)]
pub struct Front {
    gate: Gate,
    behind: Arc<watch::Sender<String>>,
    _serving: AbortOnDropHandle<()>,
}

impl Front {
    /// One in front of the gate with this URL.
    pub async fn start(gate: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let behind = Arc::new(watch::Sender::new(address_of(gate)));
        let serving = serve(listener, Arc::clone(&behind));
        let _serving = AbortOnDropHandle::new(tokio::spawn(serving));
        Self { gate: Gate(format!("http://{address}")), behind, _serving }
    }

    /// What clients know.
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// From now on the gate is here.
    pub fn move_to(&self, gate: &str) {
        self.behind.send_replace(address_of(gate));
    }
}

async fn serve(listener: TcpListener, behind: Arc<watch::Sender<String>>) {
    while let Ok((mut client, _)) = listener.accept().await {
        let gate = behind.borrow().clone();
        tokio::spawn(async move {
            // A gate that is away shows as a connection that ends.
            if let Ok(mut gate) = TcpStream::connect(gate).await {
                let _ = copy_bidirectional(&mut client, &mut gate).await;
            }
        });
    }
}

fn address_of(gate: &str) -> String {
    gate.trim_start_matches("http://").to_owned()
}
