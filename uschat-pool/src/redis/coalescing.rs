//! Few large writes instead of many small ones, without a timer.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream whose writer steps back once before it writes: the tasks that are ready to run then add their commands, and one
/// write takes them all. With nobody ready it costs one turn of the runtime's queue, less than the write itself.
///
/// Nagle's algorithm does the same, but holds a command back until the server has answered the one before.
pub(super) struct Coalescing<S> {
    stream: S,
    stepped_back: bool,
}

impl<S> Coalescing<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, stepped_back: false }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Coalescing<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if !self.stepped_back {
            self.stepped_back = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.stepped_back = false;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Coalescing<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn it_steps_back_once_for_each_flush_and_is_woken_at_once() {
        let (near, mut far) = duplex(64);
        let mut stream = Coalescing::new(near);
        for round in 0..2 {
            let mut polled = 0;
            let written = poll_fn(|cx| {
                polled += 1;
                Pin::new(&mut stream).poll_write(cx, b"PING")
            });
            assert_eq!(written.await.unwrap(), 4);
            assert_eq!(polled, 2, "round {round}");
            // More before the flush goes without stepping back.
            let more = poll_fn(|cx| Poll::Ready(Pin::new(&mut stream).poll_write(cx, b"PING")));
            assert!(matches!(more.await, Poll::Ready(Ok(4))));
            stream.flush().await.unwrap();
            let mut read = [0; 8];
            far.read_exact(&mut read).await.unwrap();
            assert_eq!(&read, b"PINGPING");
        }
    }

    #[tokio::test]
    async fn reading_goes_on_meanwhile() {
        let (near, mut far) = duplex(64);
        let mut stream = Coalescing::new(near);
        far.write_all(b"+OK").await.unwrap();
        let stepped_back = poll_fn(|cx| Poll::Ready(Pin::new(&mut stream).poll_write(cx, b"PING").is_pending())).await;
        assert!(stepped_back);
        let mut read = [0; 3];
        stream.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"+OK");
    }
}
