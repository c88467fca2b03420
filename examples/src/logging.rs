//! The process's log: `tracing` events to standard error, for people or as JSON.

use std::{
    io::{self, IsTerminal, Write, stderr},
    sync::Arc,
};

use tracing_subscriber::EnvFilter;

use crate::{
    StartError,
    config::{LogFormat, LogSettings},
};

/// Installs the process's subscriber. `process` is put in front of every line, to tell the processes of one installation
/// apart.
///
/// # Errors
/// When the filter is not understood.
pub fn install(settings: &LogSettings, process: Option<&str>) -> Result<(), StartError> {
    let filter = EnvFilter::try_new(&settings.level)
        .map_err(|error| StartError::new("--log-level", error, "write a level, such as info"))?;
    let prefix: Arc<str> = match (process, settings.format) {
        (None, _) => "".into(),
        (Some(process), LogFormat::Human) => format!("{process}: ").into(),
        // The first key of the object that every line is.
        (Some(process), LogFormat::Json) => format!("{{\"process\":{},", serde_json::Value::from(process)).into(),
    };
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(move || Prefixed(Arc::clone(&prefix)));
    match settings.format {
        LogFormat::Human => lines.with_ansi(wants_colours()).init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
    Ok(())
}

/// Standard error, each line behind a prefix. The subscriber writes a line at a time; so does this, for lines of several
/// processes must not mix.
struct Prefixed(Arc<str>);

impl Write for Prefixed {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let rest = if self.0.starts_with('{') { line.strip_prefix(b"{").unwrap_or(line) } else { line };
        stderr().write_all(&[self.0.as_bytes(), rest].concat())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        stderr().flush()
    }
}

/// <https://no-color.org>: set and not empty means no colours, whatever the value.
fn wants_colours() -> bool {
    stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
