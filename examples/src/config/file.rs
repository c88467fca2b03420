use std::{fs, path::Path};

use toml::{Table, Value};

use super::{
    Options, command_line, installation,
    nearest::{did_you_mean, nearest},
    sections::{Sections, not_toml},
};
use crate::StartError;

/// Reads the topology's file: options as TOML, or sections as the original servers have them. Relative paths inside begin
/// where the process was started, as those of flags do.
pub(super) fn read(path: &Path) -> Result<Options, StartError> {
    let name = path.display().to_string();
    let text = fs::read_to_string(path).map_err(|error| {
        StartError::new("--config", format!("cannot read {name}: {error}"), "name a readable TOML or INI file")
    })?;
    if Sections::are_in(&text) { installation::options(&Sections::parse(&text, &name)?) } else { parse(&text, &name) }
}

fn parse(text: &str, name: &str) -> Result<Options, StartError> {
    let table: Table = text.parse().map_err(|error: toml::de::Error| not_toml(&error, text, name))?;
    table.into_iter().try_fold(Options::default(), |options, (key, value)| Ok(option(&key, value, name)?.over(options)))
}

/// One key at a time, so that an error can say which.
fn option(key: &str, value: Value, name: &str) -> Result<Options, StartError> {
    let known = command_line::keys();
    let field = key.replace('-', "_");
    if field == "config" {
        return Err(StartError::new(format!("config in {name}"), "a file cannot name another one", "remove the key"));
    }
    if !known.contains(&field) {
        let known: Vec<String> = known.iter().map(|known| known.replace('_', "-")).collect();
        let nearest = nearest(&key.replace('_', "-"), known.iter().map(String::as_str));
        let remedy = did_you_mean(nearest, "remove it; `topology --help` lists the options, which are the keys");
        return Err(StartError::new(format!("{key} in {name}"), "no option has this key", remedy));
    }
    Table::from_iter([(field, value)]).try_into().map_err(|error: toml::de::Error| {
        StartError::new(format!("{key} in {name}"), error.message(), "`topology --help` tells what it takes")
    })
}

#[cfg(test)]
mod tests {
    use super::parse;

    fn refusal(text: &str) -> String {
        parse(text, "uschat.toml").unwrap_err().to_string()
    }

    #[test]
    fn both_spellings_of_a_key() {
        let options = parse("chat-port = 7000\ngate_port = 7001\ndev = true\nlog = \"json\"", "f").unwrap();
        assert_eq!((options.chat_port, options.gate_port, options.dev), (Some(7000), Some(7001), Some(true)));
    }

    #[test]
    fn an_error_names_the_key() {
        assert_eq!(refusal("chat = 3"), "chat in uschat.toml: no option has this key; did you mean chats?");
        assert!(refusal("gate-port = 70000").starts_with("gate-port in uschat.toml: "));
        assert!(refusal("log = \"loud\"").contains("human"));
        assert!(refusal("config = \"other.toml\"").starts_with("config in uschat.toml: a file cannot name another"));
    }

    #[test]
    fn broken_toml_is_told_by_line_and_never_quoted() {
        let shown = refusal("chats = 2\nsql = mysql://root:hunter2@h/db\n");
        assert_eq!(shown, "--config: uschat.toml is not TOML in line 2; write lines like: chats = 4");
        let shown = refusal("redis = \"redis://:hunter2@h/x\"");
        assert!(shown.starts_with("redis in uschat.toml: ") && !shown.contains("hunter2"), "{shown}");
    }
}
