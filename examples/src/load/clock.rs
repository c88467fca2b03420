//! When the texts of an open loop are to be sent.

use std::{
    thread,
    time::{Duration, Instant},
};

use tokio::sync::watch;

/// Evenly spaced instants, numbered from 0.
#[derive(Debug, Clone, Copy)]
pub(super) struct Schedule {
    start: Instant,
    texts_per_second: f64,
    /// How many there are.
    count: u64,
}

impl Schedule {
    /// The longest sleep, so that the thread of a schedule nobody follows any more soon ends.
    const LONGEST_SLEEP: Duration = Duration::from_millis(100);

    /// All before the end of so much time.
    pub(super) fn new(start: Instant, texts_per_second: f64, time: Duration) -> Self {
        Self { start, texts_per_second, count: (time.as_secs_f64() * texts_per_second).ceil() as u64 }
    }

    pub(super) fn intended(&self, number: u64) -> Instant {
        self.start + Duration::from_secs_f64(number as f64 / self.texts_per_second)
    }

    /// How many texts should have been sent.
    fn due(&self, now: Instant) -> u64 {
        if now < self.start {
            return 0;
        }
        let passed = now.duration_since(self.start).as_secs_f64();
        ((passed * self.texts_per_second) as u64 + 1).min(self.count)
    }

    /// Tells how many texts are due, whenever that changes, and closes when all are. A thread of its own, because the timers
    /// of the runtime have a grain of a millisecond, and this one is right within some 0.1 ms. It ends soon after the last
    /// receiver is gone.
    pub(super) fn follow(self) -> watch::Receiver<u64> {
        let (sender, receiver) = watch::channel(0);
        thread::spawn(move || {
            loop {
                let due = self.due(Instant::now());
                if sender.send(due).is_err() || due == self.count {
                    return;
                }
                let pause = self.intended(due).saturating_duration_since(Instant::now());
                thread::sleep(pause.min(Self::LONGEST_SLEEP));
            }
        });
        receiver
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_due_at_its_time_and_not_before() {
        let start = Instant::now();
        let schedule = Schedule::new(start, 1_000.0, Duration::from_secs(3));
        assert_eq!(schedule.intended(0), start);
        assert_eq!(schedule.intended(2_500), start + Duration::from_millis(2_500));
        assert_eq!(schedule.due(start), 1);
        assert_eq!(schedule.due(start + Duration::from_micros(999)), 1);
        assert_eq!(schedule.due(start + Duration::from_micros(1_001)), 2);
        assert_eq!(schedule.due(start - Duration::from_secs(1)), 0);
        assert_eq!(schedule.due(start + Duration::from_secs(9)), 3_000);
    }

    #[tokio::test]
    async fn whoever_follows_is_told_all_and_not_too_early() {
        let begin = Instant::now();
        let mut due = Schedule::new(begin, 500.0, Duration::from_millis(60)).follow();
        due.wait_for(|&due| due >= 26).await.unwrap();
        assert!(begin.elapsed() >= Duration::from_millis(49), "text 25 is due after 50 ms: {:?}", begin.elapsed());
        due.wait_for(|&due| due == 30).await.unwrap();
        assert!(due.changed().await.is_err(), "there are no more");
    }
}
