//! What the programs run with: flags, environment, a file, defaults; the first that says something wins.
//!
//! Every option exists once, as a field of [`Options`] (the topology) or [`ServerOptions`] (a server started alone), and is
//! flag (`--chat-port`), environment variable (`USCHAT_CHAT_PORT`) and, for the topology, key of the file (`chat-port` or
//! `chat_port`). A file may have the sections of the original servers instead, as INI or TOML; those are the only way to
//! configure a server started alone. What does not make sense is a [`StartError`]. Passwords inside URLs never leave
//! [`urls`]: no error and no `Debug` shows a URL.

mod backends;
mod command_line;
mod environment;
mod file;
mod hosts;
mod installation;
mod named;
mod nearest;
mod options;
mod originals;
mod sections;
mod server;
mod server_options;
mod services;
mod settings;
mod shared_sections;
pub mod urls;

use std::ffi::OsString;

use clap::{Arg, ArgAction, Command, FromArgMatches};

pub use backends::{Backends, Database};
pub use hosts::reachable;
pub use named::Named;
pub use options::{ChatServer, LogFormat, Options};
pub use originals::{OriginalPeers, OriginalPeersError};
pub use server::Role;
pub use server_options::ServerOptions;
pub use services::{
    ChatSettings, GateSettings, LogSettings, Original, ServerSettings, Service, StatusSettings, VerifySettings,
};
pub use settings::Settings;
pub use urls::{SmtpUrl, SqlUrl};

use self::{command_line::Parsed, sections::Sections};
use crate::StartError;

/// What the command line of `topology` asks for.
#[derive(Debug)]
pub enum Invocation {
    /// Run with these settings.
    Run(Box<Settings>),
    /// Say that these settings make sense, and end.
    Check(Box<Settings>),
    /// Bring the database up to date, or only say what that would change.
    Migrate {
        /// Which database.
        database: Named<Database>,
        /// Change nothing.
        dry_run: bool,
    },
    /// Print the help or the version, and end.
    Print(String),
}

/// What the command line of a server started alone asks for.
#[derive(Debug)]
pub enum ServerInvocation {
    /// Run with these settings.
    Run {
        /// The settings.
        settings: Box<ServerSettings>,
        /// Sections of the file that nobody reads.
        unknown_sections: Vec<String>,
    },
    /// Say that these settings make sense, and end.
    Check(Box<ServerSettings>),
    /// Print the help or the version, and end.
    Print(String),
}

impl Invocation {
    /// Reads the command line, the environment and the configuration file of this process.
    ///
    /// # Errors
    /// An unknown option, variable or key, and any value that makes no sense.
    pub fn of_this_process() -> Result<Self, StartError> {
        let mut arguments: Vec<OsString> = std::env::args_os().collect();
        if arguments.get(1).is_some_and(|first| first == "migrate") {
            arguments.remove(1);
            return Self::migrate(arguments);
        }
        let options = match command_line::parse(command_line::topology(), arguments)? {
            Parsed::Options(options) => with_file(*options)?,
            Parsed::Print(text) => return Ok(Self::Print(text)),
        };
        let check = options.check_config == Some(true);
        let settings = Box::new(Settings::try_from(options)?);
        Ok(if check { Self::Check(settings) } else { Self::Run(settings) })
    }

    fn migrate(arguments: Vec<OsString>) -> Result<Self, StartError> {
        let dry_run = Arg::new("dry_run")
            .long("dry-run")
            .action(ArgAction::SetTrue)
            .help("Say what would change, and change nothing");
        let command = command_line::topology()
            .name("topology migrate")
            .about("Brings a database up to date; an original `llfc` database is taken over")
            .after_help("Only --sql (or --data-dir) and --config are used; the others are accepted.")
            .arg(dry_run);
        match command_line::parse::<Migrate>(command, arguments)? {
            Parsed::Print(text) => Ok(Self::Print(text)),
            Parsed::Options(migrate) => {
                let options = with_file(migrate.options)?;
                let sql = options.sql.map(|sql| Named::new("--sql", sql));
                let database = Database::choose(sql, options.data_dir)?;
                Ok(Self::Migrate { database, dry_run: migrate.dry_run })
            }
        }
    }
}

#[derive(Debug)]
struct Migrate {
    options: Options,
    dry_run: bool,
}

impl FromArgMatches for Migrate {
    fn from_arg_matches(matches: &clap::ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self { options: Options::from_arg_matches(matches)?, dry_run: matches.get_flag("dry_run") })
    }

    fn update_from_arg_matches(&mut self, matches: &clap::ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl ServerInvocation {
    /// Reads the command line, the environment and the configuration file of this process.
    ///
    /// # Errors
    /// An unknown option, variable, section or key, and any value that makes no sense.
    pub fn of_this_process(role: Role) -> Result<Self, StartError> {
        let command = server_command(role);
        let options = match command_line::parse::<ServerOptions>(command, std::env::args_os())? {
            Parsed::Options(options) => *options,
            Parsed::Print(text) => return Ok(Self::Print(text)),
        };
        refuse_unknown_variables()?;
        let sections = options.config.as_deref().map(Sections::read).transpose()?.unwrap_or_default();
        let check = options.check_config == Some(true);
        let (settings, unknown_sections) = server::settings(role, options, &sections)?;
        let settings = Box::new(settings);
        Ok(if check { Self::Check(settings) } else { Self::Run { settings, unknown_sections } })
    }
}

fn server_command(role: Role) -> Command {
    command_line::command::<ServerOptions>(
        role.name(),
        role.about(),
        "Each option is also an environment variable. A flag goes before the environment, that before the file.",
    )
}

fn with_file(flags: Options) -> Result<Options, StartError> {
    refuse_unknown_variables()?;
    match &flags.config {
        Some(path) => {
            let file = file::read(path)?;
            Ok(flags.over(file))
        }
        None => Ok(flags),
    }
}

fn refuse_unknown_variables() -> Result<(), StartError> {
    environment::refuse_unknown(std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()))
}
