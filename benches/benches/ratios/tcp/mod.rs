//! Section `tcp`: frames over a loopback connection, writer and reader on one
//! thread, so that its CPU time is what a frame costs both of them.

mod by_hand;
mod framed;
mod ours;

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::task::LocalSet;
use uschat_benches::{HEADER_LEN, body};

use crate::clock;
use crate::contest::{Bound, Contest, Ratio};
use crate::report::Report;

const ROUNDS: usize = 11;
/// Bytes that one turn sends: enough that the start of a connection is lost in it.
const TURN_BYTES: usize = 128 * 1024 * 1024;
/// Frames that one turn sends if each is a write of its own.
const TURN_WRITES: usize = 16_384;
/// What the others are compared with: the same bytes, without frames.
const BASE: &str = "raw";

/// What a turn sends.
#[derive(Clone)]
struct Load {
    body: Bytes,
    frames: usize,
    /// The tasks that send them, where frames can come from many.
    tasks: usize,
    /// The frames sent between two flushes, where somebody has to flush.
    flush_each: usize,
}

/// A way from one end of a connection to the other.
type Path = fn(Load, TcpStream, TcpStream) -> Pin<Box<dyn Future<Output = usize>>>;

pub(crate) fn run(report: &mut Report) {
    let thread = Thread::new();
    for body_len in [64, 1024, 16_384] {
        let frames = TURN_BYTES / (HEADER_LEN + body_len);
        let load = Load { body: body(body_len).into(), frames, tasks: 1, flush_each: 1 };
        let few = Load { frames: frames.min(TURN_WRITES), ..load.clone() };
        let mut contest = Contest::new(format!("tcp, bodies of {body_len} bytes"), "CPU ns a frame", Ratio::Cost);
        let mut enter = |name: &str, load: Load, path: Path| {
            let thread = &thread;
            contest.enter(name, BASE, move || {
                let cost = thread.cost(&load, path);
                cost.as_nanos() as f64 / load.frames as f64
            });
        };
        enter(BASE, load.clone(), |load, from, to| Box::pin(by_hand::raw(load, from, to)));
        enter("by hand", load.clone(), |load, from, to| Box::pin(by_hand::batched(load, from, to)));
        for tasks in [1, 8, 64] {
            let load = Load { tasks, ..load.clone() };
            let name = |sender| format!("{sender}::send, {tasks} task{}", if tasks == 1 { "" } else { "s" });
            enter(&name("LocalFrameSender"), load.clone(), |load, from, to| Box::pin(ours::local(load, from, to)));
            enter(&name("FrameSender"), load, |load, from, to| Box::pin(ours::threads(load, from, to)));
        }
        if body_len == 16_384 {
            let load = Load { tasks: 8, ..load.clone() };
            enter(SHARED, load, |load, from, to| Box::pin(ours::local_shared(load, from, to)));
        }
        enter("Framed::send", few, |load, from, to| Box::pin(framed::send(load, from, to)));
        for flush_each in [32, 256] {
            let load = Load { flush_each, ..load.clone() };
            let name = format!("Framed::feed, flush each {flush_each}");
            enter(&name, load, |load, from, to| Box::pin(framed::feed(load, from, to)));
        }
        let most = if body_len == 64 { 1.35 } else { 1.1 };
        contest.goal("LocalFrameSender::send, 64 tasks", BASE, Bound::Cost(most));
        if body_len == 16_384 {
            contest.goal(SHARED, BASE, Bound::Cost(most));
        }
        report.run(contest, ROUNDS);
    }
}

const SHARED: &str = "LocalFrameSender::send_frame, 8 tasks";

/// The thread that both ends run on.
struct Thread {
    runtime: Runtime,
    tasks: LocalSet,
}

impl Thread {
    fn new() -> Self {
        let runtime = Builder::new_current_thread().enable_io().build().expect("a runtime");
        Self { runtime, tasks: LocalSet::new() }
    }

    /// CPU time that the load takes on this path.
    fn cost(&self, load: &Load, path: Path) -> Duration {
        self.tasks.block_on(&self.runtime, async {
            let (from, to) = connection().await.expect("a loopback connection");
            let start = clock::now();
            let seen = path(load.clone(), from, to).await;
            assert_eq!(seen, load.frames, "frames that arrived");
            clock::now() - start
        })
    }
}

async fn connection() -> std::io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let (from, to) = tokio::try_join!(TcpStream::connect(listener.local_addr()?), listener.accept())?;
    from.set_nodelay(true)?;
    Ok((from, to.0))
}
