use std::{fs, path::Path};

use toml::{Table, Value};

use super::{
    Options, command_line,
    nearest::{did_you_mean, nearest},
};
use crate::StartError;

/// Reads a TOML file of options. Relative paths inside begin where the process was started, as those of flags do.
pub(super) fn read(path: &Path) -> Result<Options, StartError> {
    let text = fs::read_to_string(path).map_err(|error| {
        StartError::new("--config", format!("cannot read {}: {error}", path.display()), "name a readable TOML file")
    })?;
    parse(&text, &path.display().to_string())
}

fn parse(text: &str, name: &str) -> Result<Options, StartError> {
    let table: Table = text.parse().map_err(|error: toml::de::Error| {
        if is_ini_of_an_original(text) {
            return StartError::new(
                "--config",
                format!("{name} is an INI file of an original server, which this build does not read"),
                "write the options as TOML; `topology --help` lists them",
            );
        }
        // Not the error's own text: it quotes the line, which may hold a password.
        let line = error.span().map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
        StartError::new("--config", format!("{name} is not TOML in line {line}"), "write lines like: chats = 4")
    })?;
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

/// The original servers' files have sections of these names, and values that TOML wants in quotation marks.
fn is_ini_of_an_original(text: &str) -> bool {
    const SECTIONS: [&str; 8] = [
        "[SelfServer]",
        "[GateServer]",
        "[StatusServer]",
        "[VarifyServer]",
        "[PeerServer]",
        "[chatservers]",
        "[Mysql]",
        "[Redis]",
    ];
    text.lines().map(str::trim).any(|line| line.starts_with("RPCPort") || SECTIONS.contains(&line))
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
        assert!(refusal("[chats]\nn = 1").starts_with("chats in uschat.toml: "));
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

    #[test]
    fn an_original_ini_is_recognised() {
        let ini = "[SelfServer]\nName = chatserver1\nHost = 0.0.0.0\nPort = 8090\nRPCPort = 50055\n";
        assert!(refusal(ini).contains("is an INI file of an original server"));
    }
}
