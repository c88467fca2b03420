use bytes::BytesMut;
use tokio::{
    io::{AsyncWrite, AsyncWriteExt},
    time::{Instant, sleep_until, timeout},
};

use super::{CloseReason, Session, SessionConfig};
use crate::Application;

/// Memory a writer with nothing to write keeps; that of a burst is given back.
const KEPT_BUFFER: usize = 4 * 1024;

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
    let mut buffer = BytesMut::new();
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
            output.write_all(&buffer).await?;
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
        buffer.clear();
        if buffer.capacity() > KEPT_BUFFER && outbound.is_empty() {
            buffer = BytesMut::new();
        }
    }
    None
}
