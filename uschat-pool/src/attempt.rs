//! One attempt to connect, for both pools.

use std::time::Duration;

use tokio::time::{Instant, timeout};
use tracing::warn;

use crate::{
    FailedStep, Manager, PoolError,
    breaker::Breaker,
    observe::{Meters, Step},
};

/// Connects within `after`. The breaker learns how it ended, unless the future is dropped; the log, if it failed.
pub(crate) async fn attempt<M: Manager>(
    name: &str,
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
            // What a peer says may hold line breaks, and a log line is one.
            let error_text = error.to_string().replace(char::is_control, " ");
            warn!(pool = %name, error = error_text, "connecting failed");
            breaker.fail(FailedStep::Connect);
            Err(PoolError::Connect(error))
        }
        Err(_) => {
            warn!(pool = %name, ?after, "connecting took too long");
            breaker.fail(FailedStep::ConnectTimeout);
            Err(PoolError::ConnectTimeout { after })
        }
    }
}
