//! Calls that a pool makes for its user: a connection is lent for one attempt, and how that went decides what becomes of it.

use std::{
    error::Error,
    fmt,
    ops::{Deref, DerefMut},
    sync::{Arc, Mutex, PoisonError},
};

use tracing::{Instrument, warn_span};

use crate::{CallError, CallFailure, Lease, Manager, Pool, Retry, Shared};

impl<M: Manager> Pool<M> {
    /// Lends a connection to `call`, and makes it again, each time with a connection lent anew, as far as `retry` allows.
    ///
    /// A connection goes back to the pool if its call succeeded or failed with an error that says that the connection was
    /// not lost; that of a call that did not end is dropped. It runs in a tracing span `call` that names the pool.
    ///
    /// Cancel safe for the pool, see [`get`](Self::get); whether an unfinished call happened is unknown.
    ///
    /// # Errors
    /// That of the last attempt, or [`CallError::Deadline`] if it did not end in time.
    ///
    /// # Panics
    /// Outside of a tokio runtime with its timer enabled, if there is something to wait for.
    pub async fn call<T, E, F>(
        &self,
        retry: Retry,
        mut call: impl FnMut(Loan<M>) -> F,
    ) -> Result<T, CallError<M::Error, E>>
    where
        E: CallFailure + Error,
        F: Future<Output = Result<T, E>>,
    {
        let mut attempts = retry.attempts();
        loop {
            let attempt = async {
                let lease = self.get().await.map_err(CallError::Pool)?;
                let (loan, returned) = Loan::new(lease);
                let outcome = call(loan).instrument(warn_span!("call", pool = self.name())).await;
                if outcome.as_ref().err().is_none_or(|error| !error.is_connection_lost()) {
                    returned.give_back();
                }
                outcome.map_err(CallError::Call)
            };
            match attempts.make(attempt).await {
                Ok(output) => return Ok(output),
                Err(error) => attempts.pause(error, |cause| self.manager().is_permanent(cause)).await?,
            }
        }
    }
}

impl<M: Manager<Connection: Clone + Sync>> Shared<M> {
    /// Hands a connection to `call`, and makes it again, each time with a connection handed out anew, as far as `retry`
    /// allows. A connection whose call failed with an error that says that it was lost is reported as
    /// [`broken`](crate::Handle::broken).
    ///
    /// Cancel safe for the set; whether an unfinished call happened is unknown.
    ///
    /// # Errors
    /// That of the last attempt, or [`CallError::Deadline`] if it did not end in time.
    ///
    /// # Panics
    /// Outside of a tokio runtime with its timer enabled, if there is something to wait for.
    pub async fn call<T, E, F>(
        &self,
        retry: Retry,
        mut call: impl FnMut(M::Connection) -> F,
    ) -> Result<T, CallError<M::Error, E>>
    where
        E: CallFailure + Error,
        F: Future<Output = Result<T, E>>,
    {
        let mut attempts = retry.attempts();
        loop {
            let attempt = async {
                let mut handle = self.handle().await.map_err(CallError::Pool)?;
                handle.set_unanswered(true);
                let outcome = call(M::Connection::clone(&handle)).await;
                handle.set_unanswered(false);
                if outcome.as_ref().is_err_and(CallFailure::is_connection_lost) {
                    handle.broken();
                }
                outcome.map_err(CallError::Call)
            };
            match attempts.make(attempt).await {
                Ok(output) => return Ok(output),
                Err(error) => attempts.pause(error, |cause| self.manager().is_permanent(cause)).await?,
            }
        }
    }
}

/// A connection lent for one attempt at a call, see [`Pool::call`].
pub struct Loan<M: Manager> {
    lease: Option<Lease<M>>,
    home: Home<M>,
}

/// Where a lease is when its call has ended.
type Home<M> = Arc<Mutex<Option<Lease<M>>>>;

/// The lease of a call that has ended: discarded unless it is given back.
struct Returned<M: Manager>(Home<M>);

impl<M: Manager> Loan<M> {
    fn new(lease: Lease<M>) -> (Self, Returned<M>) {
        let home = Home::default();
        (Self { lease: Some(lease), home: Arc::clone(&home) }, Returned(home))
    }
}

impl<M: Manager> Returned<M> {
    fn give_back(self) {
        drop(self.take());
    }

    fn take(&self) -> Option<Lease<M>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl<M: Manager> Drop for Returned<M> {
    fn drop(&mut self) {
        if let Some(lease) = self.take() {
            lease.discard();
        }
    }
}

impl<M: Manager> Drop for Loan<M> {
    fn drop(&mut self) {
        *self.home.lock().unwrap_or_else(PoisonError::into_inner) = self.lease.take();
    }
}

#[cfg(feature = "sql")]
impl<M: Manager> Loan<M> {
    pub(crate) fn parts(&mut self) -> (&mut M::Connection, &mut bool) {
        self.lease.as_mut().expect("only drop, which ends the loan, takes it out").parts()
    }
}

impl<M: Manager> Deref for Loan<M> {
    type Target = M::Connection;

    fn deref(&self) -> &M::Connection {
        self.lease.as_ref().expect("only drop, which ends the loan, takes it out")
    }
}

impl<M: Manager> DerefMut for Loan<M> {
    fn deref_mut(&mut self) -> &mut M::Connection {
        self.lease.as_mut().expect("only drop, which ends the loan, takes it out")
    }
}

/// Without the connection, which may hold a secret.
impl<M: Manager> fmt::Debug for Loan<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loan").finish_non_exhaustive()
    }
}
