//! A real MariaDB server for tests: private data in a temporary folder, a free port of the loopback, user `root` without a
//! password.
//!
//! The server runs under a shell that waits for the end of its standard input and then kills it. That input is a pipe of
//! the test program, so the server ends with the program, however that ends.

#![allow(dead_code, unreachable_pub, reason = "every test uses what it needs")]

use std::{
    io::{BufRead, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, PoisonError, mpsc},
    time::Duration,
};

use tokio::sync::OnceCell;

/// How long a start may take, recovery after a crash included.
const START: Duration = Duration::from_secs(60);

/// Small, so that a start writes little.
const LOG_FILE_SIZE: &str = "--innodb-log-file-size=8M";

/// Starts the server `$1…` and says its process id; at the end of standard input kills it, and removes the folder `$0`
/// unless it is to be kept. By then nobody reads what a shell says of a killed child, which would end the shell.
const GUARD: &str = r#"
"$@" </dev/null &
server=$!
echo "pid $server" >&2
exec 2>/dev/null
cat >/dev/null
kill -9 $server
wait $server
test -e "$0/keep" || rm -rf "$0"
"#;

/// A server, killed with its data when dropped.
pub struct MariaDb {
    folder: PathBuf,
    port: u16,
    options: Vec<String>,
    guard: Option<Child>,
    pid: u32,
}

impl MariaDb {
    /// Starts a server with these options in addition, such as `--innodb-flush-log-at-trx-commit=2`.
    pub async fn start(options: &[&str]) -> Self {
        let options = options.iter().map(|&option| option.to_owned()).collect();
        let start = || {
            let folder = tempfile::Builder::new().prefix("mariadb").tempdir().unwrap();
            install(folder.path());
            let mut server = Self { folder: folder.keep(), port: 0, options, guard: None, pid: 0 };
            // A free port may be taken by somebody else before the server has it.
            let ready = (0..5).any(|_| {
                server.port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
                server.run().is_ok()
            });
            assert!(ready, "mariadbd found no free port");
            server
        };
        tokio::task::spawn_blocking(start).await.unwrap()
    }

    /// The server that the cases of one test program share; each makes a database of its own.
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<MariaDb> = OnceCell::const_new();
        SHARED.get_or_init(|| Self::start(&[])).await
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The URL of a database on this server; empty for none.
    pub fn url(&self, database: &str) -> String {
        format!("mysql://root@127.0.0.1:{}/{database}", self.port)
    }

    /// The process id of the server itself.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Stops the process where it is: connections stay open and nothing is answered. Returns when none of its threads runs.
    pub fn freeze(&self) {
        self.signal("STOP");
        // A thread that was about to answer may do so even after the signal was sent.
        while !self.is_frozen() {
            std::thread::yield_now();
        }
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.signal("CONT");
    }

    fn is_frozen(&self) -> bool {
        // Elsewhere the signal alone must do.
        let Ok(threads) = std::fs::read_dir(format!("/proc/{}/task", self.pid)) else { return true };
        let is_stopped = |thread: std::fs::DirEntry| {
            // The name in parentheses may hold anything; then the state.
            let stat = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
            stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('T'))
        };
        threads.flatten().all(is_stopped)
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("sh").arg("-c").arg(format!("kill -{signal} {}", self.pid)).status().unwrap();
        assert!(sent.success(), "kill -{signal} {}", self.pid);
    }

    /// Ends the server as a crash would; its data stay.
    pub fn kill9(&mut self) {
        std::fs::write(self.folder.join("keep"), "").unwrap();
        self.end();
    }

    /// Starts it again on the same port and data, and returns when it accepts connections.
    pub async fn restart(mut self) -> Self {
        self.end();
        let start = || {
            if let Err(log) = self.run() {
                panic!("mariadbd did not start again: {log}");
            }
            let _ = std::fs::remove_file(self.folder.join("keep"));
            self
        };
        tokio::task::spawn_blocking(start).await.unwrap()
    }

    fn end(&mut self) {
        if let Some(mut guard) = self.guard.take() {
            drop(guard.stdin.take());
            guard.wait().unwrap();
        }
    }

    /// Waits for the line that says that it accepts connections.
    fn run(&mut self) -> Result<(), String> {
        let folder = self.folder.display();
        let mut guard = Command::new("sh")
            .args(["-c", GUARD])
            .arg(&self.folder)
            .arg(program("mariadbd"))
            .arg("--no-defaults")
            .arg(format!("--datadir={folder}/data"))
            // A server that starts removes what it takes for its own left-overs.
            .arg(format!("--tmpdir={folder}"))
            .arg(format!("--socket={folder}/socket"))
            .arg(format!("--port={}", self.port))
            .args(["--bind-address=127.0.0.1", "--skip-name-resolve", "--max-connections=600"])
            .args(["--innodb-buffer-pool-size=64M", LOG_FILE_SIZE])
            .args(as_root())
            .args(&self.options)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (lines, log) = mpsc::channel();
        let output = BufReader::new(guard.stderr.take().unwrap());
        // Reads to the end, so that the server never blocks on a full pipe.
        std::thread::spawn(move || output.lines().map_while(Result::ok).for_each(|line| drop(lines.send(line))));
        self.guard = Some(guard);

        let mut seen = String::new();
        loop {
            let Ok(line) = log.recv_timeout(START) else {
                return Err(format!("silent for {START:?}: {seen}"));
            };
            if let Some(pid) = line.strip_prefix("pid ") {
                self.pid = pid.parse().unwrap();
            }
            if line.contains("ready for connections") {
                return Ok(());
            }
            if line.contains("Aborting") {
                std::fs::write(self.folder.join("keep"), "").unwrap();
                self.end();
                return Err(seen);
            }
            seen.push_str(&line);
            seen.push('\n');
        }
    }
}

impl Drop for MariaDb {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(self.folder.join("keep"));
        self.end();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// One at a time: several together have been seen to fail on a busy machine.
fn install(folder: &Path) {
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut said = String::new();
    for _ in 0..3 {
        let installed = Command::new(program("mariadb-install-db"))
            .arg("--no-defaults")
            .args(["--auth-root-authentication-method=normal", "--skip-test-db", LOG_FILE_SIZE])
            .arg(format!("--datadir={}", folder.join("data").display()))
            .arg(format!("--tmpdir={}", folder.display()))
            .args(as_root())
            .output()
            .unwrap();
        if installed.status.success() {
            return;
        }
        said.push_str(&String::from_utf8_lossy(&installed.stdout));
        said.push_str(&String::from_utf8_lossy(&installed.stderr));
        let _ = std::fs::remove_dir_all(folder.join("data"));
    }
    panic!("mariadb-install-db: {said}");
}

/// On the path or where Debian puts servers.
fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/bin".into()]);
    let found = folders.map(|folder| folder.join(name)).find(|file| file.is_file());
    found.unwrap_or_else(|| panic!("{name} is missing; the Debian package mariadb-server has it"))
}

/// The server refuses to run as root unless it is told to.
fn as_root() -> Option<&'static str> {
    let id = Command::new("id").arg("-u").output().unwrap();
    (id.stdout.trim_ascii() == b"0").then_some("--user=root")
}
