//! A8: what a process holds, from /proc.

use std::{fmt, fs, io};

/// What a process holds at a moment. Only on Linux; elsewhere [`of`](Self::of) fails.
///
/// ```no_run
/// # fn run_the_load() {}
/// use uschat_examples::oracle::Usage;
///
/// let before = Usage::of(4711)?;
/// run_the_load();
/// let growth = Usage::of(4711)?.growth_since(&before);
/// assert!(growth.is_empty(), "{growth:?}");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Open file descriptors.
    pub open_files: u64,
    /// Threads.
    pub threads: u64,
    /// Resident memory, in bytes.
    pub memory_bytes: u64,
}

/// Something of which there is more than 10 % more than before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Growth {
    /// What: `open_files`, `threads` or `memory_bytes`.
    pub what: &'static str,
    /// How much there was.
    pub before: u64,
    /// How much there is.
    pub after: u64,
}

impl Usage {
    /// Of the process with this id.
    ///
    /// # Errors
    /// When there is no such process, it belongs to somebody else, or the system has no /proc.
    pub fn of(pid: u32) -> io::Result<Self> {
        // Counting our own adds the descriptor that counts.
        let counting = u64::from(pid == std::process::id());
        let open_files = fs::read_dir(format!("/proc/{pid}/fd"))?.count() as u64;
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let memory_bytes = field(&status, "VmRSS:")?.saturating_mul(1024);
        Ok(Self { open_files: open_files - counting, threads: field(&status, "Threads:")?, memory_bytes })
    }

    /// What there is more than 10 % more of than before. Less is no fault.
    #[must_use]
    pub fn growth_since(&self, before: &Self) -> Vec<Growth> {
        let pairs = [
            ("open_files", before.open_files, self.open_files),
            ("threads", before.threads, self.threads),
            ("memory_bytes", before.memory_bytes, self.memory_bytes),
        ];
        let growth = pairs.into_iter().map(|(what, before, after)| Growth { what, before, after });
        growth.filter(|Growth { before, after, .. }| u128::from(*after) * 10 > u128::from(*before) * 11).collect()
    }
}

impl fmt::Display for Growth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} grew from {} to {}", self.what, self.before, self.after)
    }
}

fn field(status: &str, name: &str) -> io::Result<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_ascii_whitespace().next()?.parse().ok());
    number.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("/proc/PID/status has no {name}")))
}

#[cfg(test)]
mod tests {
    use super::{Growth, Usage};

    #[test]
    fn ten_percent_is_the_bound() {
        let before = Usage { open_files: 100, threads: 10, memory_bytes: u64::MAX };
        let after = Usage { open_files: 110, threads: 11, memory_bytes: 0 };
        assert_eq!(after.growth_since(&before), []);
        let after = Usage { open_files: 111, threads: 12, memory_bytes: u64::MAX };
        let growth =
            [Growth { what: "open_files", before: 100, after: 111 }, Growth { what: "threads", before: 10, after: 12 }];
        assert_eq!(after.growth_since(&before), growth);
    }

    #[cfg(target_os = "linux")]
    mod linux {
        use std::{
            fs::File,
            process::{Command, Stdio},
        };

        use super::Usage;

        #[test]
        fn a_file_that_is_opened_is_counted() {
            // In a process of its own: other tests open files in this one.
            let mut child = Command::new("sh")
                .args(["-c", "echo; read line; exec 8</dev/null 9</dev/null; echo; read line"])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let (mut input, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
            let mut ready = || std::io::Read::read_exact(&mut output, &mut [0]).unwrap();
            ready();
            let before = Usage::of(child.id()).unwrap();
            std::io::Write::write_all(&mut input, b"\n").unwrap();
            ready();
            let after = Usage::of(child.id()).unwrap();
            drop(input);
            child.wait().unwrap();
            assert_eq!(after.open_files, before.open_files + 2);
            assert_eq!(after.threads, 1);
            assert!(after.memory_bytes > 4096);
            assert_eq!(
                after.growth_since(&before).iter().map(|growth| growth.what).collect::<Vec<_>>(),
                ["open_files"]
            );
        }

        #[test]
        fn this_process_is_no_exception_and_a_missing_one_is_an_error() {
            let _open = File::open("/dev/null").unwrap();
            assert!(Usage::of(std::process::id()).unwrap().open_files > 0);
            Usage::of(u32::MAX).unwrap_err();
        }
    }
}
