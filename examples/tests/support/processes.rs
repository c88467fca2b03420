//! The processes of this machine, as far as a topology's are concerned.

use std::collections::BTreeSet;

use super::topology::kill;

struct Process {
    id: u32,
    parent: u32,
}

/// The living children of a process.
pub fn children_of(parent: u32) -> BTreeSet<u32> {
    living().into_iter().filter(|process| process.parent == parent).map(|process| process.id).collect()
}

/// Those of these processes that live.
pub fn living_of(processes: &BTreeSet<u32>) -> BTreeSet<u32> {
    living().into_iter().map(|process| process.id).filter(|id| processes.contains(id)).collect()
}

/// Sends a signal, such as `KILL`, to a process.
pub async fn signal(process: u32, name: &str) {
    kill(name, &process.to_string()).await;
}

/// From `/proc`: a minimal installation of Linux has no `ps`.
#[cfg(target_os = "linux")]
fn living() -> Vec<Process> {
    let read = |entry: std::fs::DirEntry| {
        let id = entry.file_name().to_str()?.parse().ok()?;
        // The name in parentheses may hold anything; then the state, and the parent.
        let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
        let (state, parent) = (fields.next()?, fields.next()?.parse().ok()?);
        has_not_ended(state).then_some(Process { id, parent })
    };
    std::fs::read_dir("/proc").unwrap().flatten().filter_map(read).collect()
}

#[cfg(not(target_os = "linux"))]
fn living() -> Vec<Process> {
    let output = std::process::Command::new("ps").args(["-A", "-o", "pid=,ppid=,stat="]).output().unwrap();
    let read = |line: &str| {
        let mut fields = line.split_ascii_whitespace();
        let (id, parent) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        has_not_ended(fields.next()?).then_some(Process { id, parent })
    };
    String::from_utf8(output.stdout).unwrap().lines().filter_map(read).collect()
}

/// One that nobody has waited for yet is still listed.
fn has_not_ended(state: &str) -> bool {
    !state.starts_with(['Z', 'X'])
}
