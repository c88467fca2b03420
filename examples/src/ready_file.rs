//! Tells scripts that everything accepts connections, and where.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    process,
};

use serde::Serialize;

use crate::{StartError, server::Started};

/// The content of the ready file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ready {
    /// `http://host:port` of the gate.
    pub gate: String,
    /// `host:port` of the status server's gRPC.
    pub status: String,
    /// `host:port` of the verification server's gRPC.
    pub verify: String,
    /// The chat servers.
    pub chats: Vec<ReadyChat>,
    /// The URL of the metrics.
    pub metrics: String,
}

/// A chat server in the ready file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReadyChat {
    /// `chatserver1`, `chatserver2`, …
    pub name: String,
    /// `host:port` for clients.
    pub tcp: String,
    /// `host:port` for other chat servers.
    pub grpc: String,
    /// The process it runs in.
    pub pid: u32,
}

impl ReadyChat {
    /// From the two addresses a chat server reports.
    #[must_use]
    pub fn new(name: &str, addresses: Vec<String>, pid: u32) -> Self {
        let mut addresses = addresses.into_iter();
        let (tcp, grpc) = (addresses.next().unwrap_or_default(), addresses.next().unwrap_or_default());
        Self { name: name.to_owned(), tcp, grpc, pid }
    }
}

impl Ready {
    /// A server is back on its ports, in another process.
    pub fn came_back(&mut self, started: &Started) {
        for chat in self.chats.iter_mut().filter(|chat| chat.name == started.name) {
            chat.pid = started.pid;
        }
    }
}

/// A ready file that exists while this does.
#[derive(Debug)]
pub struct ReadyFile {
    path: PathBuf,
}

impl ReadyFile {
    /// Removes what an earlier run left behind: whoever waits for the file must not be told of servers that are gone.
    ///
    /// # Errors
    /// When the file cannot be removed, or has no directory to be written to later.
    pub fn prepare(path: &Path) -> io::Result<()> {
        fs::metadata(directory(path))?;
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Writes the file. Whoever reads it at any moment finds no file or a complete one, after a power cut too.
    ///
    /// # Errors
    /// When the file cannot be written; then there is none.
    pub fn write(path: &Path, ready: &impl Serialize) -> io::Result<Self> {
        replace(path, ready).map(|()| Self { path: path.to_owned() })
    }

    /// Writes the file anew, for servers that came back in another process.
    ///
    /// # Errors
    /// When the file cannot be written; then it is as it was.
    pub fn rewrite(&self, ready: &impl Serialize) -> io::Result<()> {
        replace(&self.path, ready)
    }
}

/// What the option `--ready-file` is told when its file cannot be written.
pub fn error(error: io::Error) -> StartError {
    let remedy = "name a file in a directory that may be written";
    StartError::new("--ready-file", format!("cannot be written: {error}"), remedy)
}

fn replace(path: &Path, ready: &impl Serialize) -> io::Result<()> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
    let temporary = directory(path).join(format!(".{name}.{}.tmp", process::id()));
    let written = write_through(&temporary, ready).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // The error that counts is the one before.
        let _ = fs::remove_file(&temporary);
    }
    written
}

impl Drop for ReadyFile {
    fn drop(&mut self) {
        // A file that somebody else removed first is not worth a word.
        let _ = fs::remove_file(&self.path);
    }
}

fn write_through(path: &Path, ready: &impl Serialize) -> io::Result<()> {
    let mut file = File::create(path)?;
    serde_json::to_writer(&mut file, ready)?;
    file.write_all(b"\n")?;
    file.sync_all()
}

fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{Ready, ReadyChat, ReadyFile};

    fn ready() -> Ready {
        Ready {
            gate: "http://127.0.0.1:8080".into(),
            status: "127.0.0.1:50052".into(),
            verify: "127.0.0.1:50051".into(),
            chats: vec![ReadyChat {
                name: "chatserver1".into(),
                tcp: "127.0.0.1:8090".into(),
                grpc: "127.0.0.1:50055".into(),
                pid: 123,
            }],
            metrics: "http://127.0.0.1:9464/metrics".into(),
        }
    }

    #[test]
    fn has_the_shape_of_the_run_contract_and_goes_with_its_owner() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ready.json");
        let file = ReadyFile::write(&path, &ready()).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(
            text.trim_end(),
            r#"{"gate":"http://127.0.0.1:8080","status":"127.0.0.1:50052","verify":"127.0.0.1:50051","chats":[{"name":"chatserver1","tcp":"127.0.0.1:8090","grpc":"127.0.0.1:50055","pid":123}],"metrics":"http://127.0.0.1:9464/metrics"}"#
        );
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "no temporary file is left");
        drop(file);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_an_earlier_run_left_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ready.json");
        fs::write(&path, "stale").unwrap();
        ReadyFile::prepare(&path).unwrap();
        assert!(!path.exists());
        ReadyFile::prepare(&path).unwrap();
        assert!(ReadyFile::prepare(&directory.path().join("missing/ready.json")).is_err());
    }

    #[test]
    fn a_failed_write_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("taken");
        fs::create_dir(&path).unwrap();
        assert!(ReadyFile::write(&path, &ready()).is_err());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
