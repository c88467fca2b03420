//! CPU time and memory of processes of this machine, as `/proc` tells them.

use std::{fs, time::Duration};

use serde::Serialize;

use super::error::LoadError;

/// The processes that are watched.
#[derive(Debug, Clone)]
pub(super) struct Processes(Vec<u32>);

/// One of them at one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Usage {
    pub(super) pid: u32,
    cpu: Duration,
    pub(super) resident_bytes: u64,
}

/// What one of them used.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Used {
    pub(super) pid: u32,
    /// User and system time, as a part of one core.
    pub(super) cores: f64,
    /// CPU time for each acknowledged text; none if there was none.
    pub(super) cpu_us_per_text: Option<f64>,
    pub(super) resident_bytes: u64,
}

impl Processes {
    /// These processes, which must be there.
    pub(super) fn new(mut pids: Vec<u32>) -> Result<Self, LoadError> {
        pids.sort_unstable();
        pids.dedup();
        let processes = Self(pids);
        processes.usage()?;
        Ok(processes)
    }

    /// The same and this process, where processes can be watched.
    pub(super) fn and_own(&self) -> Self {
        let mut all = self.clone();
        all.0.extend(Usage::of(std::process::id()).ok().map(|own| own.pid));
        all
    }

    pub(super) fn usage(&self) -> Result<Vec<Usage>, LoadError> {
        self.0.iter().map(|&pid| Usage::of(pid)).collect()
    }

    /// What they used since then.
    pub(super) fn used_since(&self, before: &[Usage], time: Duration, texts: u64) -> Result<Vec<Used>, LoadError> {
        let used = |(before, now): (&Usage, Usage)| {
            let cpu = now.cpu.saturating_sub(before.cpu);
            Used {
                pid: now.pid,
                cores: cpu.as_secs_f64() / time.as_secs_f64(),
                cpu_us_per_text: (texts > 0).then(|| cpu.as_secs_f64() * 1e6 / texts as f64),
                resident_bytes: now.resident_bytes,
            }
        };
        Ok(before.iter().zip(self.usage()?).map(used).collect())
    }
}

/// CPU time of all of them for each text; none if nothing was watched.
pub(super) fn cpu_us_per_text(used: &[Used]) -> Option<f64> {
    used.iter().map(|one| one.cpu_us_per_text).sum::<Option<f64>>().filter(|_| !used.is_empty())
}

impl Usage {
    /// The unit of times in `/proc`; the same on every Linux that Rust's standard library supports.
    const TICK: Duration = Duration::from_millis(10);

    fn of(pid: u32) -> Result<Self, LoadError> {
        let read = |file: &str| {
            fs::read_to_string(format!("/proc/{pid}/{file}")).map_err(|error| {
                let remedy = "name running processes of this machine; needs Linux";
                LoadError::option("--pid", format!("process {pid}: {error}"), remedy)
            })
        };
        let strange = || LoadError::failed(format!("what /proc tells of process {pid} is not understood"));
        let cpu = cpu_ticks(&read("stat")?).ok_or_else(strange)?;
        let resident_bytes = resident_bytes(&read("status")?).ok_or_else(strange)?;
        Ok(Self { pid, cpu: Self::TICK * cpu, resident_bytes })
    }
}

/// User and system time of a `/proc/PID/stat`.
fn cpu_ticks(stat: &str) -> Option<u32> {
    // The second field is the name in parentheses, and may hold anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_ascii_whitespace().skip(11).map(str::parse);
    Some(times.next()?.ok()?).zip(times.next()?.ok()).map(|(user, system): (u32, u32)| user + system)
}

fn resident_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_proc_says_is_read() {
        let stat =
            "42 (a) b (c) S 1 42 42 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 4 0 100 1000 200 18446744073709551615";
        assert_eq!(cpu_ticks(stat), Some(200));
        assert_eq!(cpu_ticks("42 (a) S 1"), None);
        assert_eq!(resident_bytes("Name:\ta\nVmRSS:\t    2048 kB\n"), Some(2_097_152));
        assert_eq!(resident_bytes("Name:\ta\n"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_that_computes_uses_cpu_time() {
        let processes = Processes::new(vec![std::process::id()]).unwrap();
        let before = processes.usage().unwrap();
        let begin = std::time::Instant::now();
        // However little of the machine the test gets.
        let enough = Duration::from_millis(50);
        while processes.usage().unwrap()[0].cpu < before[0].cpu + enough {
            assert!(begin.elapsed() < Duration::from_secs(30), "no CPU time is counted");
        }
        let used = &processes.used_since(&before, begin.elapsed(), 10).unwrap()[0];
        assert!(used.cores > 0.0 && used.cpu_us_per_text.unwrap() >= 5_000.0, "{used:?}");
        assert!(used.resident_bytes > 100_000);
        assert!(Processes::new(vec![u32::MAX]).is_err());
    }
}
