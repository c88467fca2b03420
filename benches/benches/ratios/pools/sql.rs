//! `SELECT 1` on connections to SQLite.

use std::time::Duration;

use super::Crowd;
use crate::contest::Bound;
use crate::pool_contenders::runtime;
use crate::pool_contenders::sql::{deadpool, sqlx, uschat};
use crate::report::Report;

const BASE: &str = "sqlx";
const TASKS: usize = 64;
const ROUNDS: usize = 31;
const TURN: Duration = Duration::from_millis(100);

pub(crate) fn run(report: &mut Report) {
    let runtime = runtime();
    let _current = runtime.enter();
    let title = format!("SQL, get and SELECT 1, {TASKS} tasks on 8 connections");
    let mut crowd = Crowd::new(&runtime, &title, TASKS, TURN);
    crowd.enter(BASE, BASE, sqlx(true));
    crowd.enter("sqlx, no test", BASE, sqlx(false));
    crowd.enter("deadpool, ping", BASE, deadpool(true));
    crowd.enter("deadpool, no ping", BASE, deadpool(false));
    crowd.enter("uschat", BASE, uschat());
    crowd.speed.goal("uschat", BASE, Bound::Speed(2.5));
    crowd.run(report, ROUNDS);
}
