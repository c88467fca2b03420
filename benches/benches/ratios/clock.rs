//! What a contender costs: the CPU time of this thread, or of all of them,
//! which does not count what other programs do in between.

use std::time::Duration;

/// CPU time of this thread since some moment.
#[cfg(unix)]
pub(crate) fn now() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// CPU time of all threads of this process since some moment.
#[cfg(unix)]
pub(crate) fn now_of_all_threads() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// Time since the first call: elsewhere there is no such clock to be had
/// without unsafe code.
#[cfg(not(unix))]
pub(crate) fn now() -> Duration {
    static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    START.get_or_init(std::time::Instant::now).elapsed()
}

/// The same.
#[cfg(not(unix))]
pub(crate) fn now_of_all_threads() -> Duration {
    now()
}
