use std::{collections::VecDeque, pin::Pin, time::Duration};

use tokio::time::{Instant, Sleep, sleep};

/// How often is looked for acknowledgements while marks wait for one.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Marks that are kept apart. The last place is for all later ones: they are confirmed together.
const PLACES: usize = 64;

/// The marks that were handed to the network, and whose bytes the peer's system may not have acknowledged yet.
///
/// Holds no memory and no timer while there are none.
pub(super) struct Confirmations {
    /// Whether acknowledgements can be looked at. Otherwise marks wait for the connection's end, and one place is enough.
    known: bool,
    /// Oldest first.
    waiting: VecDeque<Written>,
    look: Option<Pin<Box<Sleep>>>,
}

struct Written {
    mark: u64,
    /// How many bytes were written when the mark's last byte was.
    end: u64,
}

impl Confirmations {
    pub(super) fn new(known: bool) -> Self {
        Self { known, waiting: VecDeque::new(), look: None }
    }

    pub(super) fn are_known(&self) -> bool {
        self.known
    }

    /// Notes that everything before this mark ends with this byte of the connection.
    pub(super) fn wait_for(&mut self, mark: u64, end: u64) {
        let places = if self.known { PLACES } else { 1 };
        if self.waiting.len() >= places {
            self.waiting.pop_back();
        }
        self.waiting.push_back(Written { mark, end });
        if self.known && self.look.is_none() {
            self.look = Some(Box::pin(sleep(LOOK_EVERY)));
        }
    }

    pub(super) fn are_awaited(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Whether it is time to look.
    pub(super) fn is_look_due(&self) -> bool {
        self.look.as_ref().is_some_and(|look| look.deadline() <= Instant::now())
    }

    /// Waits until it is time to look; for ever, while nothing waits. Cancel safe.
    pub(super) async fn look_due(&mut self) {
        match &mut self.look {
            Some(look) => look.as_mut().await,
            None => std::future::pending().await,
        }
    }

    /// So many bytes of the connection are acknowledged: returns the highest mark among them, if there is one.
    pub(super) fn acknowledged(&mut self, bytes: u64) -> Option<u64> {
        let confirmed = self.waiting.iter().take_while(|written| written.end <= bytes).count();
        let mark = self.waiting.drain(..confirmed).map(|written| written.mark).max();
        if self.waiting.is_empty() {
            self.waiting = VecDeque::new();
            self.look = None;
        } else if let Some(look) = &mut self.look {
            look.as_mut().reset(Instant::now() + LOOK_EVERY);
        }
        mark
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_highest_mark_whose_bytes_are_acknowledged_counts() {
        let mut marks = Confirmations::new(true);
        marks.wait_for(1, 10);
        marks.wait_for(2, 20);
        marks.wait_for(3, 20);
        marks.wait_for(4, 30);
        assert_eq!(marks.acknowledged(9), None);
        assert_eq!(marks.acknowledged(10), Some(1));
        assert_eq!(marks.acknowledged(29), Some(3));
        assert_eq!(marks.acknowledged(29), None);
        assert!(marks.are_awaited());
        assert_eq!(marks.acknowledged(30), Some(4));
        assert!(!marks.are_awaited());
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_time_to_look_every_half_second_while_marks_wait() {
        let mut marks = Confirmations::new(true);
        let since = Instant::now();
        marks.wait_for(1, 10);
        marks.look_due().await;
        assert!(marks.is_look_due());
        marks.acknowledged(0);
        assert!(!marks.is_look_due());
        // A mark that comes meanwhile does not put it off.
        tokio::time::sleep(LOOK_EVERY / 2).await;
        marks.wait_for(2, 20);
        marks.look_due().await;
        assert_eq!(since.elapsed().as_millis() / 10, LOOK_EVERY.as_millis() * 2 / 10);
    }

    #[tokio::test(start_paused = true)]
    async fn without_marks_there_is_neither_timer_nor_memory() {
        let mut marks = Confirmations::new(true);
        let is_bare = |marks: &Confirmations| marks.look.is_none() && marks.waiting.capacity() == 0;
        assert!(is_bare(&marks));
        marks.wait_for(1, 10);
        assert!(!is_bare(&marks));
        marks.acknowledged(10);
        assert!(is_bare(&marks));
        assert!(!marks.is_look_due());
    }

    #[tokio::test(start_paused = true)]
    async fn too_many_marks_are_confirmed_together_and_never_early() {
        let mut marks = Confirmations::new(true);
        (1..=1_000).for_each(|mark| marks.wait_for(mark, mark * 10));
        assert_eq!(marks.waiting.len(), PLACES);
        assert_eq!(marks.acknowledged(9_999), Some(PLACES as u64 - 1));
        assert_eq!(marks.acknowledged(10_000), Some(1_000));
    }

    #[tokio::test(start_paused = true)]
    async fn where_acknowledgements_are_unknown_one_mark_waits_and_no_timer_runs() {
        let mut marks = Confirmations::new(false);
        (1..=1_000).for_each(|mark| marks.wait_for(mark, mark * 10));
        assert_eq!(marks.waiting.len(), 1);
        assert!(marks.look.is_none());
        assert_eq!(marks.acknowledged(10_000), Some(1_000));
    }
}
