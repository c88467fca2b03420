//! A relay between our servers and a MariaDB that knows what a COMMIT is: it can hold one back until the test has decided
//! what becomes of it, and it can lie about all of them.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use super::packets::{OK, Packet, Packets};

use crate::support::in_time;

/// Listens on a port of its own. Dropped, it closes everything.
pub struct DatabaseProxy {
    port: u16,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    /// Microseconds.
    delay: AtomicU64,
    refuses: AtomicBool,
    orders: Mutex<Orders>,
    /// Ends the connections of this moment.
    cut: Mutex<CancellationToken>,
}

#[derive(Default)]
struct Orders {
    hold: Option<(Vec<u8>, oneshot::Sender<HeldCommit>)>,
    lie: Option<Duration>,
}

/// The promise of the next COMMIT that matters.
pub struct Hold(oneshot::Receiver<HeldCommit>);

/// A COMMIT that has not reached the database, and a connection that waits for its answer. Dropped, it goes its way.
pub struct HeldCommit(oneshot::Sender<Word>);

enum Word {
    Forward,
    Cut,
    Swallow(oneshot::Sender<()>),
}

impl DatabaseProxy {
    /// In front of the server on this port of the loopback.
    pub async fn start(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared::default());
        let accepting = tokio::spawn(accept(listener, server, Arc::clone(&shared)));
        Self { port, shared, accepting }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The URL of a database for a user without a password. What is encrypted cannot be understood.
    pub fn url(&self, user: &str, database: &str) -> String {
        format!("mysql://{user}@127.0.0.1:{}/{database}?ssl-mode=DISABLED", self.port)
    }

    /// Holds the next COMMIT of a transaction in which these words were said, as part of a text, say.
    pub fn hold(&self, words: &str) -> Hold {
        let (sender, held) = oneshot::channel();
        self.orders(|orders| orders.hold = Some((words.into(), sender)));
        Hold(held)
    }

    /// From now on every COMMIT is answered at once, and reaches the database this much later.
    pub fn lie(&self, delay: Duration) {
        self.orders(|orders| orders.lie = Some(delay));
    }

    /// No lie any more.
    pub fn be_honest(&self) {
        self.orders(|orders| orders.lie = None);
    }

    /// From now on each request and each answer comes this much later.
    pub fn delay(&self, delay: Duration) {
        self.shared.delay.store(u64::try_from(delay.as_micros()).unwrap(), Ordering::Relaxed);
    }

    /// Ends all connections; new ones are closed at once until [`allow`](Self::allow).
    pub fn refuse(&self) {
        self.shared.refuses.store(true, Ordering::SeqCst);
        self.cut();
    }

    /// New connections are served again.
    pub fn allow(&self) {
        self.shared.refuses.store(false, Ordering::SeqCst);
    }

    fn cut(&self) {
        let mut cut = self.shared.cut.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *cut).cancel();
    }

    fn orders(&self, give: impl FnOnce(&mut Orders)) {
        give(&mut self.shared.orders.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Drop for DatabaseProxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

impl Hold {
    /// Waits until it is there.
    pub async fn reached(self) -> HeldCommit {
        in_time("a COMMIT to hold", self.0).await.expect("nobody else was told to hold")
    }
}

impl HeldCommit {
    /// It goes its way, and so does its answer.
    pub fn forward(self) {
        let _ = self.0.send(Word::Forward);
    }

    /// It never reaches the database: the connection ends.
    pub fn cut(self) {
        let _ = self.0.send(Word::Cut);
    }

    /// It reaches the database and its answer reaches nobody; returns when the database has answered. The connection stays
    /// open, silent.
    pub async fn swallow_the_answer(self) {
        let (committed, when_committed) = oneshot::channel();
        let _ = self.0.send(Word::Swallow(committed));
        in_time("the answer to a COMMIT", when_committed).await.expect("the database has answered");
    }
}

async fn accept(listener: TcpListener, server: u16, shared: Arc<Shared>) {
    while let Ok((client, _)) = listener.accept().await {
        if shared.refuses.load(Ordering::SeqCst) {
            continue;
        }
        let cut = shared.cut.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            // However it ends, both sides are closed.
            tokio::select! {
                () = cut.cancelled() => {}
                _ = Relay::run(client, server, shared) => {}
            }
        });
    }
}

/// A connection of ours and its counterpart. The protocol takes turns: whoever has asked waits for the answer.
struct Relay {
    client: TcpStream,
    server: TcpStream,
    shared: Arc<Shared>,
    /// What was said since the last transaction began.
    said: Vec<u8>,
}

impl Relay {
    async fn run(client: TcpStream, server: u16, shared: Arc<Shared>) -> io::Result<()> {
        let server = TcpStream::connect(("127.0.0.1", server)).await?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        Self { client, server, shared, said: Vec::new() }.relay().await
    }

    async fn relay(mut self) -> io::Result<()> {
        let (mut requests, mut answer) = (Packets::default(), vec![0; 65_536]);
        loop {
            tokio::select! {
                read = self.client.read_buf(requests.buffer()) => {
                    some(read?)?;
                    while let Some(packet) = requests.take() {
                        self.request(&packet).await?;
                    }
                }
                read = self.server.read(&mut answer) => {
                    let count = some(read?)?;
                    self.delay().await;
                    self.client.write_all(&answer[..count]).await?;
                }
            }
        }
    }

    async fn request(&mut self, packet: &Packet) -> io::Result<()> {
        self.delay().await;
        if !packet.is_query("COMMIT") {
            if packet.is_query("START TRANSACTION") {
                self.said.clear();
            }
            self.said.extend_from_slice(packet.payload());
            return self.server.write_all(packet.bytes()).await;
        }
        let said = std::mem::take(&mut self.said);
        let (held, lie) = {
            let mut orders = self.shared.orders.lock().unwrap_or_else(PoisonError::into_inner);
            (orders.hold.take_if(|(words, _)| contains(&said, words)), orders.lie)
        };
        match (held, lie) {
            (Some((_, tell)), _) => self.hold(packet, tell).await,
            (None, Some(delay)) => {
                self.client.write_all(OK).await?;
                self.unless_the_server_ends(sleep(delay)).await?;
                self.server.write_all(packet.bytes()).await?;
                self.answer().await
            }
            (None, None) => self.server.write_all(packet.bytes()).await,
        }
    }

    async fn hold(&mut self, commit: &Packet, tell: oneshot::Sender<HeldCommit>) -> io::Result<()> {
        let (word, when_said) = oneshot::channel();
        let _ = tell.send(HeldCommit(word));
        match self.unless_the_server_ends(when_said).await?.unwrap_or(Word::Forward) {
            Word::Forward => self.server.write_all(commit.bytes()).await,
            Word::Cut => Err(io::ErrorKind::ConnectionAborted.into()),
            Word::Swallow(committed) => {
                self.server.write_all(commit.bytes()).await?;
                self.answer().await?;
                let _ = committed.send(());
                loop {
                    some(self.client.read(&mut [0; 1_024]).await?)?;
                }
            }
        }
    }

    /// Waits for something while nothing was asked; whatever the server says then is that it has enough.
    async fn unless_the_server_ends<T>(&mut self, work: impl Future<Output = T>) -> io::Result<T> {
        let mut byte = [0];
        tokio::select! {
            done = work => Ok(done),
            read = self.server.read(&mut byte) => {
                some(read?)?;
                Err(io::ErrorKind::ConnectionAborted.into())
            }
        }
    }

    /// Takes one packet of the server.
    async fn answer(&mut self) -> io::Result<()> {
        let mut answers = Packets::default();
        while answers.take().is_none() {
            some(self.server.read_buf(answers.buffer()).await?)?;
        }
        Ok(())
    }

    async fn delay(&self) {
        let delay = Duration::from_micros(self.shared.delay.load(Ordering::Relaxed));
        if !delay.is_zero() {
            sleep(delay).await;
        }
    }
}

fn some(count: usize) -> io::Result<usize> {
    if count == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(count) }
}

fn contains(said: &[u8], words: &[u8]) -> bool {
    said.windows(words.len()).any(|window| window == words)
}
