//! Groups `tcp_echo/<body>`: one iteration sends some frames over a loopback
//! connection and takes them back, both ends on one thread.
//!
//! | id | client and server |
//! |---|---|
//! | `uschat` | `FrameReader` and `FrameWriter` |
//! | `length_delimited_send` | tokio-util's `Framed`, each frame with `send` |
//! | `length_delimited_feed` | the same with `feed`, and `flush` once nothing is left to be fed |

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, Throughput};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::task::{LocalSet, spawn_local};
use tokio_util::codec::{Framed, LengthDelimitedCodec};
use uschat_benches::{FRAME_ID, body};
use uschat_wire::{FrameReader, FrameWriter, Limits, LocalFrameSender, WriterConfig};

use crate::contenders::length_delimited_encoder as codec;

/// Frames on their way at a time.
const FRAMES: usize = 256;

pub(crate) fn group(criterion: &mut Criterion, body_len: usize) {
    let runtime = Builder::new_current_thread().enable_io().build().expect("a runtime");
    let tasks = LocalSet::new();
    let body = Bytes::from(body(body_len));
    let mut group = criterion.benchmark_group(format!("tcp_echo/{body_len}"));
    group.throughput(Throughput::Elements(FRAMES as u64));

    let (client, server) = tasks.block_on(&runtime, connection());
    let mut echo = tasks.block_on(&runtime, async {
        spawn_local(Ours::new(server).answer());
        Ours::new(client)
    });
    group.bench_function("uschat", |bencher| {
        bencher.iter(|| tasks.block_on(&runtime, echo.ask(black_box(&body))));
    });

    for (id, flush) in [("length_delimited_send", Flush::Each), ("length_delimited_feed", Flush::Last)] {
        let (client, server) = tasks.block_on(&runtime, connection());
        let mut echo = tasks.block_on(&runtime, async {
            spawn_local(Theirs::new(server, flush).answer());
            Theirs::new(client, flush)
        });
        group.bench_function(id, |bencher| {
            bencher.iter(|| tasks.block_on(&runtime, echo.ask(black_box(&body))));
        });
    }
    group.finish();
}

async fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let (client, server) = tokio::join!(TcpStream::connect(address), listener.accept());
    let (client, (server, _)) = (client.expect("a connection"), server.expect("a connection"));
    for end in [&client, &server] {
        end.set_nodelay(true).expect("a socket option");
    }
    (client, server)
}

/// One end of our connection. Its writer runs in a task of its own.
struct Ours {
    reader: FrameReader<OwnedReadHalf>,
    sender: LocalFrameSender,
}

impl Ours {
    fn new(socket: TcpStream) -> Self {
        let (from, to) = socket.into_split();
        let (sender, mut writer) = FrameWriter::<OwnedWriteHalf, _, _>::new_local(to, WriterConfig::default());
        spawn_local(async move { writer.run().await });
        Self { reader: FrameReader::new(from, Limits::default()), sender }
    }

    async fn answer(mut self) {
        while let Ok(Some(frames)) = self.reader.frames().await {
            for frame in frames {
                let frame = frame.unwrap();
                self.sender.send(frame.id, frame.body).await.unwrap();
            }
        }
    }

    async fn ask(&mut self, body: &[u8]) {
        let asking = async {
            for _ in 0..FRAMES {
                self.sender.send(FRAME_ID, body).await.unwrap();
            }
        };
        let hearing = async {
            let mut heard = 0;
            while heard < FRAMES {
                let frames = self.reader.frames().await.unwrap().expect("an answer");
                heard += frames.inspect(|frame| assert_eq!(frame.as_ref().unwrap().body.len(), body.len())).count();
            }
        };
        tokio::join!(asking, hearing);
    }
}

/// When an end of their connection flushes.
#[derive(Clone, Copy)]
enum Flush {
    Each,
    Last,
}

/// One end of their connection.
struct Theirs {
    sink: SplitSink<Framed<TcpStream, LengthDelimitedCodec>, Bytes>,
    stream: SplitStream<Framed<TcpStream, LengthDelimitedCodec>>,
    flush: Flush,
}

impl Theirs {
    fn new(socket: TcpStream, flush: Flush) -> Self {
        let (sink, stream) = Framed::new(socket, codec()).split();
        Self { sink, stream, flush }
    }

    async fn send(sink: &mut SplitSink<Framed<TcpStream, LengthDelimitedCodec>, Bytes>, flush: Flush, body: Bytes) {
        match flush {
            Flush::Each => sink.send(body).await.unwrap(),
            Flush::Last => sink.feed(body).await.unwrap(),
        }
    }

    async fn answer(self) {
        let Self { mut sink, stream, flush } = self;
        let mut stream = stream.ready_chunks(FRAMES);
        while let Some(frames) = stream.next().await {
            for frame in frames {
                Self::send(&mut sink, flush, frame.unwrap().freeze()).await;
            }
            sink.flush().await.unwrap();
        }
    }

    async fn ask(&mut self, body: &Bytes) {
        let Self { sink, stream, flush } = self;
        let asking = async {
            for _ in 0..FRAMES {
                Self::send(sink, *flush, body.clone()).await;
            }
            sink.flush().await.unwrap();
        };
        let hearing = async {
            for _ in 0..FRAMES {
                let frame = stream.next().await.expect("an answer").unwrap();
                assert_eq!(frame.len(), body.len());
            }
        };
        tokio::join!(asking, hearing);
    }
}
