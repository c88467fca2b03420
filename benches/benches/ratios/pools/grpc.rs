//! Calls of 64 bytes to a gRPC server that runs on the same cores.

use std::time::Duration;

use tokio::runtime::Runtime;

use super::Crowd;
use crate::contest::Bound;
use crate::pool_contenders::grpc::{
    bare_round_robin, deadpool_checkout, one_channel, round_robin, uschat_checkout, uschat_shared,
};
use crate::pool_contenders::grpc_server::EchoServer;
use crate::pool_contenders::runtime;
use crate::report::Report;

const BASE: &str = "one channel";
const ROUNDS: usize = 31;
const TURN: Duration = Duration::from_millis(100);

pub(crate) fn run(report: &mut Report) {
    let runtime = runtime();
    let _current = runtime.enter();
    let server = EchoServer::start();
    for callers in [64, 512] {
        calls(report, &runtime, &server, callers);
    }
}

fn calls(report: &mut Report, runtime: &Runtime, server: &EchoServer, callers: usize) {
    let mut crowd = Crowd::new(runtime, &format!("gRPC, {callers} callers"), callers, TURN);
    crowd.enter(BASE, BASE, runtime.block_on(one_channel(server)));
    for channels in [2, 4] {
        crowd.enter(&format!("round-robin {channels}"), BASE, runtime.block_on(round_robin(server, channels)));
    }
    crowd.enter("round-robin 4, no deadlines", BASE, runtime.block_on(bare_round_robin(server, 4)));
    crowd.enter("uschat, shared", BASE, uschat_shared(server));
    for size in [4, 8] {
        crowd.enter(&format!("deadpool, {size} lent"), BASE, deadpool_checkout(server, size));
        crowd.enter(&format!("uschat, {size} lent"), BASE, uschat_checkout(server, size));
    }
    crowd.speed.goal("uschat, shared", "round-robin 4", Bound::Speed(1.0));
    if callers == 512 {
        crowd.speed.goal("uschat, shared", BASE, Bound::Speed(1.15));
        crowd.speed.goal("uschat, shared", "deadpool, 4 lent", Bound::Speed(1.8));
        crowd.speed.goal("uschat, shared", "deadpool, 8 lent", Bound::Speed(1.8));
    }
    crowd.run(report, ROUNDS);
}
