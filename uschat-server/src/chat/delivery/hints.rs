use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, PoisonError},
};

use futures_util::future::join_all;
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio_util::sync::CancellationToken;
use uschat_proto::chat::UserId;

use super::Delivery;
use crate::{chat::app::ChatApp, cluster::PeerEvent, session::Sessions};

/// Lines of hints, each with a task; a receiver is always in the same one, so that theirs keep their order.
const LINES: usize = 8;
/// Hints that may wait in a line; one beyond that is lost, and found by the heads.
const WAITING: usize = 1_024;
/// Hints whose receivers are looked for at once.
const BATCH: usize = 256;

/// News of what is stored, on its way out. Whoever stored it does not wait for the state to say who holds the receiver: a
/// state that is slow or gone delays nobody's acknowledgement.
pub(in crate::chat) struct Hints {
    lines: Vec<mpsc::Sender<Hint>>,
    /// Until [`Hints::run`] takes them.
    ends: Mutex<Vec<mpsc::Receiver<Hint>>>,
}

type Hint = (UserId, PeerEvent);

impl Hints {
    pub(super) fn new() -> Self {
        let (lines, ends) = (0..LINES).map(|_| mpsc::channel(WAITING)).unzip();
        Self { lines, ends: Mutex::new(ends) }
    }

    /// Never waits.
    pub(super) fn send(&self, to: UserId, event: PeerEvent) {
        let line = &self.lines[to.0.unsigned_abs() as usize % LINES];
        match line.try_send((to, event)) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => metrics::counter!("uschat_hints_lost_total").increment(1),
            // The server has ended; whoever logs in elsewhere is told there.
            Err(TrySendError::Closed(_)) => {}
        }
    }

    /// Sends what comes until `end`, then what is left.
    pub(super) async fn run(&self, delivery: &Delivery, sessions: &Sessions<ChatApp>, end: CancellationToken) {
        let ends = std::mem::take(&mut *self.ends.lock().unwrap_or_else(PoisonError::into_inner));
        join_all(ends.into_iter().map(|line| run_line(line, delivery, sessions, end.clone()))).await;
    }
}

async fn run_line(
    mut line: mpsc::Receiver<Hint>,
    delivery: &Delivery,
    sessions: &Sessions<ChatApp>,
    end: CancellationToken,
) {
    let mut hints = Vec::new();
    loop {
        tokio::select! {
            biased;
            received = line.recv_many(&mut hints, BATCH) => if received == 0 { return },
            () = end.cancelled(), if !line.is_closed() => {
                line.close();
                continue;
            }
        }
        let receivers: HashSet<_> = hints.iter().map(|(to, _)| *to).collect();
        let found = receivers.into_iter().map(async |to| (to, delivery.find(to).await));
        let found: HashMap<_, _> = join_all(found).await.into_iter().collect();
        for (to, event) in hints.drain(..) {
            if let Some(found) = found.get(&to) {
                delivery.tell_found(sessions, found, to, event).await;
            }
        }
    }
}
