use tokio::{
    io::{AsyncWrite, AsyncWriteExt},
    time::{Instant, sleep_until, timeout},
};
use uschat_wire::{Limits, WriteBuffer};

use super::{CloseReason, Session, SessionConfig};
use crate::Application;

/// Writes what waits in the outbound queue, everything ready in one write, until the queue has ended. Unless the session
/// is paced: then one frame a write, with a gap before the next.
///
/// Returns why writing failed, or nothing when all is written.
pub(super) async fn write_frames<A: Application>(
    session: &Session<A>,
    output: &mut (impl AsyncWrite + Unpin),
    config: &SessionConfig,
    sent: &metrics::Counter,
) -> Option<CloseReason> {
    let outbound = session.outbound();
    let mut buffer = WriteBuffer::new(Limits::unrestricted());
    let mut last_write: Option<Instant> = None;
    while outbound.ready().await {
        let frames = match (session.gap(), last_write) {
            (None, _) => config.write_frames,
            (Some(_), None) => 1,
            (Some(gap), Some(last)) => {
                // While this waits, later pushes can be merged into those in the queue.
                sleep_until(last + gap).await;
                1
            }
        };
        let taken = outbound.take(&mut buffer, frames, config.write_bytes);
        let written = timeout(config.write, async {
            output.write_all_buf(&mut buffer).await?;
            output.flush().await
        });
        match written.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Some(CloseReason::Broken(error.into())),
            Err(_) => return Some(CloseReason::WriteDeadline),
        }
        sent.increment(taken as u64);
        // Counted from when the network took the frame, so that one after a pause leaves at once.
        last_write = session.gap().map(|_| Instant::now());
        if outbound.is_empty() {
            // A session that is silent holds no memory to write from.
            buffer.release();
        }
    }
    None
}
