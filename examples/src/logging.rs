//! The process's log: `tracing` events to standard error, for people or as JSON.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::EnvFilter;

use crate::{
    StartError,
    config::{LogFormat, Settings},
};

/// Installs the process's subscriber.
///
/// # Errors
/// When the filter is not understood.
pub fn install(settings: &Settings) -> Result<(), StartError> {
    let filter = EnvFilter::try_new(&settings.log_level)
        .map_err(|error| StartError::new("--log-level", error, "write a level, such as info"))?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr);
    match settings.log {
        LogFormat::Human => lines.with_ansi(wants_colours()).init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
    Ok(())
}

/// <https://no-color.org>: set and not empty means no colours, whatever the value.
fn wants_colours() -> bool {
    stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
