use std::{future::Future, io, panic::AssertUnwindSafe};

use futures_util::FutureExt;
use tokio::{
    task::JoinSet,
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

/// Services that are told to end at the same time.
#[derive(Debug, Default)]
pub(crate) struct Stage {
    stop: CancellationToken,
    tasks: JoinSet<String>,
}

impl Stage {
    /// Runs a service, which is given the token that tells it to end.
    pub(super) fn run<F>(&mut self, name: impl Into<String>, service: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        let name = name.into();
        let serving = AssertUnwindSafe(service(self.stop.clone())).catch_unwind();
        self.tasks.spawn(async move {
            match serving.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => error!(service = name, %error, "a service failed"),
                Err(_) => error!(service = name, "a service panicked"),
            }
            name
        });
    }

    /// The name of a service that ended, though nobody told it to. Cancel safe.
    pub(super) async fn ended(&mut self) -> String {
        match self.tasks.join_next().await {
            Some(ended) => ended.unwrap_or_else(|error| error.to_string()),
            None => std::future::pending().await,
        }
    }

    /// Tells the services to end and waits; what has not ended at the deadline is cut off.
    pub(super) async fn drain(&mut self, deadline: Instant) {
        self.stop.cancel();
        let all_ended = async { while self.tasks.join_next().await.is_some() {} };
        if timeout_at(deadline, all_ended).await.is_err() {
            warn!(services = self.tasks.len(), "the drain deadline passed, cutting off");
            self.tasks.shutdown().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{future::pending, time::Duration};

    use tokio::time::Instant;

    use super::Stage;

    #[tokio::test(start_paused = true)]
    async fn drains_what_ends_and_cuts_off_what_does_not() {
        let mut stage = Stage::default();
        stage.run("obedient", |stop| async move {
            stop.cancelled().await;
            Ok(())
        });
        stage.run("stubborn", |_| pending());
        let begin = Instant::now();
        stage.drain(begin + Duration::from_secs(3)).await;
        assert_eq!(begin.elapsed(), Duration::from_secs(3));
        assert!(stage.tasks.is_empty());
    }

    #[tokio::test]
    async fn tells_which_service_ended_by_itself() {
        let mut stage = Stage::default();
        stage.run("steady", |_| pending());
        stage.run("broken", |_| async { panic!("planted") });
        assert_eq!(stage.ended().await, "broken");
    }
}
