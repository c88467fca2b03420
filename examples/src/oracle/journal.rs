//! Writing records down while everything runs.

use std::{
    fs::File,
    io::{self, BufReader, BufWriter, Write},
    mem,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Instant, SystemTime},
};

use uschat_proto::chat::{ThreadId, UserId};

use super::{BadEvidence, ContentHash, Evidence, Record};

/// Takes the records of a run, from any number of tasks and threads, in memory or in a file. Clones are the same journal.
///
/// In memory a record takes 56 bytes and its id; writing one is a lock and a move. In a file it takes some 120 bytes, in
/// memory nothing: what is written waits in a buffer of 64 KiB. A write that fails is reported by
/// [`finish`](Self::finish) and [`evidence`](Self::evidence).
#[derive(Debug, Clone)]
pub struct Journal(Arc<Sink>);

#[derive(Debug)]
enum Sink {
    Memory(Mutex<Chunks>),
    File { path: PathBuf, file: Mutex<Output> },
}

/// Full chunks and the one being filled: a single growing vector would move all records while everybody waits.
#[derive(Debug, Default)]
struct Chunks {
    full: Vec<Vec<Record>>,
    last: Vec<Record>,
}

#[derive(Debug)]
struct Output {
    writer: BufWriter<File>,
    failed: Option<io::Error>,
}

impl Journal {
    const CHUNK: usize = 16 * 1024;
    const BUFFER: usize = 64 * 1024;

    /// A journal that ends with the process.
    #[must_use]
    pub fn in_memory() -> Self {
        Self(Arc::new(Sink::Memory(Mutex::default())))
    }

    /// A journal in this file, which is emptied if it exists.
    ///
    /// # Errors
    /// When the file cannot be created.
    pub fn create(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        let writer = BufWriter::with_capacity(Self::BUFFER, File::create(&path)?);
        Ok(Self(Arc::new(Sink::File { path, file: Mutex::new(Output { writer, failed: None }) })))
    }

    /// Writes a record down. Those of one user keep the order of these calls.
    pub fn write(&self, record: Record) {
        match &*self.0 {
            Sink::Memory(chunks) => {
                let mut chunks = lock(chunks);
                if chunks.last.len() == Self::CHUNK {
                    let full = mem::replace(&mut chunks.last, Vec::with_capacity(Self::CHUNK));
                    chunks.full.push(full);
                }
                chunks.last.push(record);
            }
            Sink::File { file, .. } => {
                // Outside the lock, which everybody wants.
                let line = serde_json::to_vec(&record).map_err(io::Error::from);
                let mut output = lock(file);
                let written = line.and_then(|mut line| {
                    line.push(b'\n');
                    output.writer.write_all(&line)
                });
                // The first failure tells most.
                output.failed = output.failed.take().or(written.err());
            }
        }
    }

    /// The history of a client, to be written into this journal. Does not say yet that the client is connected.
    #[must_use]
    pub fn history(&self, user: UserId) -> History {
        History { user, journal: self.clone() }
    }

    /// Brings everything written so far into the file.
    ///
    /// # Errors
    /// When a write has failed since the last call: then the file is not complete.
    pub fn finish(&self) -> io::Result<()> {
        let Sink::File { file, .. } = &*self.0 else { return Ok(()) };
        let mut output = lock(file);
        let flushed = output.writer.flush();
        output.failed.take().map_or(flushed, Err)
    }

    /// Everything written so far, to be judged. A file is read back.
    ///
    /// # Errors
    /// When a write failed, the file cannot be read, or a record is not valid by itself (an id too long, say).
    pub fn evidence(&self) -> Result<Evidence, BadEvidence> {
        let mut evidence = Evidence::default();
        match &*self.0 {
            Sink::Memory(chunks) => {
                let chunks = lock(chunks);
                evidence.add("memory", chunks.full.iter().flatten().chain(&chunks.last).cloned())?;
            }
            Sink::File { path, .. } => {
                let unusable = |error: io::Error| BadEvidence::file(path, &error);
                self.finish().map_err(unusable)?;
                read_file(&mut evidence, path)?;
            }
        }
        Ok(evidence)
    }
}

/// Reads a journal's file into the evidence.
///
/// # Errors
/// When the file cannot be read or a line is not a record.
pub fn read_file(evidence: &mut Evidence, path: &Path) -> Result<(), BadEvidence> {
    let file = File::open(path).map_err(|error| BadEvidence::file(path, &error))?;
    evidence.read(&path.to_string_lossy(), BufReader::with_capacity(Journal::BUFFER, file))
}

/// What one client, logged in as one user, does and sees. Clones write the same history.
///
/// The order of calls is evidence: [`sent`](Self::sent) before the text leaves, by whoever fixes the order of sending;
/// [`received`](Self::received) in the order in which the application is given texts, behind whatever drops a text that a
/// server pushed twice.
#[derive(Debug, Clone)]
pub struct History {
    user: UserId,
    journal: Journal,
}

impl History {
    /// The user.
    #[must_use]
    pub fn user(&self) -> UserId {
        self.user
    }

    /// A login succeeded, the first or a later one.
    pub fn connected(&self) {
        self.journal.write(Record::Connect { user: self.user });
    }

    /// This text is about to be sent, for the first time or again.
    pub fn sent(&self, msgid: &str, conversation: Option<ThreadId>, content: &str) {
        let hash = ContentHash::of(content.as_bytes());
        self.journal.write(Record::Send { user: self.user, msgid: msgid.into(), conversation, hash, at_us: now_us() });
    }

    /// The text was acknowledged, with this number.
    pub fn acknowledged(&self, msgid: &str, conversation: Option<ThreadId>, seq: i64) {
        self.journal.write(Record::Ack { user: self.user, msgid: msgid.into(), conversation, seq, at_us: now_us() });
    }

    /// The text was refused, with this code.
    pub fn refused(&self, msgid: &str, code: i32) {
        self.journal.write(Record::Refused { user: self.user, msgid: msgid.into(), code });
    }

    /// The application was given this text. `msgid` is empty if it is not shown.
    pub fn received(&self, conversation: ThreadId, seq: i64, msgid: &str, sender: UserId, content: &str) {
        let hash = ContentHash::of(content.as_bytes());
        self.journal.write(Record::Recv { user: self.user, conversation, seq, msgid: msgid.into(), sender, hash });
    }
}

/// Microseconds since 1970 by the wall clock of the first call, and from there by the monotonic clock: processes agree, and
/// a clock that is set does not change a time to recover.
#[must_use]
pub fn now_us() -> u64 {
    static START: OnceLock<(u64, Instant)> = OnceLock::new();
    let (wall, monotonic) = START.get_or_init(|| {
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        (u64::try_from(wall.as_micros()).unwrap_or(u64::MAX), Instant::now())
    });
    wall.saturating_add(u64::try_from(monotonic.elapsed().as_micros()).unwrap_or(u64::MAX))
}

/// A thread that panicked while it wrote has left nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
