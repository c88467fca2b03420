//! The options of `topology`: flags, environment, a TOML file, defaults; the first that says something wins.
//!
//! Every option exists once, as a field of [`Options`], and is flag (`--chat-port`), environment variable
//! (`USCHAT_CHAT_PORT`) and key of the file (`chat-port` or `chat_port`). What does not make sense is a [`StartError`].
//! Passwords inside URLs never leave [`urls`]: no error and no `Debug` shows a URL.

mod command_line;
mod environment;
mod file;
mod nearest;
mod options;
mod settings;
pub mod urls;

pub use options::{LogFormat, Options};
pub use settings::{Database, Ports, Settings};

use crate::StartError;

/// What the command line asks for.
#[derive(Debug)]
pub enum Invocation {
    /// Run with these settings.
    Run(Box<Settings>),
    /// Print the help or the version, and end.
    Print(String),
}

impl Invocation {
    /// Reads the command line, the environment and the configuration file of this process.
    ///
    /// # Errors
    /// An unknown option, variable or key, and any value that makes no sense.
    pub fn of_this_process() -> Result<Self, StartError> {
        let flags = match command_line::parse(std::env::args_os())? {
            command_line::Parsed::Options(options) => options,
            command_line::Parsed::Print(text) => return Ok(Self::Print(text)),
        };
        environment::refuse_unknown(std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()))?;
        let options = match &flags.config {
            Some(path) => {
                let file = file::read(path)?;
                flags.over(file)
            }
            None => *flags,
        };
        Settings::try_from(options).map(|settings| Self::Run(Box::new(settings)))
    }
}
