//! However often connections are cut: a call that may not be made twice is not, and one that was answered happened.

use std::{collections::HashSet, time::Duration};

use tokio::{task::JoinSet, time::interval};
use tonic::Request;
use uschat_pool::Retry;

use crate::grpc_peer::{
    LONG, Peer, QUICK,
    proxy::{Mode, Proxy},
    send, shared,
};

const CALLERS: usize = 32;
const CALLS: usize = 50;
const CUTS: usize = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_connections_are_cut_all_the_time() {
    let peer = Peer::start().await;
    let proxy = Proxy::to(peer.address).await;
    let shared = shared(proxy.address, 4);
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let shared = shared.clone();
        callers.spawn(async move {
            let mut answered = Vec::new();
            for number in 0..CALLS {
                let name = format!("{caller}.{number}");
                let call = |channel| {
                    let mut request = Request::new(());
                    request.metadata_mut().insert("name", name.parse().unwrap());
                    send(channel, QUICK, request)
                };
                if shared.call(Retry::within(LONG), call).await.is_ok() {
                    answered.push(name);
                }
            }
            answered
        });
    }
    let mut answered = Vec::new();
    let (mut cut, mut pause) = (0, interval(Duration::from_millis(20)));
    while !callers.is_empty() {
        tokio::select! {
            Some(caller) = callers.join_next() => answered.extend(caller.unwrap()),
            _ = pause.tick() => {
                if cut < CUTS.min(proxy.connections()) {
                    proxy.set(cut, Mode::Ends);
                    cut += 1;
                }
            }
        }
    }

    let names = peer.names();
    let happened: HashSet<_> = names.iter().collect();
    assert_eq!(names.len(), happened.len(), "a call was made twice");
    assert!(answered.iter().all(|name| happened.contains(name)));
    assert_eq!(cut, CUTS);
    let failed = CALLERS * CALLS - answered.len();
    assert!(
        failed <= CUTS * CALLERS,
        "{failed} failed: more than can have been under way when their connection was cut"
    );
}
