//! The one task that works for a pool: it connects, cleans what was given back dirty, keeps as many connections idle
//! as wanted and no longer than allowed, and turns away the callers whose time is over.
//!
//! The pool owns it. It starts with the pool, or with the first call if the pool was built outside of a runtime,
//! and ends with the last clone of the pool. If its runtime ends before, the next call that needs it starts it again.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use deadpool::managed::{self, Timeouts};
use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot},
    task::{AbortHandle, JoinError, JoinSet},
    time::{Instant, sleep_until},
};
use tracing::error;

use crate::{
    FailedStep, Manager, PoolError,
    core::{Adapter, Core},
    lease::{Fresh, Guarded, Turn},
};

/// More than there are connections, and no memory is taken before it is needed.
const MOST_REQUESTS: usize = 8_192;
/// Idle connections are looked at so often, or in an eighth of the time they may last if that is less.
const SWEEP_EVERY: Duration = Duration::from_secs(30);
const SWEEP_AT_MOST_EVERY: Duration = Duration::from_millis(10);

/// What upkeep is asked to do.
pub(crate) enum Request<M: Manager> {
    /// For a caller that holds a place.
    Connect(Caller<M>),
    Clean(Guarded<M>),
    /// Something at the gate has changed.
    Look,
}

type Connected<M> = Result<Fresh<M>, PoolError<<M as Manager>::Error>>;
type Caller<M> = oneshot::Sender<Connected<M>>;

/// The pool's hold on its task.
pub(crate) struct Upkeep<M: Manager>(Mutex<State<M>>);

enum State<M: Manager> {
    NotStarted,
    Running {
        requests: mpsc::Sender<Request<M>>,
        task: AbortHandle,
    },
    /// The pool is gone.
    Ended,
}

impl<M: Manager> Upkeep<M> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(State::NotStarted))
    }

    /// Where to send requests; starts the task if need be. `None` if it has ended, or is not started and the caller is
    /// on no runtime.
    pub(crate) fn requests(&self, core: &Arc<Core<M>>) -> Option<mpsc::Sender<Request<M>>> {
        let mut state = self.state();
        match &*state {
            State::Running { requests, .. } if !requests.is_closed() => return Some(requests.clone()),
            State::Running { .. } | State::NotStarted => {}
            State::Ended => return None,
        }
        let runtime = Handle::try_current().ok()?;
        let (requests, received) = mpsc::channel(MOST_REQUESTS);
        let task = runtime.spawn(Task::new(core, received).run()).abort_handle();
        *state = State::Running { requests: requests.clone(), task };
        Some(requests)
    }

    /// Has the task, if it runs, see what has changed.
    pub(crate) fn look(&self) {
        if let State::Running { requests, .. } = &*self.state() {
            // A full channel wakes it, too.
            let _ = requests.try_send(Request::Look);
        }
    }

    /// Ends the task and what it works on, for good.
    pub(crate) fn end(&self) {
        if let State::Running { task, .. } = std::mem::replace(&mut *self.state(), State::Ended) {
            task.abort();
        }
    }

    fn state(&self) -> MutexGuard<'_, State<M>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Task<M: Manager> {
    core: Arc<Core<M>>,
    received: mpsc::Receiver<Request<M>>,
    /// Callers that hold a place and need a connection, the first that came first.
    callers: VecDeque<Caller<M>>,
    connects: JoinSet<Connected<M>>,
    cleanings: JoinSet<()>,
    sweep_every: Duration,
    next_sweep: Instant,
}

impl<M: Manager> Task<M> {
    fn new(core: &Arc<Core<M>>, received: mpsc::Receiver<Request<M>>) -> Self {
        let shortest = core.config.max_idle.min(core.config.max_lifetime);
        let sweep_every = (shortest / 8).clamp(SWEEP_AT_MOST_EVERY, SWEEP_EVERY);
        Self {
            core: Arc::clone(core),
            received,
            callers: VecDeque::new(),
            connects: JoinSet::new(),
            cleanings: JoinSet::new(),
            sweep_every,
            next_sweep: Instant::now() + sweep_every,
        }
    }

    async fn run(mut self) {
        loop {
            let now = Instant::now();
            if now >= self.next_sweep {
                self.core.sweep();
                self.next_sweep = now + self.sweep_every;
            }
            let refill_at = self.start_connects();
            let expire_at = self.core.gate.expire(now);
            let due = [expire_at, refill_at].into_iter().flatten().fold(self.next_sweep, Instant::min);
            tokio::select! {
                request = self.received.recv() => match request {
                    Some(request) => self.take(request),
                    None => return,
                },
                Some(connected) = self.connects.join_next() => self.connected(connected),
                Some(cleaned) = self.cleanings.join_next() => {
                    if let Err(panic) = cleaned {
                        error!(pool = %self.core.name, %panic, "cleaning did not end");
                    }
                }
                () = sleep_until(due) => {}
            }
        }
    }

    fn take(&mut self, request: Request<M>) {
        match request {
            Request::Connect(caller) => {
                if !self.connects.is_empty() {
                    self.callers.retain(|caller| !caller.is_closed());
                }
                // One that has given up by now still gets its connect: it may be the one that was to probe.
                self.callers.push_back(caller);
            }
            Request::Clean(guarded) => drop(self.cleanings.spawn(guarded.clean())),
            Request::Look => {}
        }
    }

    /// Connects for the callers that need it, and for those to come. Says when to try again if the peer may not be
    /// asked now.
    fn start_connects(&mut self) -> Option<Instant> {
        if self.core.gate.is_closed() {
            self.callers.clear();
            self.connects.abort_all();
            return None;
        }
        while !self.callers.is_empty()
            && let Some(object) = self.core.gate.take_resting()
        {
            self.deliver(Fresh::new(&self.core, object));
        }
        while self.connects.len() < self.callers.len() && self.may_connect() {
            self.connect();
        }
        let for_later = self.connects.len().saturating_sub(self.callers.len());
        for _ in for_later..self.core.gate.missing() {
            if !self.may_connect() {
                break;
            }
            if self.core.breaker.admit::<M::Error>().is_err() {
                return self.core.breaker.retry_at();
            }
            self.connect();
        }
        None
    }

    /// While no connection exists nobody knows whether the peer is there, and one attempt is enough to find out.
    fn may_connect(&self) -> bool {
        self.connects.is_empty() || self.managed().is_some_and(|managed| managed.status().size > 0)
    }

    fn connect(&mut self) {
        let Some(managed) = self.managed() else {
            return;
        };
        let core = Arc::clone(&self.core);
        self.connects.spawn(async move {
            // deadpool makes a new one, since none rests there, and has room for it: callers hold places, and those to
            // come get only what is left.
            let at_once = Timeouts { wait: Some(Duration::ZERO), create: None, recycle: None };
            match managed.timeout_get(&at_once).await {
                Ok(object) => Ok(Fresh::new(&core, Box::new(object))),
                Err(managed::PoolError::Backend(error)) => Err(error),
                Err(managed::PoolError::Timeout(_)) => Err(PoolError::Wait { after: core.config.wait }),
                Err(_) => Err(PoolError::Closed),
            }
        });
    }

    fn managed(&self) -> Option<managed::Pool<Adapter<M>>> {
        self.core.managed.get()?.upgrade()
    }

    fn connected(&mut self, outcome: Result<Connected<M>, JoinError>) {
        match outcome {
            Ok(Ok(fresh)) => return self.deliver(fresh),
            Ok(Err(error)) => self.fail(error),
            Err(ended) if ended.is_cancelled() => {}
            Err(panic) => {
                error!(pool = %self.core.name, %panic, "connecting did not end");
                self.core.breaker.fail(FailedStep::Connect);
            }
        }
        // As many as connects are under way may hope for one of these; there will be no others for a while.
        while self.callers.len() > self.connects.len()
            && let Some(refusal) = self.core.breaker.refusal()
        {
            self.fail(refusal);
        }
    }

    /// For the caller that came first; if there is none, it rests.
    fn deliver(&mut self, mut fresh: Fresh<M>) {
        while let Some(caller) = self.callers.pop_front() {
            match caller.send(Ok(fresh)) {
                Err(Ok(back)) => fresh = back,
                _ => return,
            }
        }
    }

    fn fail(&mut self, mut error: PoolError<M::Error>) {
        while let Some(caller) = self.callers.pop_front() {
            match caller.send(Err(error)) {
                Err(Err(back)) => error = back,
                _ => return,
            }
        }
    }
}

/// However the task ends, nobody may count on it from here on.
impl<M: Manager> Drop for Task<M> {
    fn drop(&mut self) {
        self.received.close();
        self.core.breaker.give_up();
        for caller in self.core.gate.unwatch() {
            // Whoever gave up meanwhile needs no word.
            let _ = caller.send(Turn::Unwatched);
        }
    }
}
