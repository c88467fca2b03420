//! A process for each server, on Redis and MariaDB.

use std::time::{Duration, Instant};

use rand::seq::IndexedRandom;

use super::MOVED;
use crate::harness::{System, World};

mod servers;
mod stores;

/// Until all flows again when something is back.
const RECOVERED: Duration = Duration::from_secs(5);
/// What the supervisor says of each server that is killed.
const UNASKED: &str = "unasked";

/// Kills a chat server that somebody is connected to, if there is one; returns when, and whom that cuts off.
async fn kill_one(system: &System, world: &mut World) -> (Instant, Vec<usize>) {
    let chats: Vec<_> = system.chats().into_iter().map(|chat| (world.members_at(&chat.tcp), chat)).collect();
    let busy: Vec<_> = chats.iter().filter(|(members, _)| !members.is_empty()).collect();
    let (cut, chat) = match busy.choose(&mut world.random) {
        Some(chosen) => (*chosen).clone(),
        None => chats.choose(&mut world.random).unwrap().clone(),
    };
    (system.kill_chat(&chat).await, cut)
}
