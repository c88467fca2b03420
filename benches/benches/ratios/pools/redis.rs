//! GET of 64 bytes from a Redis server that runs on the same cores.

use std::time::Duration;

use super::Crowd;
use crate::contest::Bound;
use crate::pool_contenders::redis::{connection_manager, deadpool_redis, start, uschat_pool, uschat_shared};
use crate::pool_contenders::runtime;
use crate::report::Report;

const BASE: &str = "deadpool-redis";
const TASKS: usize = 64;
const ROUNDS: usize = 31;
const TURN: Duration = Duration::from_millis(100);

pub(crate) fn run(report: &mut Report) {
    let runtime = runtime();
    let _current = runtime.enter();
    let Some(server) = runtime.block_on(start()) else {
        return;
    };
    let mut crowd = Crowd::new(&runtime, &format!("Redis GET, {TASKS} tasks"), TASKS, TURN);
    crowd.enter(BASE, BASE, deadpool_redis(&server));
    crowd.enter("ConnectionManager", BASE, runtime.block_on(connection_manager(&server)));
    crowd.enter("uschat, shared", BASE, uschat_shared(&server));
    crowd.enter("uschat, lent", BASE, uschat_pool(&server));
    crowd.speed.goal("uschat, shared", BASE, Bound::Speed(7.0));
    crowd.speed.goal("uschat, shared", "ConnectionManager", Bound::Speed(1.0));
    crowd.speed.goal("uschat, lent", BASE, Bound::Speed(1.75));
    crowd.run(report, ROUNDS);
}
