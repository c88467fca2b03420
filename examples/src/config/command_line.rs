use std::ffi::OsString;

use clap::{
    Args, Command, FromArgMatches,
    error::{ContextKind, ContextValue, ErrorKind},
};

use super::{Options, server_options::ServerOptions};
use crate::StartError;

/// What the flags say, the environment filling in.
#[derive(Debug)]
pub(super) enum Parsed<O> {
    Options(Box<O>),
    Print(String),
}

/// Takes the arguments of a program apart.
pub(super) fn parse<O: FromArgMatches>(
    mut command: Command,
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<Parsed<O>, StartError> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let options = command
        .try_get_matches_from_mut(&arguments)
        .and_then(|matches| O::from_arg_matches(&matches))
        .map(|options| Parsed::Options(Box::new(options)));
    options.or_else(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Ok(Parsed::Print(error.to_string())),
        _ => Err(refusal(&error, &arguments, &command)),
    })
}

/// The environment variables of all options of all programs: one environment may serve several of them.
pub(super) fn variables() -> Vec<String> {
    let (topology, server) = (topology(), command::<ServerOptions>("server", "", ""));
    let arguments = topology.get_arguments().chain(server.get_arguments());
    arguments.filter_map(|arg| arg.get_env()?.to_str().map(str::to_owned)).collect()
}

/// The keys of all options that the topology's file may set, with underscores.
pub(super) fn keys() -> Vec<String> {
    topology().get_arguments().filter(|arg| arg.get_env().is_some()).map(|arg| arg.get_id().to_string()).collect()
}

/// The topology and all its options.
pub(super) fn topology() -> Command {
    command::<Options>(
        "topology",
        "Runs a whole UsChat installation: gate, verification, status and chat servers",
        "Each option is also an environment variable and a key of the --config file.\n\
         A flag goes before the environment, that before the file, that before the default.\n\n\
         `topology migrate [--dry-run] --sql mysql://…` brings a database up to date, or shows what that would change.",
    )
}

/// A program with these options.
pub(super) fn command<O: Args>(name: &'static str, about: &'static str, after: &'static str) -> Command {
    // The description last: the one of the options, which is for readers of the code, would replace it.
    let command = O::augment_args(Command::new(name).version(env!("CARGO_PKG_VERSION"))).about(about).after_help(after);
    // A URL in the environment may hold a password, which the help would print.
    command.mut_args(|arg| arg.hide_env_values(true))
}

/// Clap explains itself in many lines and quotes values, which may be passwords; this is one line without them.
fn refusal(error: &clap::Error, arguments: &[OsString], command: &Command) -> StartError {
    let help = format!("{} --help", command.get_name());
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let option = context(ContextKind::InvalidArg).unwrap_or_default();
    // "--chats <N>", or what stood there instead of an option.
    let name = option.split([' ', '=', '[']).next().unwrap_or_default();
    match error.kind() {
        ErrorKind::UnknownArgument if name.starts_with('-') => {
            let remedy = context(ContextKind::SuggestedArg).map(|suggested| format!("did you mean {suggested}?"));
            StartError::new(name, "there is no such option", remedy.unwrap_or_else(|| format!("see `{help}`")))
        }
        ErrorKind::UnknownArgument => {
            let remedy = format!("options begin with --; see `{help}`");
            StartError::new("arguments", "one stands without an option", remedy)
        }
        kind => {
            let key = if was_given(name, arguments) { name.to_owned() } else { variable(name, command) };
            let problem = match (kind, std::error::Error::source(error)) {
                (ErrorKind::ValueValidation, Some(cause)) => cause.to_string(),
                (ErrorKind::ArgumentConflict, _) => "given more than once".to_owned(),
                (ErrorKind::InvalidValue, _) if context(ContextKind::InvalidValue) == Some("") => {
                    "a value is missing".to_owned()
                }
                (ErrorKind::InvalidValue, _) => "not one of its values".to_owned(),
                _ => kind.as_str().unwrap_or("not understood").to_owned(),
            };
            StartError::new(key, problem, format!("`{help}` tells what it takes"))
        }
    }
}

fn was_given(name: &str, arguments: &[OsString]) -> bool {
    arguments
        .iter()
        .filter_map(|argument| argument.to_str())
        .any(|argument| argument.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('=')))
}

/// The variable behind a flag: without the flag the value came from there.
fn variable(name: &str, command: &Command) -> String {
    let found = command
        .get_arguments()
        .find(|arg| arg.get_long() == name.strip_prefix("--"))
        .and_then(|arg| arg.get_env().map(|variable| variable.to_string_lossy().into_owned()));
    found.unwrap_or_else(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::{Options, Parsed, ServerOptions, command, parse, topology};

    fn refusal(arguments: &[&str]) -> String {
        let all = ["topology"].iter().chain(arguments).map(OsString::from);
        parse::<Options>(topology(), all).unwrap_err().to_string()
    }

    #[test]
    fn every_option_has_one_name_in_three_spellings() {
        let (topology, server) = (topology(), command::<ServerOptions>("server", "", ""));
        topology.clone().debug_assert();
        server.clone().debug_assert();
        for arg in topology.get_arguments().chain(server.get_arguments()) {
            let id = arg.get_id().as_str();
            assert_eq!(arg.get_long(), Some(id.replace('_', "-").as_str()));
            let variable = format!("USCHAT_{}", id.to_uppercase());
            assert_eq!(arg.get_env().and_then(|name| name.to_str()), Some(variable.as_str()));
            assert!(arg.get_help().is_some(), "{id}");
        }
    }

    #[test]
    fn switches_take_no_value_or_one_after_an_equals_sign() {
        for (argument, dev) in [("--dev", true), ("--dev=no", false), ("--dev=1", true)] {
            let Parsed::Options(options) =
                parse::<Options>(topology(), ["topology", argument].map(OsString::from)).unwrap()
            else {
                panic!()
            };
            assert_eq!(options.dev, Some(dev));
        }
    }

    #[test]
    fn bad_values_are_one_line_that_names_the_option() {
        assert!(refusal(&["--chats", "many"]).starts_with("--chats: "));
        assert!(refusal(&["--gate-port=70000"]).starts_with("--gate-port: "));
        assert!(refusal(&["--log", "loud"]).starts_with("--log: "));
        assert!(refusal(&["--bind"]).starts_with("--bind: a value is missing"));
        assert!(refusal(&["--chats", "1", "--chats", "2"]).starts_with("--chats: given more than once"));
        assert_eq!(refusal(&["--chat", "3"]), "--chat: there is no such option; did you mean --chats?");
    }

    #[test]
    fn no_line_quotes_what_may_be_a_password() {
        for arguments in [
            &["--sql", "mysql://root:hunter2@h:p/db"][..],
            &["--redis=redis://:hunter2@"],
            &["--sqll=mysql://root:hunter2@h/db"],
            &["mysql://root:hunter2@h/db"],
            &["--dev=hunter2"],
            &["--log", "hunter2"],
        ] {
            let shown = refusal(arguments);
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }
}
