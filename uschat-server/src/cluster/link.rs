//! What the adapters of [`PeerBus`](super::PeerBus) share: one queue and one task a peer, whatever is said over it.

use std::{error::Error, future::Future, iter, sync::Arc, time::Duration};

use dashmap::{DashMap, Entry};
use tokio::{
    sync::mpsc::{self, error::TrySendError},
    time::{Instant, timeout, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{Code, Status};
use uschat_pool::{
    Shared, SharedConfig,
    grpc::{GrpcChannel, GrpcConfig, GrpcManager},
};

use super::{BusError, Loss, Outages, Peer};

/// The bounds of a link to a peer.
#[derive(Debug, Clone)]
pub struct LinkConfig {
    /// Events that may wait for one peer. Default 4,096.
    pub queue: usize,
    /// How long a call may take, connecting included; also how long what waits may take when the bus stops. Default 3 s.
    pub deadline: Duration,
}

impl Default for LinkConfig {
    fn default() -> Self {
        Self { queue: 4_096, deadline: Duration::from_secs(3) }
    }
}

/// Says events to one peer in its dialect.
pub(super) trait Speaker: Send + Sync + 'static {
    /// What waits in the queue.
    type Event: Send + 'static;
    /// What one call carries.
    type Request: Send;

    /// The next call: the first event and as many of those that wait as go along with it. Says how many that are.
    fn request(&mut self, first: Self::Event, waiting: &mut Waiting<Self::Event>) -> (u64, Self::Request);

    /// Makes the call.
    fn call(&self, channel: GrpcChannel, request: Self::Request) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// Why a call told nobody anything, as far as we know.
pub(super) struct Failure {
    pub(super) loss: Loss,
    pub(super) cause: String,
}

/// Links to any number of peers, so that one that hangs holds no other up.
#[derive(Debug)]
pub(super) struct Links<E> {
    config: LinkConfig,
    links: DashMap<String, Link<E>>,
    tasks: TaskTracker,
    stopping: CancellationToken,
    outages: Arc<Outages>,
}

#[derive(Debug)]
struct Link<E> {
    address: String,
    queue: mpsc::Sender<E>,
}

impl<E: Send + 'static> Links<E> {
    /// No link yet: each comes up with the first event for its peer.
    pub(super) fn new(config: LinkConfig, outages: Arc<Outages>) -> Self {
        let (tasks, stopping) = (TaskTracker::new(), CancellationToken::new());
        Self { config, links: DashMap::new(), tasks, stopping, outages }
    }

    /// Queues an event for a peer; `speaker` is made if it gets a new link.
    pub(super) fn send<S: Speaker<Event = E>>(
        &self,
        peer: Peer<'_>,
        event: E,
        speaker: impl FnOnce() -> S,
    ) -> Result<(), BusError> {
        if self.tasks.is_closed() {
            return Err(BusError::Stopped);
        }
        let queue = match self.links.get(peer.name).filter(|link| link.address == peer.address) {
            Some(link) => link.queue.clone(),
            None => self.queue_of_new(peer, speaker)?,
        };
        queue.try_send(event).map_err(|error| match error {
            TrySendError::Full(_) => BusError::Full,
            TrySendError::Closed(_) => BusError::Stopped,
        })
    }

    /// A peer that came back elsewhere gets a new link; the old one ends when its queue is empty.
    fn queue_of_new<S: Speaker<Event = E>>(
        &self,
        peer: Peer<'_>,
        speaker: impl FnOnce() -> S,
    ) -> Result<mpsc::Sender<E>, BusError> {
        match self.links.entry(peer.name.to_owned()) {
            // Somebody else was faster: a second link would break the order.
            Entry::Occupied(link) if link.get().address == peer.address => Ok(link.get().queue.clone()),
            entry => {
                let link = self.open(peer, speaker())?;
                let queue = link.queue.clone();
                entry.insert(link);
                Ok(queue)
            }
        }
    }

    fn open<S: Speaker<Event = E>>(&self, peer: Peer<'_>, speaker: S) -> Result<Link<E>, BusError> {
        let call_deadline = self.config.deadline;
        // Less than the whole, so that an attempt fails, and is followed by a pause, before the deadline cuts it off.
        let grpc = GrpcConfig { connect_timeout: call_deadline * 2 / 3, call_deadline, ..GrpcConfig::default() };
        let manager = GrpcManager::new(format!("http://{}", peer.address), &grpc).map_err(|_| BusError::BadAddress)?;
        let channels =
            Shared::new(format!("peer {}", peer.name), manager, SharedConfig { size: 1, ..SharedConfig::default() })
                .map_err(|_| BusError::BadAddress)?;
        let (queue, waiting) = mpsc::channel(self.config.queue);
        let task = LinkTask {
            peer: peer.name.to_owned(),
            deadline: self.config.deadline,
            channels,
            speaker,
            waiting: Waiting { queue: waiting, next: None },
            stopping: self.stopping.clone(),
            outages: self.outages.clone(),
        };
        self.tasks.spawn(task.run());
        Ok(Link { address: peer.address.to_owned(), queue })
    }

    /// Sends what waits, for as long as the deadline, and stops.
    pub(super) async fn stop(&self) {
        self.tasks.close();
        self.links.clear();
        if timeout(self.config.deadline, self.tasks.wait()).await.is_err() {
            self.stopping.cancel();
            self.tasks.wait().await;
        }
    }
}

/// The queue of a link, from which a speaker may take what goes into the same call.
pub(super) struct Waiting<E> {
    queue: mpsc::Receiver<E>,
    /// Looked at, and not taken.
    next: Option<E>,
}

impl<E> Waiting<E> {
    /// The next event, if one waits and `goes_along`.
    pub(super) fn next_if(&mut self, goes_along: impl FnOnce(&E) -> bool) -> Option<E> {
        let next = self.next.take().or_else(|| self.queue.try_recv().ok())?;
        if goes_along(&next) {
            return Some(next);
        }
        self.next = Some(next);
        None
    }

    async fn next(&mut self) -> Option<E> {
        match self.next.take() {
            Some(next) => Some(next),
            None => self.queue.recv().await,
        }
    }

    fn is_empty(&self) -> bool {
        self.next.is_none() && self.queue.is_empty()
    }
}

struct LinkTask<S: Speaker> {
    peer: String,
    deadline: Duration,
    channels: Shared<GrpcManager>,
    speaker: S,
    waiting: Waiting<S::Event>,
    stopping: CancellationToken,
    outages: Arc<Outages>,
}

impl<S: Speaker> LinkTask<S> {
    async fn run(mut self) {
        while let Some(first) = self.first().await {
            let (events, request) = self.speaker.request(first, &mut self.waiting);
            let told = tell(&self.channels, &self.speaker, self.deadline, request);
            match self.stopping.run_until_cancelled(told).await {
                // With more to come the next call may fail like the last one: one outage, not many.
                Some(Ok(())) if self.waiting.is_empty() => self.outages.told(&self.peer),
                Some(Ok(())) => {}
                // Not sent again: the peer may have acted on it. What was said is in the store.
                Some(Err(Failure { loss, cause })) => self.outages.lost(&self.peer, events, loss, &cause),
                None => self.outages.lost(&self.peer, events, Loss::Stopping, &"this server stops"),
            }
        }
    }

    /// Waits for an event, or until the bus was stopped and none is left.
    async fn first(&mut self) -> Option<S::Event> {
        tokio::select! {
            biased;
            first = self.waiting.next() => return first,
            () = self.stopping.cancelled() => self.waiting.queue.close(),
        }
        self.waiting.next().await
    }
}

/// A connection and a call over it, both within the deadline. A connection that did not bring an answer is given up: the
/// next call asks for a sign of life first, and pauses if there is none.
async fn tell<S: Speaker>(
    channels: &Shared<GrpcManager>,
    speaker: &S,
    deadline: Duration,
    request: S::Request,
) -> Result<(), Failure> {
    let until = Instant::now() + deadline;
    let unreachable = |cause: String| Failure { loss: Loss::Unreachable, cause };
    let channel = match timeout_at(until, channels.handle()).await {
        Ok(connected) => connected.map_err(|error| unreachable(with_sources(&error)))?,
        Err(_) => return Err(unreachable("no connection within the deadline".into())),
    };
    let failure = match timeout_at(until, speaker.call((*channel).clone(), request)).await {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(failure)) => failure,
        Err(_) => Failure { loss: Loss::NoAnswer, cause: "no answer within the deadline".into() },
    };
    if failure.loss == Loss::NoAnswer {
        channel.broken();
    }
    Err(failure)
}

/// An error and what is behind it: the log has one line an outage, which should tell.
fn with_sources(error: &(dyn Error + 'static)) -> String {
    let all = iter::successors(Some(error), |&error| error.source());
    all.map(|error| error.to_string()).collect::<Vec<_>>().join(": ")
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        let loss = match status.code() {
            // Those that a failed connection or a deadline is reported with.
            Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown | Code::Internal => {
                Loss::NoAnswer
            }
            _ => Loss::Refused,
        };
        Self { loss, cause: format!("{:?}: {}", status.code(), status.message()) }
    }
}
