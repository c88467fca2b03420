//! A connection lent to one user.

use std::{
    fmt,
    ops::{Deref, DerefMut},
    sync::Arc,
};

use deadpool::managed::Object;
use tokio::{runtime::Handle, time::Instant};

use crate::{Manager, recycle::Adapter};

/// A connection that belongs to one user until this value is dropped; then it goes back to the pool.
///
/// On its way back a broken connection is dropped instead, and a dirty one (an open transaction, say)
/// is cleaned by a small task first: until then it counts as lent. Without a runtime to run that task
/// on, it is dropped.
///
/// If you abandon a request half-way (by dropping its future) and the connection's type cannot tell,
/// end the lease with [`discard`](Self::discard).
pub struct Lease<M: Manager> {
    object: Option<Object<Adapter<M>>>,
}

impl<M: Manager> Lease<M> {
    pub(crate) fn new(object: Object<Adapter<M>>) -> Self {
        Self { object: Some(object) }
    }

    /// Drops the connection instead of giving it back; the pool makes a new one when it needs it.
    pub fn discard(mut self) {
        if let Some(object) = self.object.take() {
            drop(Object::take(object));
        }
    }

    /// Takes the connection out of the pool, for its owner to close or keep; the pool makes a new one when it needs it.
    #[must_use = "use `discard` to drop the connection"]
    pub fn into_connection(mut self) -> M::Connection {
        let object = self.object.take();
        Object::take(object.expect("only this, discard and drop, which end the lease, take it out")).connection
    }

    fn object(&self) -> &Object<Adapter<M>> {
        self.object.as_ref().expect("only into_connection, discard and drop, which end the lease, take it out")
    }
}

impl<M: Manager> Deref for Lease<M> {
    type Target = M::Connection;

    fn deref(&self) -> &M::Connection {
        &self.object().connection
    }
}

impl<M: Manager> DerefMut for Lease<M> {
    fn deref_mut(&mut self) -> &mut M::Connection {
        let object = self.object.as_mut();
        &mut object.expect("only into_connection, discard and drop, which end the lease, take it out").connection
    }
}

impl<M: Manager> Drop for Lease<M> {
    fn drop(&mut self) {
        let Some(mut object) = self.object.take() else {
            return;
        };
        let manager = &object.core.manager;
        if manager.is_broken(&object.connection) {
            drop(Object::take(object));
        } else if manager.is_dirty(&object.connection) {
            clean(object);
        } else {
            object.returned_at = Instant::now();
        }
    }
}

fn clean<M: Manager>(object: Object<Adapter<M>>) {
    let Ok(runtime) = Handle::try_current() else {
        drop(Object::take(object));
        return;
    };
    let mut cleaning = Cleaning(Some(object));
    runtime.spawn(async move { cleaning.run().await });
}

/// Gives the connection back only if it was cleaned to the end; a task that is dropped half-way (its
/// runtime shuts down) drops the connection too.
struct Cleaning<M: Manager>(Option<Object<Adapter<M>>>);

impl<M: Manager> Cleaning<M> {
    async fn run(&mut self) {
        let Some(object) = &mut self.0 else {
            return;
        };
        let core = Arc::clone(&object.core);
        if core.clean(&mut object.connection).await {
            object.returned_at = Instant::now();
            self.0 = None;
        }
    }
}

impl<M: Manager> Drop for Cleaning<M> {
    fn drop(&mut self) {
        if let Some(object) = self.0.take() {
            drop(Object::take(object));
        }
    }
}

/// Without the connection, which may hold a secret.
impl<M: Manager> fmt::Debug for Lease<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").finish_non_exhaustive()
    }
}
