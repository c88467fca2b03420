//! One attempt to connect, for both pools.

use std::time::Duration;

use tokio::time::{Instant, timeout};
use tracing::{Instrument, debug_span};

use crate::{
    FailedStep, Manager, PoolError,
    breaker::Breaker,
    observe::{Meters, Outcome, Step},
};

/// Connects within `after`. The breaker learns how it ended, unless the future is dropped. The caller tells whoever waits,
/// so nothing is logged here.
pub(crate) async fn attempt<M: Manager>(
    pool: &str,
    manager: &M,
    after: Duration,
    breaker: &Breaker,
    meters: &Meters,
) -> Result<M::Connection, PoolError<M::Error>> {
    let start = Instant::now();
    let outcome = timeout(after, manager.connect().instrument(debug_span!("connect", pool))).await;
    meters.record(Step::Connect, Outcome::of(&outcome), start.elapsed());
    match outcome {
        Ok(Ok(connection)) => {
            meters.connected();
            breaker.succeed();
            Ok(connection)
        }
        Ok(Err(error)) => {
            breaker.fail(FailedStep::Connect);
            Err(PoolError::Connect(error))
        }
        Err(_) => {
            breaker.fail(FailedStep::ConnectTimeout);
            Err(PoolError::ConnectTimeout { after })
        }
    }
}
