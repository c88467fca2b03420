//! A connection lent to one user, and what stands for it on its way.

use std::{
    fmt,
    ops::{Deref, DerefMut},
    sync::Arc,
};

use deadpool::managed::Object;
use tokio::{sync::oneshot, time::Instant};

use crate::{
    Manager,
    core::{Boxed, Core},
    gate::Given,
    observe::Closed,
    upkeep::Request,
};

/// A connection that belongs to one user until this value is dropped; then it goes back to the pool.
///
/// On its way back a broken connection is dropped instead, and a dirty one (an open transaction, say)
/// is cleaned by the pool's upkeep first: until then it counts as lent. If upkeep has ended, with the pool or
/// with its runtime, and cannot start again, it is dropped.
///
/// If you abandon a request half-way (by dropping its future) and the connection's type cannot tell,
/// end the lease with [`discard`](Self::discard).
pub struct Lease<M: Manager> {
    held: Option<Held<M>>,
}

impl<M: Manager> Lease<M> {
    /// Drops the connection instead of giving it back; the pool makes a new one when it needs it.
    pub fn discard(mut self) {
        if let Some(held) = self.held.take() {
            held.discard(Closed::Discarded);
        }
    }

    /// Takes the connection out of the pool, for its owner to close or keep; the pool makes a new one when it needs it.
    #[must_use = "use `discard` to drop the connection"]
    pub fn into_connection(mut self) -> M::Connection {
        let held = self.held.take().expect("only this, discard and drop, which end the lease, take it out");
        let pooled = Object::take(*held.object);
        held.core.meters.closed(Closed::Taken);
        leave(&held.core);
        pooled.connection
    }

    /// The connection, and whether it must not be lent again whatever its manager thinks.
    #[cfg(feature = "sql")]
    pub(crate) fn parts(&mut self) -> (&mut M::Connection, &mut bool) {
        let held =
            self.held.as_mut().expect("only into_connection, discard and drop, which end the lease, take it out");
        let pooled = &mut **held.object;
        (&mut pooled.connection, &mut pooled.is_unsure)
    }

    fn held(&self) -> &Held<M> {
        self.held.as_ref().expect("only into_connection, discard and drop, which end the lease, take it out")
    }
}

impl<M: Manager> Deref for Lease<M> {
    type Target = M::Connection;

    fn deref(&self) -> &M::Connection {
        &self.held().object.connection
    }
}

impl<M: Manager> DerefMut for Lease<M> {
    fn deref_mut(&mut self) -> &mut M::Connection {
        let held = self.held.as_mut();
        &mut held.expect("only into_connection, discard and drop, which end the lease, take it out").object.connection
    }
}

impl<M: Manager> Drop for Lease<M> {
    fn drop(&mut self) {
        let Some(held) = self.held.take() else {
            return;
        };
        // Should the manager panic, the connection goes and its place is kept.
        let mut guarded = Guarded { held: Some(held), otherwise: Closed::Broken };
        let Some(held) = &mut guarded.held else {
            return;
        };
        if held.object.is_unsure || held.core.manager.is_broken(&held.object.connection) {
            drop(guarded);
        } else if held.core.manager.is_dirty(&mut held.object.connection) {
            let core = Arc::clone(&held.core);
            guarded.otherwise = Closed::Unclean;
            if let Some(requests) = core.upkeep.requests(&core) {
                // If it is not taken, it comes back and its drop discards the connection.
                let _ = requests.try_send(Request::Clean(guarded));
            }
        } else if let Some(held) = guarded.held.take() {
            held.give_back();
        }
    }
}

/// Without the connection, which may hold a secret.
impl<M: Manager> fmt::Debug for Lease<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").finish_non_exhaustive()
    }
}

/// A connection and the place it takes. Must not be dropped as it is.
struct Held<M: Manager> {
    core: Arc<Core<M>>,
    object: Boxed<M>,
}

impl<M: Manager> Held<M> {
    /// Lends the connection to the next caller, or lets it rest.
    fn give_back(mut self) {
        let now = Instant::now();
        self.object.rests_since = now;
        while !self.object.is_over(now) {
            let Self { core, object } = self;
            match core.gate.give(object, now) {
                Given::Rests => return,
                Given::Surplus(object) => {
                    let why = if core.gate.is_closed() { Closed::Shutdown } else { Closed::Surplus };
                    return core.close(object, why);
                }
                Given::Next(caller, object) => {
                    let Err(Turn::Lease(mut back)) =
                        caller.send(Turn::Lease(Lease { held: Some(Held { core, object }) }))
                    else {
                        return;
                    };
                    let Some(held) = back.held.take() else {
                        return;
                    };
                    self = held;
                }
            }
        }
        self.discard(Closed::Lifetime);
    }

    fn discard(self, why: Closed) {
        self.core.close(self.object, why);
        leave(&self.core);
    }
}

/// Passes the place of a connection that is gone to the next caller.
fn leave<M: Manager>(core: &Arc<Core<M>>) {
    while let Some(caller) = core.gate.leave(Instant::now()) {
        match caller.send(Turn::Place(Place(Some(Arc::clone(core))))) {
            Err(Turn::Place(mut place)) => drop(place.0.take()),
            _ => return,
        }
    }
}

/// Hands a new place to a caller that waits for one.
pub(crate) fn hand_place<M: Manager>(core: &Arc<Core<M>>, caller: oneshot::Sender<Turn<M>>) {
    // If the caller has given up, the place comes back and is passed on.
    let _ = caller.send(Turn::Place(Place(Some(Arc::clone(core)))));
}

/// What a caller that waited is handed.
pub(crate) enum Turn<M: Manager> {
    Lease(Lease<M>),
    /// A place without a connection.
    Place(Place<M>),
    /// Nobody watches the time any more: queue again.
    Unwatched,
}

/// A place on its way to a caller that waited; passed on when it is dropped.
pub(crate) struct Place<M: Manager>(Option<Arc<Core<M>>>);

impl<M: Manager> Place<M> {
    /// For the caller it was meant for, which knows the pool.
    pub(crate) fn arrive(mut self, core: &Arc<Core<M>>) -> Entered<'_, M> {
        self.0 = None;
        Entered(core)
    }
}

impl<M: Manager> Drop for Place<M> {
    fn drop(&mut self) {
        if let Some(core) = self.0.take() {
            leave(&core);
        }
    }
}

/// The place of a caller that has entered the gate; passed on when it is dropped.
pub(crate) struct Entered<'a, M: Manager>(pub(crate) &'a Arc<Core<M>>);

impl<'a, M: Manager> Entered<'a, M> {
    /// Lends a new connection.
    pub(crate) fn lend(self, fresh: Fresh<M>) -> Lease<M> {
        Lease { held: Some(self.hold(fresh.take())) }
    }

    /// Checks a connection that has rested. The place comes back if it must not be lent, and the connection is dropped;
    /// so it is if the caller gives up.
    pub(crate) async fn check(self, object: Boxed<M>) -> Result<Lease<M>, Self> {
        let core = self.0;
        let mut guarded = Guarded { held: Some(self.hold(object)), otherwise: Closed::Unverified };
        let verdict = match &mut guarded.held {
            Some(held) => core.check(&mut held.object).await,
            None => Ok(()),
        };
        match (guarded.held.take(), verdict) {
            (Some(held), Ok(())) => Ok(Lease { held: Some(held) }),
            (held, verdict) => {
                let place = Entered(core);
                if let (Some(held), Err(why)) = (held, verdict) {
                    core.close(held.object, why);
                }
                Err(place)
            }
        }
    }

    fn hold(self, object: Boxed<M>) -> Held<M> {
        let core = Arc::clone(self.0);
        std::mem::forget(self);
        Held { core, object }
    }
}

impl<M: Manager> Drop for Entered<'_, M> {
    fn drop(&mut self) {
        leave(self.0);
    }
}

/// A new connection on its way to whoever needs it first; rests when it is dropped.
pub(crate) struct Fresh<M: Manager> {
    core: Arc<Core<M>>,
    object: Option<Boxed<M>>,
}

impl<M: Manager> Fresh<M> {
    pub(crate) fn new(core: &Arc<Core<M>>, object: Boxed<M>) -> Self {
        Self { core: Arc::clone(core), object: Some(object) }
    }

    fn take(mut self) -> Boxed<M> {
        self.object.take().expect("only this and drop, which end it, take it out")
    }
}

impl<M: Manager> Drop for Fresh<M> {
    fn drop(&mut self) {
        if let Some(object) = self.object.take()
            && let Err(object) = self.core.gate.add_resting(object)
        {
            self.core.close(object, Closed::Shutdown);
        }
    }
}

/// A connection in the middle of something that makes it fit. Dropped before that has ended (its caller gives up, its
/// runtime shuts down), the connection is dropped too.
pub(crate) struct Guarded<M: Manager> {
    held: Option<Held<M>>,
    /// Why it is dropped then.
    otherwise: Closed,
}

impl<M: Manager> Guarded<M> {
    /// Cleans the connection and gives it back.
    pub(crate) async fn clean(mut self) {
        let Some(held) = &mut self.held else {
            return;
        };
        if held.core.clean(&mut held.object.connection).await
            && let Some(held) = self.held.take()
        {
            held.give_back();
        }
    }
}

impl<M: Manager> Drop for Guarded<M> {
    fn drop(&mut self) {
        if let Some(held) = self.held.take() {
            held.discard(self.otherwise);
        }
    }
}
