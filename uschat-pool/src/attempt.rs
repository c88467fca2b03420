//! One attempt to connect, for both pools.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::{
    FailedStep, Manager, PoolError,
    breaker::Breaker,
    observe::{Meters, Step},
};

/// Connects within `after`. The breaker learns how it ended, unless the future is dropped. The caller tells whoever waits,
/// so nothing is logged here.
pub(crate) async fn attempt<M: Manager>(
    manager: &M,
    after: Duration,
    breaker: &Breaker,
    meters: &Meters,
) -> Result<M::Connection, PoolError<M::Error>> {
    let start = Instant::now();
    let outcome = timeout(after, manager.connect()).await;
    meters.record(Step::Connect, matches!(outcome, Ok(Ok(_))), start.elapsed());
    match outcome {
        Ok(Ok(connection)) => {
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
