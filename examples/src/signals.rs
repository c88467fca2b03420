//! SIGTERM and SIGINT become the cancellation of a token.

use std::io;

use tokio_util::sync::CancellationToken;
use tracing::info;

/// From now on SIGTERM and SIGINT (Ctrl-C) no longer end the process but cancel the token. Later ones change nothing:
/// draining has a deadline anyway, and a process group often gets a signal twice. Call within a tokio runtime.
///
/// # Errors
/// When the system refuses the handlers.
pub fn cancel_on_signal() -> io::Result<CancellationToken> {
    let token = CancellationToken::new();
    let signalled = token.clone();
    let mut signals = Signals::install()?;
    tokio::spawn(async move {
        loop {
            let name = signals.next().await;
            info!(signal = name, again = signalled.is_cancelled(), "told to end, draining");
            signalled.cancel();
        }
    });
    Ok(token)
}

#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn install() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

#[cfg(windows)]
struct Signals(tokio::signal::windows::CtrlC);

#[cfg(windows)]
impl Signals {
    fn install() -> io::Result<Self> {
        tokio::signal::windows::ctrl_c().map(Self)
    }

    async fn next(&mut self) -> &'static str {
        self.0.recv().await;
        "Ctrl-C"
    }
}
