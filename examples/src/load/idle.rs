//! Sessions that say nothing, for the memory that each takes.

use serde::Serialize;

use super::{error::LoadError, processes::Processes, progress::Progress, session::Session, target::Target, users};

/// What idle sessions take.
#[derive(Debug, Serialize)]
pub(super) struct IdleMemory {
    pub(super) sessions: u32,
    pub(super) processes: Vec<Memory>,
}

/// Of one process.
#[derive(Debug, Serialize)]
pub(super) struct Memory {
    pub(super) pid: u32,
    pub(super) resident_bytes_before: u64,
    pub(super) resident_bytes_after: u64,
    pub(super) bytes_per_session: i64,
}

/// Logs so many users in; the sessions last as long as what is returned.
pub(super) async fn hold(
    sessions: u32,
    seed: u64,
    target: &Target,
    processes: &Processes,
    progress: &Progress,
) -> Result<(IdleMemory, Vec<Session>), LoadError> {
    let names: Vec<_> = (0..sessions).map(|number| format!("load{seed}-idle-{number}")).collect();
    let tickets = users::enter(target, &names, progress).await?;
    let before = processes.usage()?;
    let held = users::connect_each(&tickets, progress).await?;
    let after = processes.usage()?;
    let memory = before.iter().zip(&after).map(|(before, after)| Memory {
        pid: after.pid,
        resident_bytes_before: before.resident_bytes,
        resident_bytes_after: after.resident_bytes,
        bytes_per_session: (after.resident_bytes.cast_signed() - before.resident_bytes.cast_signed())
            / i64::from(sessions),
    });
    Ok((IdleMemory { sessions, processes: memory.collect() }, held))
}
