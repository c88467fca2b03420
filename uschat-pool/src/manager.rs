//! What a pool must know about its connections.

use std::{error::Error, future::Future};

/// Makes connections of one kind to one peer, and judges them.
///
/// Implementations may write the asynchronous methods as plain `async fn`. The pool sets the
/// deadlines: it drops the future of [`connect`](Self::connect), [`verify`](Self::verify) or
/// [`clean`](Self::clean) when its time is over, and never uses a connection again whose `verify` or
/// `clean` was dropped.
pub trait Manager: Send + Sync + 'static {
    /// What is lent.
    type Connection: Send + 'static;
    /// Why a connection could not be made or did not pass.
    type Error: Error + Send + Sync + 'static;

    /// Makes a connection that is ready for use: connected, authenticated, set up.
    ///
    /// # Errors
    /// Reported to the caller that needed the connection, as [`PoolError::Connect`](crate::PoolError).
    fn connect(&self) -> impl Future<Output = Result<Self::Connection, Self::Error>> + Send;

    /// Asks the peer whether the connection still works. Called only after it was idle for a while.
    ///
    /// # Errors
    /// The connection is dropped and replaced.
    fn verify(&self, connection: &mut Self::Connection) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// True if connecting would fail in the same way until somebody changes something: a wrong password, an unusable address.
    /// A [`call`](crate::Pool::call) then fails at once instead of trying until its time is over. By default never.
    fn is_permanent(&self, error: &Self::Error) -> bool {
        let _ = error;
        false
    }

    /// True if the connection is known to be useless without asking the peer. Called whenever one is
    /// lent or given back, and now and then for idle ones while the pool is locked: it must be cheap, must not block
    /// and must not use the pool.
    fn is_broken(&self, connection: &Self::Connection) -> bool;

    /// True if the connection carries something that its next user must not inherit, such as an open
    /// transaction. Called whenever a lease ends; cheap, must neither block nor change the connection, which may be dirty or
    /// not afterwards: exclusive, since some drivers tell nothing otherwise. By default never.
    fn is_dirty(&self, connection: &mut Self::Connection) -> bool {
        let _ = connection;
        false
    }

    /// Makes a dirty connection clean. Runs between the end of one lease and the next.
    ///
    /// # Errors
    /// The connection is dropped and replaced.
    fn clean(&self, connection: &mut Self::Connection) -> impl Future<Output = Result<(), Self::Error>> + Send {
        let _ = connection;
        async { Ok(()) }
    }
}
