//! Frames on sockets (feature `tokio`): many a read, many a write.

mod queue;
mod reader;
mod sender;
mod storage;
mod writer;

pub use queue::{Local, Sharing, Threads};
pub use reader::{FrameReader, ReadError};
pub use sender::{FrameSender, LocalFrameSender, SendError, TrySendError};
pub use writer::{FrameWriter, WriterConfig};

#[cfg(test)]
mod tests {
    use std::boxed::Box;
    use std::pin::Pin;

    use tokio::io::{AsyncRead, AsyncWrite};

    use super::queue::Shared;
    use super::*;
    use crate::frame::Frame;
    use crate::layout::Id16Length16;
    use crate::limits::Limits;

    /// Bytes of everything that one connection needs beside its socket: reader,
    /// writer, sender and what these two share.
    const fn connection<S: Sharing>() -> usize {
        let counts = 2 * size_of::<usize>(); // of the `Arc` or `Rc`
        size_of::<FrameReader<()>>()
            + size_of::<FrameWriter<(), Id16Length16, S>>()
            + size_of::<FrameSender<Id16Length16, S>>()
            + size_of::<Shared<Id16Length16, S>>()
            + counts
    }

    #[test]
    fn the_state_of_a_connection_is_small() {
        assert!(connection::<Local>() <= 512, "{}", connection::<Local>());
        assert!(connection::<Threads>() <= 512, "{}", connection::<Threads>());
    }

    /// Compiles only if all of it may be awaited by a task that moves between
    /// threads, whatever the socket is.
    #[test]
    fn every_future_goes_from_thread_to_thread_with_a_socket_that_does() {
        type Socket<T> = Pin<Box<T>>;
        fn goes<T: Send>(_: T) {}
        let reads: Socket<dyn AsyncRead + Send> = Box::pin(tokio::io::empty());
        let writes: Socket<dyn AsyncWrite + Send> = Box::pin(tokio::io::sink());
        let (sender, mut writer) = FrameWriter::new(writes, WriterConfig::default());
        let mut reader = FrameReader::new(reads, Limits::default());
        goes(reader.frames());
        goes(reader.next());
        goes(sender.send(1, b""));
        goes(sender.send_frame(Frame::new(1, "")));
        goes(writer.run());
    }
}
