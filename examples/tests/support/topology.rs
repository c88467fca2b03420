use std::{
    fs::File,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use serde::Deserialize;
use tempfile::TempDir;
use tokio::{
    process::{Child, Command},
    time::sleep,
};

use super::{in_time, program};

/// A running `topology` on free ports, with a data directory of its own. Killed when dropped.
#[derive(Debug)]
pub struct Topology {
    pub ready: Ready,
    child: Child,
    directory: Arc<TempDir>,
}

/// The ready file, no key more and no key less than the run contract has.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ready {
    pub gate: String,
    pub status: String,
    pub verify: String,
    pub chats: Vec<Chat>,
    pub metrics: String,
}

/// A chat server in the ready file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chat {
    pub name: String,
    pub tcp: String,
    pub grpc: String,
    pub pid: u32,
}

impl Topology {
    /// Starts one with these options more, and waits until it is ready.
    pub async fn start(arguments: &[&str]) -> Self {
        Self::start_in(Arc::new(tempfile::tempdir().unwrap()), arguments, &[]).await
    }

    /// The same on the data of an earlier one (see [`Topology::stop`]), with environment variables.
    pub async fn start_in(directory: Arc<TempDir>, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = program::topology();
        command.args(arguments).envs(environment.iter().copied());
        Self::spawn(command, directory).await
    }

    /// The same with at most this many open files.
    pub async fn start_with_open_files(most: u32, arguments: &[&str]) -> Self {
        let mut command = program::topology_with_open_files(most);
        command.args(arguments);
        Self::spawn(command, Arc::new(tempfile::tempdir().unwrap())).await
    }

    async fn spawn(mut command: Command, directory: Arc<TempDir>) -> Self {
        let log = File::options().create(true).append(true).open(log_path(directory.path())).unwrap();
        let ready_file = directory.path().join("ready.json");
        // One that was killed has left its own.
        let _ = std::fs::remove_file(&ready_file);
        command.arg("--ephemeral-ports").arg("--data-dir").arg(directory.path().join("data"));
        command.arg("--ready-file").arg(&ready_file).stdout(Stdio::null()).stderr(log);
        // A group of its own, so that a signal to the group does not reach the test.
        let mut child = command.process_group(0).spawn().unwrap();
        let ready = in_time("the ready file", async {
            loop {
                if let Ok(text) = std::fs::read_to_string(&ready_file) {
                    return serde_json::from_str(&text).unwrap();
                }
                if let Some(status) = child.try_wait().unwrap() {
                    panic!(
                        "topology ended with {status}: {}",
                        std::fs::read_to_string(log_path(directory.path())).unwrap()
                    );
                }
                // Between processes there is no event to await.
                sleep(Duration::from_millis(10)).await;
            }
        });
        let ready = ready.await;
        Self { ready, child, directory }
    }

    /// Its temporary directory: `data/`, `ready.json`, `log`.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Where the ready file is.
    pub fn ready_file(&self) -> PathBuf {
        self.directory().join("ready.json")
    }

    /// What the ready file says now; half a file fails, and so does none.
    #[track_caller]
    pub fn ready_now(&self) -> Ready {
        serde_json::from_str(&std::fs::read_to_string(self.ready_file()).unwrap()).unwrap()
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// All it logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(log_path(self.directory())).unwrap()
    }

    /// Sends it a signal, such as `TERM`.
    pub async fn signal(&self, name: &str) {
        kill(name, &self.pid().to_string()).await;
    }

    /// Sends a signal to its process group.
    pub async fn signal_group(&self, name: &str) {
        kill(name, &format!("-{}", self.pid())).await;
    }

    /// Waits until it ends; its exit status, `None` if a signal ended it.
    pub async fn wait(&mut self) -> Option<i32> {
        in_time("topology ends", self.child.wait()).await.unwrap().code()
    }

    /// Ends it as an operator does, and returns its directory, for another one to go on with.
    pub async fn stop(mut self) -> Arc<TempDir> {
        self.signal("TERM").await;
        let status = self.wait().await;
        assert_eq!(status, Some(0), "{}", self.log());
        self.directory
    }

    /// Ends it as a power cut does, and returns its directory.
    pub async fn crash(mut self) -> Arc<TempDir> {
        self.signal("KILL").await;
        assert_eq!(self.wait().await, None, "a signal ended it");
        self.directory
    }

    /// That nothing in the process has panicked so far.
    #[track_caller]
    pub fn assert_no_panic(&self) {
        let log = self.log();
        assert!(!log.contains("panic"), "{log}");
    }
}

/// `kill` of the shell: there is one everywhere, and std has none.
pub(super) async fn kill(signal: &str, target: &str) {
    let status =
        Command::new("sh").args(["-c", "kill -s \"$1\" -- \"$2\"", "sh", signal, target]).status().await.unwrap();
    assert!(status.success());
}

fn log_path(directory: &Path) -> PathBuf {
    directory.join("log")
}
