use std::{
    any::Any,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::time::timeout;
use uschat_wire::Limits;

use super::*;

fn frame(id: u16) -> Frame {
    Frame::new(id, vec![0; 6])
}

async fn ids(queue: &Outbound) -> Vec<u16> {
    let mut out = WriteBuffer::new(Limits::unrestricted());
    assert!(queue.ready().await);
    queue.take(&mut out, usize::MAX, usize::MAX);
    out.chunk().chunks(10).map(|frame| u16::from_be_bytes([frame[0], frame[1]])).collect()
}

#[tokio::test]
async fn pushes_beyond_the_bounds_are_refused_and_answers_wait() {
    let queue = Outbound::new(2, 1_000);
    queue.push(frame(1)).unwrap();
    queue.push(frame(2)).unwrap();
    assert_eq!(queue.push(frame(3)), Err(Refused::Full));
    let (sent, taken) = tokio::join!(queue.send(frame(4)), ids(&queue));
    assert!(sent);
    assert_eq!(taken, [1, 2]);
    assert_eq!(ids(&queue).await, [4]);
}

#[tokio::test]
async fn bytes_are_bounded_too() {
    let queue = Outbound::new(100, 25);
    queue.push(frame(1)).unwrap();
    queue.push(frame(2)).unwrap();
    assert_eq!(queue.push(frame(3)), Err(Refused::Full));
    assert_eq!(ids(&queue).await, [1, 2]);
    queue.push(frame(3)).unwrap();
}

#[tokio::test]
async fn held_pushes_follow_the_answer_to_the_login() {
    let queue = Outbound::new(10, 1_000);
    queue.hold(7);
    queue.push(frame(1)).unwrap();
    queue.release(6);
    assert!(queue.send(frame(2)).await);
    queue.push(frame(3)).unwrap();
    queue.release(7);
    queue.push(frame(4)).unwrap();
    assert_eq!(ids(&queue).await, [2, 1, 3, 4]);
}

#[tokio::test]
async fn what_waits_at_the_end_is_still_written() {
    let queue = Outbound::new(10, 1_000);
    queue.push(frame(1)).unwrap();
    queue.finish();
    assert_eq!(queue.push(frame(2)), Err(Refused::Ended));
    assert_eq!(ids(&queue).await, [1]);
    assert!(!queue.ready().await);
    assert!(!queue.send(frame(3)).await);
}

#[tokio::test]
async fn an_abandoned_queue_is_empty_and_takes_nothing() {
    let queue = Outbound::new(10, 1_000);
    queue.push(frame(1)).unwrap();
    queue.abandon();
    assert!(!queue.ready().await);
    assert!(!queue.send(frame(2)).await);
    assert_eq!(queue.push(frame(3)), Err(Refused::Ended));
}

#[tokio::test]
async fn answers_still_leave_after_the_last_push() {
    let queue = Outbound::new(1, 1_000);
    queue.push(frame(1)).unwrap();
    queue.end_pushes(Some(frame(2)));
    queue.end_pushes(Some(frame(3)));
    assert_eq!(queue.push(frame(4)), Err(Refused::Ended));
    assert_eq!(ids(&queue).await, [1, 2]);
    assert!(queue.send(frame(5)).await);
    assert_eq!(ids(&queue).await, [5]);
}

#[tokio::test]
async fn held_pushes_leave_room_for_the_answer_they_wait_for() {
    let queue = Outbound::new(1, 1_000);
    queue.hold(1);
    queue.push(frame(1)).unwrap();
    assert_eq!(queue.push(frame(2)), Err(Refused::Full));
    assert!(timeout(Duration::from_secs(1), queue.send(frame(3))).await.unwrap());
}

#[tokio::test]
async fn a_frame_larger_than_the_bound_passes_alone() {
    let queue = Outbound::new(10, 5);
    queue.push(frame(1)).unwrap();
    assert_eq!(queue.push(frame(2)), Err(Refused::Full));
    assert_eq!(ids(&queue).await, [1]);
}

#[tokio::test]
async fn a_take_stops_at_its_bounds() {
    let queue = Outbound::new(100, 1_000);
    (1..=10).for_each(|id| queue.push(frame(id)).unwrap());
    let mut out = WriteBuffer::new(Limits::unrestricted());
    assert_eq!(queue.take(&mut out, 3, usize::MAX).frames, 3);
    out.clear();
    assert_eq!(queue.take(&mut out, usize::MAX, 15).frames, 2);
    out.clear();
    assert_eq!(queue.take(&mut out, 0, 0).frames, 1);
}

#[tokio::test(start_paused = true)]
async fn a_waiting_answer_ends_with_the_session() {
    let queue = Outbound::new(1, 1_000);
    queue.push(frame(1)).unwrap();
    let (sent, ()) = timeout(Duration::from_secs(1), async {
        tokio::join!(queue.send(frame(2)), async {
            tokio::task::yield_now().await;
            queue.finish();
        })
    })
    .await
    .unwrap();
    assert!(!sent);
}

struct Sum(u16);

impl Mergeable for Sum {
    fn key(&self) -> u64 {
        0
    }

    fn size(&self) -> usize {
        10
    }

    fn absorb(&mut self, later: &mut dyn Any) -> bool {
        later.downcast_mut::<Self>().map(|later| self.0 += later.0).is_some()
    }

    fn to_frame(&self) -> Option<Frame> {
        Some(frame(self.0))
    }
}

#[tokio::test]
async fn a_merged_push_takes_no_place_of_its_own() {
    let queue = Outbound::new(2, 1_000);
    queue.push_mergeable(Box::new(Sum(1))).unwrap();
    queue.push(frame(7)).unwrap();
    queue.push_mergeable(Box::new(Sum(2))).unwrap();
    assert_eq!(ids(&queue).await, [3, 7]);
    assert_eq!(queue.lock().ready.bytes(), 0);
}

/// Takes so many frames; returns the mark that came along.
fn mark_behind(queue: &Outbound, frames: usize) -> Option<u64> {
    let mut out = WriteBuffer::new(Limits::unrestricted());
    let taken = queue.take(&mut out, frames, usize::MAX);
    assert!(taken.frames <= frames);
    taken.mark
}

#[tokio::test]
async fn a_mark_leaves_with_the_frame_before_it() {
    let queue = Outbound::new(10, 1_000);
    queue.push(frame(1)).unwrap();
    queue.mark(1);
    queue.push(frame(2)).unwrap();
    queue.push(frame(3)).unwrap();
    queue.mark(3);
    assert_eq!(mark_behind(&queue, 1), Some(1));
    assert_eq!(mark_behind(&queue, 1), None);
    assert_eq!(mark_behind(&queue, 1), Some(3));
    queue.mark(4);
    assert!(queue.ready().await);
    assert_eq!(mark_behind(&queue, 1), Some(4));
    assert!(queue.is_empty());
}

#[tokio::test]
async fn marks_take_no_room_and_replace_each_other() {
    let queue = Outbound::new(2, 20);
    (1..=1_000).for_each(|mark| queue.mark(mark));
    queue.push(frame(1)).unwrap();
    (1..=1_000).for_each(|mark| queue.mark(mark));
    queue.push(frame(2)).unwrap();
    queue.mark(7);
    assert_eq!(queue.push(frame(3)), Err(Refused::Full));
    assert!(queue.lock().ready.places() < 10);
    assert_eq!(mark_behind(&queue, 1), Some(1_000));
    assert_eq!(mark_behind(&queue, 1), Some(7));
}

#[tokio::test]
async fn a_mark_behind_held_pushes_is_held_with_them() {
    let queue = Outbound::new(10, 1_000);
    queue.push(frame(1)).unwrap();
    queue.hold(1);
    queue.push(frame(2)).unwrap();
    queue.mark(2);
    assert!(queue.send(frame(3)).await);
    assert_eq!(mark_behind(&queue, usize::MAX), None);
    queue.release(1);
    assert_eq!(mark_behind(&queue, usize::MAX), Some(2));
}

#[tokio::test]
async fn a_mark_is_behind_what_was_merged_into_an_earlier_push() {
    let queue = Outbound::new(10, 1_000);
    for (sum, mark) in [(1, 1), (2, 2)] {
        queue.push_mergeable(Box::new(Sum(sum))).unwrap();
        queue.mark(mark);
    }
    assert_eq!(mark_behind(&queue, 1), Some(2));
}

#[tokio::test]
async fn there_is_no_mark_behind_the_end_of_pushes() {
    let queue = Outbound::new(1, 1_000);
    queue.push(frame(1)).unwrap();
    assert_eq!(queue.push(frame(2)), Err(Refused::Full));
    queue.end_pushes(None);
    queue.mark(2);
    assert_eq!(mark_behind(&queue, usize::MAX), None);
}

#[tokio::test]
async fn pushes_wait_for_every_answer_they_are_held_for() {
    let queue = Outbound::new(10, 1_000);
    queue.hold(1);
    queue.hold(2);
    queue.hold(2);
    queue.push(frame(1)).unwrap();
    queue.release(2);
    assert!(queue.is_empty());
    assert!(queue.send(frame(2)).await);
    queue.release(1);
    assert_eq!(ids(&queue).await, [2, 1]);
    queue.release(2);
    queue.push(frame(3)).unwrap();
    assert_eq!(ids(&queue).await, [3]);
}

#[tokio::test]
async fn there_is_ample_room_until_more_than_half_is_taken() {
    let queue = Outbound::new(10, 1_000);
    (1..=5).for_each(|id| queue.push(frame(id)).unwrap());
    assert!(queue.has_ample_room() && queue.ample_room().await);
    queue.push(frame(6)).unwrap();
    assert!(!queue.has_ample_room());
    let bytes = Outbound::new(100, 25);
    (1..=2).for_each(|id| bytes.push(frame(id)).unwrap());
    assert!(!bytes.has_ample_room());
    queue.end_pushes(None);
    assert!(!queue.ample_room().await, "nobody fills a queue that takes nothing");
}

fn is_ready<T>(future: Pin<&mut impl Future<Output = T>>) -> bool {
    future.poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

#[test]
fn who_waits_for_ample_room_hears_of_it_when_the_writer_has_made_it() {
    let queue = Outbound::new(10, 1_000);
    (1..=10).for_each(|id| queue.push(frame(id)).unwrap());
    let mut waiting = pin!(queue.ample_room());
    assert!(!is_ready(waiting.as_mut()));
    mark_behind(&queue, 4);
    assert!(!is_ready(waiting.as_mut()));
    mark_behind(&queue, 1);
    assert!(is_ready(waiting.as_mut()));
}

#[test]
fn also_when_it_waited_behind_held_pushes() {
    let queue = Outbound::new(10, 1_000);
    queue.hold(1);
    (1..=10).for_each(|id| queue.push(frame(id)).unwrap());
    let mut waiting = pin!(queue.ample_room());
    assert!(!is_ready(waiting.as_mut()));
    queue.release(1);
    assert!(!is_ready(waiting.as_mut()), "they are as many as before");
    mark_behind(&queue, 5);
    assert!(is_ready(waiting.as_mut()));
}

#[test]
fn also_when_pushes_end() {
    for end in [Outbound::finish, Outbound::abandon, |queue: &Outbound| queue.end_pushes(None)] {
        let queue = Outbound::new(1, 1_000);
        queue.push(frame(1)).unwrap();
        let mut waiting = pin!(queue.ample_room());
        assert!(!is_ready(waiting.as_mut()));
        end(&queue);
        assert!(is_ready(waiting.as_mut()));
    }
}

/// Counts how often it is woken.
#[derive(Default)]
struct Wakes(std::sync::atomic::AtomicUsize);

impl std::task::Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn nobody_is_woken_in_vain() {
    let queue = Outbound::new(100, 10_000);
    (1..=100).for_each(|id| queue.push(frame(id)).unwrap());
    let (answer_wakes, ample_wakes) = (Arc::new(Wakes::default()), Arc::new(Wakes::default()));
    let mut answer = pin!(queue.send(frame(101)));
    let mut ample = pin!(queue.ample_room());
    let answer_waker = Waker::from(answer_wakes.clone());
    let ample_waker = Waker::from(ample_wakes.clone());
    assert_eq!(answer.as_mut().poll(&mut Context::from_waker(&answer_waker)), Poll::Pending);
    assert_eq!(ample.as_mut().poll(&mut Context::from_waker(&ample_waker)), Poll::Pending);
    let wakes = || (answer_wakes.0.load(Ordering::Relaxed), ample_wakes.0.load(Ordering::Relaxed));
    mark_behind(&queue, 1);
    assert_eq!(wakes(), (1, 0));
    (0..49).for_each(|_| {
        mark_behind(&queue, 1);
    });
    assert_eq!(wakes(), (1, 1));
    while !queue.is_empty() {
        mark_behind(&queue, 1);
    }
    assert_eq!(wakes(), (1, 1));
}

/// A push during whose encoding others fill the queue, and an answer begins to wait for room.
struct Slow<F>(F);

impl<F: Fn() + Send + 'static> Mergeable for Slow<F> {
    fn key(&self) -> u64 {
        0
    }

    fn size(&self) -> usize {
        10
    }

    fn absorb(&mut self, _: &mut dyn Any) -> bool {
        false
    }

    fn to_frame(&self) -> Option<Frame> {
        (self.0)();
        Some(frame(1))
    }
}

#[test]
fn an_answer_that_began_to_wait_in_the_middle_of_a_take_hears_of_its_room() {
    let queue = Arc::new(Outbound::new(4, 1_000));
    let answer = Arc::new(Mutex::new(None));
    queue
        .push_mergeable(Box::new(Slow({
            let (queue, answer) = (queue.clone(), answer.clone());
            move || {
                (1..=4).for_each(|id| queue.push(frame(id)).unwrap());
                let queue = queue.clone();
                let mut send = Box::pin(async move { queue.send(frame(9)).await });
                assert!(!is_ready(send.as_mut()));
                *answer.lock().unwrap() = Some(send);
            }
        })))
        .unwrap();
    mark_behind(&queue, 3);
    let mut answer = answer.lock().unwrap().take().unwrap();
    assert!(is_ready(answer.as_mut()));
}

#[tokio::test]
async fn the_last_push_follows_the_answer_and_the_pushes_that_wait_for_it() {
    let queue = Outbound::new(2, 1_000);
    queue.hold(1);
    queue.push(frame(1)).unwrap();
    queue.push(frame(2)).unwrap();
    queue.end_pushes(Some(frame(21)));
    assert!(queue.send(frame(6)).await);
    queue.release(1);
    assert_eq!(ids(&queue).await, [6, 1, 2, 21]);
}
