//! Whether a connection still brings answers, seen from its bytes and its calls.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::Instant,
};

/// Times are nanoseconds since the connection was made.
#[derive(Debug)]
pub(super) struct Watch {
    made: Instant,
    patience: u64,
    /// When the peer last sent anything.
    heard: AtomicU64,
    /// When the first call began since then; no later than `heard` if none did.
    asked: AtomicU64,
    lost: AtomicBool,
}

impl Watch {
    /// `patience`: how long the peer may be silent although it was asked.
    pub(super) fn new(patience: Duration) -> Self {
        Self {
            made: Instant::now(),
            patience: nanos(patience),
            heard: AtomicU64::new(0),
            asked: AtomicU64::new(0),
            lost: AtomicBool::new(false),
        }
    }

    pub(super) fn is_lost(&self) -> bool {
        self.lost.load(Relaxed)
    }

    pub(super) fn lose(&self) {
        self.lost.store(true, Relaxed);
    }

    /// A call begins; says when.
    pub(super) fn ask(&self) -> u64 {
        let now = self.now();
        if self.asked.load(Relaxed) <= self.heard.load(Relaxed) {
            self.asked.store(now, Relaxed);
        }
        now
    }

    /// A call that began then has ended without an answer: its time was over, or its caller gave up. That alone says
    /// little, as its method may be slow; if the peer said nothing at all meanwhile, the connection is lost.
    pub(super) fn unanswered(&self, began: u64) {
        let heard = self.heard.load(Relaxed);
        let since = if began <= heard { heard } else { self.asked.load(Relaxed).clamp(heard, began) };
        if self.now().saturating_sub(since) >= self.patience {
            self.lose();
        }
    }

    fn hear(&self) {
        self.heard.store(self.now(), Relaxed);
    }

    fn now(&self) -> u64 {
        nanos(self.made.elapsed())
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Tells the watch what comes in, and when HTTP/2 lets go of the connection: then it has ended, whatever the reason.
pub(super) struct WatchedStream {
    stream: TcpStream,
    watch: Arc<Watch>,
}

impl WatchedStream {
    pub(super) fn new(stream: TcpStream, watch: Arc<Watch>) -> Self {
        Self { stream, watch }
    }
}

impl Drop for WatchedStream {
    fn drop(&mut self) {
        self.watch.lose();
    }
}

impl AsyncRead for WatchedStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let outcome = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.watch.hear();
        }
        outcome
    }
}

impl AsyncWrite for WatchedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(2);

    async fn after(part: u32) {
        advance(PATIENCE * part / 100).await;
    }

    #[tokio::test(start_paused = true)]
    async fn silence_for_as_long_as_our_patience_loses_it() {
        let watch = Watch::new(PATIENCE);
        let began = watch.ask();
        after(99).await;
        watch.unanswered(began);
        assert!(!watch.is_lost());
        after(1).await;
        watch.unanswered(began);
        assert!(watch.is_lost());
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_call_does_not_while_others_are_answered() {
        let watch = Watch::new(PATIENCE);
        let slow = watch.ask();
        for _ in 0..10 {
            after(60).await;
            let _quick = watch.ask();
            watch.hear();
        }
        after(60).await;
        watch.unanswered(slow);
        assert!(!watch.is_lost());
    }

    #[tokio::test(start_paused = true)]
    async fn silence_that_began_after_the_call_counts_too() {
        let watch = Watch::new(PATIENCE);
        let began = watch.ask();
        after(10).await;
        watch.hear();
        after(50).await;
        let _later = watch.ask();
        after(50).await;
        watch.unanswered(began);
        assert!(watch.is_lost(), "nothing was heard for as long as our patience, and this call waited");
    }

    #[tokio::test(start_paused = true)]
    async fn calls_that_are_given_up_early_add_up() {
        let watch = Watch::new(PATIENCE);
        after(500).await;
        for _ in 0..3 {
            let began = watch.ask();
            after(30).await;
            watch.unanswered(began);
        }
        assert!(!watch.is_lost(), "silent while nobody asked does not count");
        let began = watch.ask();
        after(10).await;
        watch.unanswered(began);
        assert!(watch.is_lost());
    }

    #[tokio::test(start_paused = true)]
    async fn they_begin_anew_after_an_answer() {
        let watch = Watch::new(PATIENCE);
        for _ in 0..10 {
            let began = watch.ask();
            after(90).await;
            watch.unanswered(began);
            watch.hear();
            after(500).await;
        }
        assert!(!watch.is_lost());
    }
}
