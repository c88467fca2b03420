//! What waits to be written to one session. In-house because it is bounded in frames and bytes, refuses pushes but lets
//! answers wait, holds pushes back during a login, merges what may be merged, and costs an idle session no memory.

use std::{
    any::Any,
    collections::VecDeque,
    pin::pin,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Buf;
use tokio::sync::Notify;
use uschat_wire::{Frame, WriteBuffer};

/// Places for frames that an empty queue keeps.
const KEPT_PLACES: usize = 64;

/// A push that can take a later one into itself while both wait: several texts of one conversation become one frame.
///
/// Only paced sessions merge; the others get each push as a frame of its own.
pub trait Mergeable: Any + Send {
    /// Bytes it stands for in the outbound queue, about those of its frame.
    fn size(&self) -> usize;

    /// What must keep its order: of all waiting pushes with one key only the last is asked to absorb.
    fn key(&self) -> u64;

    /// Takes `later`, of any type but with the same key, into itself and says so; or leaves it as it is and returns false.
    fn absorb(&mut self, later: &mut dyn Any) -> bool;

    /// The frame it stands for; `None` if it has no form on the wire.
    fn to_frame(&self) -> Option<Frame>;
}

/// The outbound queue of one session.
pub(crate) struct Outbound {
    state: Mutex<State>,
    /// The request whose answer held pushes wait for; 0 when none are held.
    held_for: AtomicU64,
    /// Something to take, or the end.
    filled: Notify,
    /// Room for an answer that waits.
    room: Notify,
    max_frames: usize,
    max_bytes: usize,
}

#[derive(Default)]
struct State {
    ready: Lane,
    /// Pushes that must not overtake the answer to a login. Bounded by themselves, so that they leave room for it.
    held: Option<Lane>,
    /// Pushes are refused; answers are still taken in.
    pushes_ended: bool,
    /// Nothing is taken in any more; what waits is still written.
    finished: bool,
}

#[derive(Default)]
struct Lane {
    items: VecDeque<Item>,
    bytes: usize,
}

enum Item {
    Frame(Frame),
    Mergeable(Box<dyn Mergeable>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    Full,
    Ended,
}

impl Outbound {
    pub(super) fn new(max_frames: usize, max_bytes: usize) -> Self {
        Self {
            state: Mutex::default(),
            held_for: AtomicU64::new(0),
            filled: Notify::new(),
            room: Notify::new(),
            max_frames,
            max_bytes,
        }
    }

    /// Adds a push, or refuses it when the bounds are reached.
    pub(super) fn push(&self, frame: Frame) -> Result<(), Refused> {
        self.push_item(self.lock(), Item::Frame(frame))
    }

    /// Adds a push, into a waiting one if that takes it.
    pub(super) fn push_mergeable(&self, mut push: Box<dyn Mergeable>) -> Result<(), Refused> {
        let mut state = self.lock();
        if !state.pushes_ended && state.lane_of_pushes().absorb(&mut *push, self.max_bytes) {
            return Ok(());
        }
        self.push_item(state, Item::Mergeable(push))
    }

    /// Adds an answer; waits for room. False when the session has ended.
    ///
    /// Cancel safe: a dropped future has added nothing.
    pub(super) async fn send(&self, frame: Frame) -> bool {
        let mut frame = match self.try_send(frame) {
            Ok(sent) => return sent,
            Err(frame) => frame,
        };
        loop {
            let mut room = pin!(self.room.notified());
            // Registered before the next look, so that room made in between is not missed.
            room.as_mut().enable();
            frame = match self.try_send(frame) {
                Ok(sent) => return sent,
                Err(frame) => frame,
            };
            room.await;
        }
    }

    /// From now on pushes wait until the answer to `request` has left; answers do not.
    pub(crate) fn hold(&self, request: u64) {
        self.lock().held.get_or_insert_default();
        self.held_for.store(request, Ordering::Release);
    }

    /// The answer to `request` has left: lets the pushes go that waited for it, in order.
    pub(super) fn release(&self, request: u64) {
        if self.held_for.load(Ordering::Acquire) != request {
            return;
        }
        self.held_for.store(0, Ordering::Release);
        let mut state = self.lock();
        if let Some(held) = state.held.take() {
            state.ready.bytes += held.bytes;
            state.ready.items.extend(held.items);
        }
        drop(state);
        self.filled.notify_one();
    }

    /// Takes no push in any more, except this last one, which need not fit the bounds. Does nothing the second time.
    pub(super) fn end_pushes(&self, last: Option<Frame>) {
        let mut state = self.lock();
        if state.pushes_ended {
            return;
        }
        state.pushes_ended = true;
        if let Some(last) = last {
            state.lane_of_pushes().add(Item::Frame(last));
        }
        drop(state);
        self.filled.notify_one();
        self.room.notify_waiters();
    }

    /// Takes nothing in any more; [`Outbound::ready`] ends when what waits is written.
    pub(super) fn finish(&self) {
        let mut state = self.lock();
        state.pushes_ended = true;
        state.finished = true;
        drop(state);
        self.filled.notify_one();
        self.room.notify_waiters();
    }

    /// As [`Outbound::finish`], and throws away what waits.
    pub(super) fn abandon(&self) {
        let ended = State { pushes_ended: true, finished: true, ..State::default() };
        let abandoned = std::mem::replace(&mut *self.lock(), ended);
        self.filled.notify_one();
        self.room.notify_waiters();
        drop(abandoned);
    }

    /// Waits until something can be taken. False at the end.
    ///
    /// Cancel safe; for one task at a time.
    pub(super) async fn ready(&self) -> bool {
        loop {
            {
                let state = self.lock();
                if !state.ready.items.is_empty() {
                    return true;
                }
                if state.finished {
                    return false;
                }
            }
            self.filled.notified().await;
        }
    }

    /// Appends waiting frames to `out`, up to `max_frames` of them, and none after `max_bytes`; but one at least, if any
    /// waits. Returns how many.
    pub(super) fn take(&self, out: &mut WriteBuffer, max_frames: usize, max_bytes: usize) -> usize {
        let mut taken = 0;
        let mut state = self.lock();
        let was_full = state.ready.items.len() > self.max_frames / 2 || state.ready.bytes > self.max_bytes / 2;
        while taken == 0 || (taken < max_frames && out.remaining() < max_bytes) {
            let Some(item) = state.ready.pop() else { break };
            taken += 1;
            match item {
                Item::Frame(frame) => encode(frame, out),
                Item::Mergeable(push) => {
                    // The application's code, which must not run under the lock.
                    drop(state);
                    match push.to_frame() {
                        Some(frame) => encode(frame, out),
                        None => tracing::error!("a push without a form on the wire was dropped"),
                    }
                    state = self.lock();
                }
            }
        }
        if state.ready.items.is_empty() && state.ready.items.capacity() > KEPT_PLACES {
            // A burst does not pin its memory.
            state.ready = Lane::default();
        }
        drop(state);
        if was_full {
            self.room.notify_waiters();
        }
        taken
    }

    /// Whether pushes fill less than half of what they may: enough is left for everything that is pushed without asking.
    pub(super) fn has_ample_room(&self) -> bool {
        let state = self.lock();
        let lane = state.held.as_ref().unwrap_or(&state.ready);
        lane.items.len() <= self.max_frames / 2 && lane.bytes <= self.max_bytes / 2
    }

    /// Waits until there is ample room; false when pushes have ended. Cancel safe.
    pub(super) async fn ample_room(&self) -> bool {
        loop {
            let mut room = pin!(self.room.notified());
            room.as_mut().enable();
            if self.lock().pushes_ended {
                return false;
            }
            if self.has_ample_room() {
                return true;
            }
            room.await;
        }
    }

    /// Whether nothing waits at this moment.
    pub(super) fn is_empty(&self) -> bool {
        self.lock().ready.items.is_empty()
    }

    fn try_send(&self, frame: Frame) -> Result<bool, Frame> {
        let mut state = self.lock();
        if state.finished {
            return Ok(false);
        }
        if !self.has_room(&state.ready, 0) {
            return Err(frame);
        }
        state.ready.add(Item::Frame(frame));
        drop(state);
        self.filled.notify_one();
        Ok(true)
    }

    fn push_item(&self, mut state: MutexGuard<'_, State>, item: Item) -> Result<(), Refused> {
        if state.pushes_ended {
            return Err(Refused::Ended);
        }
        let lane = state.lane_of_pushes();
        if !self.has_room(lane, item.size()) {
            return Err(Refused::Full);
        }
        lane.add(item);
        drop(state);
        self.filled.notify_one();
        Ok(())
    }

    /// An empty queue has room for anything, so that one frame larger than the bound does not end every session.
    fn has_room(&self, lane: &Lane, size: usize) -> bool {
        let frames = lane.items.len();
        frames == 0 || (frames < self.max_frames && lane.bytes + size <= self.max_bytes)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic of a push being merged leaves the queue as it was.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn lane_of_pushes(&mut self) -> &mut Lane {
        self.held.as_mut().unwrap_or(&mut self.ready)
    }
}

impl Lane {
    fn add(&mut self, item: Item) {
        self.bytes += item.size();
        self.items.push_back(item);
    }

    fn pop(&mut self) -> Option<Item> {
        let item = self.items.pop_front()?;
        self.bytes = self.bytes.saturating_sub(item.size());
        Some(item)
    }

    /// Lets the last waiting push with its key take `push` in.
    fn absorb(&mut self, push: &mut dyn Mergeable, max_bytes: usize) -> bool {
        if self.bytes + push.size() > max_bytes {
            return false;
        }
        let last = self.items.iter_mut().rev().find_map(|item| match item {
            Item::Mergeable(last) if last.key() == push.key() => Some(last),
            _ => None,
        });
        let Some(last) = last else { return false };
        let before = last.size();
        let absorbed = last.absorb(push);
        self.bytes = self.bytes.saturating_sub(before) + last.size();
        absorbed
    }
}

impl Item {
    fn size(&self) -> usize {
        match self {
            Self::Frame(frame) => frame.encoded_len(),
            Self::Mergeable(push) => push.size(),
        }
    }
}

fn encode(frame: Frame, out: &mut WriteBuffer) {
    let id = frame.id;
    if let Err(error) = out.push_frame(frame) {
        tracing::error!(id, %error, "a frame that cannot be sent was dropped");
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
        assert_eq!(queue.take(&mut out, 3, usize::MAX), 3);
        out.clear();
        assert_eq!(queue.take(&mut out, usize::MAX, 15), 2);
        out.clear();
        assert_eq!(queue.take(&mut out, 0, 0), 1);
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
        assert_eq!(queue.lock().ready.bytes, 0);
    }
}
