//! What waits to be written to one session. In-house because it is bounded in frames and bytes, refuses pushes but lets
//! answers wait, holds pushes back during a login, merges what may be merged, carries marks, and costs an idle session no
//! memory.

mod lane;

use std::{
    pin::pin,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Buf;
use tokio::sync::Notify;
use uschat_wire::{Frame, WriteBuffer};

pub use self::lane::Mergeable;
use self::lane::{Item, Lane};

/// Places for frames that an empty queue keeps.
const KEPT_PLACES: usize = 64;

/// The outbound queue of one session.
pub(crate) struct Outbound {
    state: Mutex<State>,
    /// Whether pushes are held. Every answer asks, so it is known without the lock.
    holding: AtomicBool,
    /// Something to take, or the end.
    filled: Notify,
    /// Room for an answer that waits.
    room: Notify,
    /// Ample room for whoever has much to push.
    ample_room: Notify,
    max_frames: usize,
    max_bytes: usize,
}

#[derive(Default)]
struct State {
    ready: Lane,
    held: Option<Box<Held>>,
    /// Pushes are refused; answers are still taken in.
    pushes_ended: bool,
    /// Nothing is taken in any more; what waits is still written.
    finished: bool,
}

/// Pushes that must not overtake answers. Bounded by themselves, so that they leave room for those.
#[derive(Default)]
struct Held {
    /// The requests whose answers they wait for.
    requests: Vec<u64>,
    lane: Lane,
}

/// What was taken out to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Taken {
    pub(super) frames: usize,
    /// The last mark that nothing left in the queue precedes.
    pub(super) mark: Option<u64>,
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
            holding: AtomicBool::new(false),
            filled: Notify::new(),
            room: Notify::new(),
            ample_room: Notify::new(),
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

    /// Notes the place behind the last push. Nothing once pushes have ended: some may have been refused by then.
    pub(super) fn mark(&self, mark: u64) {
        let mut state = self.lock();
        if state.pushes_ended {
            return;
        }
        state.lane_of_pushes().mark(mark);
        drop(state);
        self.filled.notify_one();
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

    /// From now on pushes wait until the answer to `request` has left, besides those they wait for already; answers do not.
    pub(crate) fn hold(&self, request: u64) {
        let mut state = self.lock();
        let requests = &mut state.held.get_or_insert_default().requests;
        if !requests.contains(&request) {
            requests.push(request);
        }
        self.holding.store(true, Ordering::Release);
    }

    /// The answer to `request` has left: lets the pushes go, in order, if it was the last they waited for.
    pub(super) fn release(&self, request: u64) {
        if !self.holding.load(Ordering::Acquire) {
            return;
        }
        let mut state = self.lock();
        let Some(held) = &mut state.held else { return };
        held.requests.retain(|waited_for| *waited_for != request);
        if !held.requests.is_empty() {
            return;
        }
        self.holding.store(false, Ordering::Release);
        if let Some(held) = state.held.take() {
            state.ready.append(held.lane);
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
        self.ample_room.notify_waiters();
    }

    /// Takes nothing in any more; [`Outbound::ready`] ends when what waits is written.
    pub(super) fn finish(&self) {
        let mut state = self.lock();
        state.pushes_ended = true;
        state.finished = true;
        drop(state);
        self.tell_of_the_end();
    }

    /// As [`Outbound::finish`], and throws away what waits.
    pub(super) fn abandon(&self) {
        let ended = State { pushes_ended: true, finished: true, ..State::default() };
        let abandoned = std::mem::replace(&mut *self.lock(), ended);
        self.tell_of_the_end();
        drop(abandoned);
    }

    /// Waits until something can be taken. False at the end.
    ///
    /// Cancel safe; for one task at a time.
    pub(super) async fn ready(&self) -> bool {
        loop {
            {
                let state = self.lock();
                if !state.ready.is_empty() {
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
    /// waits. Takes the marks along that these were pushed before.
    pub(super) fn take(&self, out: &mut WriteBuffer, max_frames: usize, max_bytes: usize) -> Taken {
        let mut taken = Taken::default();
        let mut state = self.lock();
        let (mut was_full, mut was_scarce) = self.pressure(&state.ready);
        loop {
            let frames_too = taken.frames == 0 || (taken.frames < max_frames && out.remaining() < max_bytes);
            let Some(item) = state.ready.pop(frames_too) else { break };
            match item {
                Item::Mark(mark) => {
                    taken.mark = Some(mark);
                    continue;
                }
                Item::Frame(frame) => encode(frame, out),
                Item::Mergeable(push) => {
                    // The application's code, which must not run under the lock.
                    drop(state);
                    match push.to_frame() {
                        Some(frame) => encode(frame, out),
                        None => tracing::error!("a push without a form on the wire was dropped"),
                    }
                    state = self.lock();
                    // Somebody may have filled it meanwhile, and begun to wait.
                    let (is_full, is_scarce) = self.pressure(&state.ready);
                    was_full |= is_full;
                    was_scarce |= is_scarce;
                }
            }
            taken.frames += 1;
        }
        let (is_full, is_scarce) = self.pressure(&state.ready);
        if state.ready.is_empty() && state.ready.places() > KEPT_PLACES {
            // A burst does not pin its memory.
            state.ready = Lane::default();
        }
        drop(state);
        // Only when it is news: whoever waits for much room need not hear of every frame that left.
        if was_full && !is_full {
            self.room.notify_waiters();
        }
        if was_scarce && !is_scarce {
            self.ample_room.notify_waiters();
        }
        taken
    }

    /// Whether pushes fill at most half of what they may: enough is left for everything that is pushed without asking.
    pub(super) fn has_ample_room(&self) -> bool {
        let mut state = self.lock();
        let (_, is_scarce) = self.pressure(state.lane_of_pushes());
        !is_scarce
    }

    /// Waits until there is ample room; false when pushes have ended. Cancel safe.
    pub(super) async fn ample_room(&self) -> bool {
        loop {
            let mut ample_room = pin!(self.ample_room.notified());
            ample_room.as_mut().enable();
            if self.lock().pushes_ended {
                return false;
            }
            if self.has_ample_room() {
                return true;
            }
            // Held pushes come to be ready ones, so there too it is the writer who makes room.
            ample_room.await;
        }
    }

    /// Whether nothing waits at this moment.
    pub(super) fn is_empty(&self) -> bool {
        self.lock().ready.is_empty()
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
        let frames = lane.frames();
        frames == 0 || (frames < self.max_frames && lane.bytes() + size <= self.max_bytes)
    }

    /// Whether an answer must wait, and whether more than half is taken.
    fn pressure(&self, lane: &Lane) -> (bool, bool) {
        let is_scarce = lane.frames() > self.max_frames / 2 || lane.bytes() > self.max_bytes / 2;
        (!self.has_room(lane, 0), is_scarce)
    }

    fn tell_of_the_end(&self) {
        self.filled.notify_one();
        self.room.notify_waiters();
        self.ample_room.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic of a push being merged leaves the queue as it was.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn lane_of_pushes(&mut self) -> &mut Lane {
        match &mut self.held {
            Some(held) => &mut held.lane,
            None => &mut self.ready,
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
mod tests;
