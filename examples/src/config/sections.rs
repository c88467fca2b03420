//! The sections of an original server's configuration: an INI file, the same sections as TOML, or the verification server's
//! `config.json`.

use std::{collections::BTreeMap, fs, path::Path, str::FromStr};

use ini::{Ini, ParseOption};
use toml::Value;

use super::{
    Named,
    nearest::{did_you_mean, nearest},
};
use crate::StartError;

/// Every section that some original server's file has. Chat servers have one more each, under their name.
const KNOWN: [&str; 14] = [
    "SelfServer",
    "GateServer",
    "StatusServer",
    "VarifyServer",
    "PeerServer",
    "chatservers",
    "ResServer",
    "Output",
    "Static",
    "Mysql",
    "Redis",
    "Smtp",
    "Metrics",
    "email",
];

/// Sections with their keys. Both are case-sensitive, as the originals have them.
#[derive(Default)]
pub(super) struct Sections {
    file: String,
    sections: BTreeMap<String, BTreeMap<String, String>>,
}

/// One section, or what stands for it when it is missing: an empty one.
pub(super) struct Section<'a> {
    name: &'a str,
    file: &'a str,
    keys: Option<&'a BTreeMap<String, String>>,
}

impl Sections {
    /// Reads a file in whichever of the three ways it is written.
    pub(super) fn read(path: &Path) -> Result<Self, StartError> {
        let file = path.display().to_string();
        let text = fs::read_to_string(path).map_err(|error| {
            StartError::new("--config", format!("cannot read {file}: {error}"), "name a readable INI or TOML file")
        })?;
        Self::parse(&text, &file)
    }

    pub(super) fn parse(text: &str, file: &str) -> Result<Self, StartError> {
        // Editors on Windows begin a file with this mark.
        let text = text.trim_start_matches('\u{feff}');
        if text.trim_start().starts_with('{') {
            return Self::from_json(text, file);
        }
        match text.parse::<toml::Table>() {
            Ok(table) => Self::from_toml(table, file),
            Err(error) if file.ends_with(".toml") => Err(not_toml(&error, text, file)),
            Err(_) => Self::from_ini(text, file),
        }
    }

    /// Whether a text is written in sections rather than as plain options.
    pub(super) fn are_in(text: &str) -> bool {
        let text = text.trim_start_matches('\u{feff}');
        text.lines().map(str::trim).any(|line| line.starts_with('[') && !line.starts_with("[["))
            || text.trim_start().starts_with('{')
    }

    fn from_ini(text: &str, file: &str) -> Result<Self, StartError> {
        // Never the line itself or the reader's own words, which may quote it: it may hold a password.
        let refuse = |line: usize| {
            let problem = format!("{file} is neither INI nor TOML in line {line}");
            StartError::new("--config", problem, "write sections like [GateServer] with lines like Port=8080")
        };
        // The reader would take the lines up to the next `=` for a key.
        if let Some(line) = text.lines().position(|line| !is_ini(line.trim())) {
            return Err(refuse(line + 1));
        }
        // As boost reads it for the originals: a value goes to the end of its line, quotation marks and backslashes included.
        let options = ParseOption { enabled_quote: false, enabled_escape: false, ..ParseOption::default() };
        let ini = Ini::load_from_str_opt(text, options).map_err(|error| refuse(error.line))?;
        let mut sections = Self { file: file.to_owned(), ..Self::default() };
        for (name, keys) in ini.iter() {
            let Some(name) = name else {
                if let Some((key, _)) = keys.iter().next() {
                    let problem = "it stands before the first section";
                    return Err(StartError::new(format!("{key} in {file}"), problem, "put it below a [Section]"));
                }
                continue;
            };
            for (key, value) in keys.iter() {
                sections.insert(name, key, value.trim().to_owned())?;
            }
            sections.sections.entry(name.to_owned()).or_default();
        }
        Ok(sections)
    }

    fn from_toml(table: toml::Table, file: &str) -> Result<Self, StartError> {
        let mut sections = Self { file: file.to_owned(), ..Self::default() };
        for (name, value) in table {
            let Value::Table(keys) = value else {
                let remedy = "a single server's file has sections, such as [GateServer]; put the key into one";
                return Err(StartError::new(format!("{name} in {file}"), "it stands outside any section", remedy));
            };
            sections.sections.entry(name.clone()).or_default();
            for (key, value) in keys {
                let value = match value {
                    Value::String(text) => text,
                    Value::Integer(number) => number.to_string(),
                    Value::Boolean(truth) => truth.to_string(),
                    _ => {
                        let key = format!("{key} of [{name}] in {file}");
                        return Err(StartError::new(key, "not a text or a number", "write one value"));
                    }
                };
                sections.insert(&name, &key, value)?;
            }
        }
        Ok(sections)
    }

    /// The original verification server has no INI but this, with lower-case names.
    fn from_json(text: &str, file: &str) -> Result<Self, StartError> {
        let table: toml::Table = serde_json::from_str(text).map_err(|error| {
            let problem = format!("{file} is not a JSON object of sections in line {}", error.line());
            StartError::new("--config", problem, "write it as the original config.json, as INI or as TOML")
        })?;
        let mut sections = Self::from_toml(table, file)?;
        for (theirs, ours) in [("redis", "Redis"), ("mysql", "Mysql")] {
            if let Some(keys) = sections.sections.remove(theirs) {
                let named = keys.into_iter().map(|(key, value)| {
                    let mut letters = key.chars();
                    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
                    (first.into_iter().chain(letters).collect(), value)
                });
                sections.sections.insert(ours.to_owned(), named.collect());
            }
        }
        Ok(sections)
    }

    fn insert(&mut self, section: &str, key: &str, value: String) -> Result<(), StartError> {
        let keys = self.sections.entry(section.to_owned()).or_default();
        if keys.insert(key.to_owned(), value).is_some() {
            let key = format!("{key} of [{section}] in {}", self.file);
            return Err(StartError::new(key, "given more than once", "keep one of them"));
        }
        Ok(())
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.sections.contains_key(name)
    }

    /// A section, of which these are all the keys there are.
    pub(super) fn section<'a>(&'a self, name: &'a str, known: &[&str]) -> Result<Section<'a>, StartError> {
        let keys = self.sections.get(name);
        let unknown = keys.and_then(|keys| keys.keys().find(|key| !known.contains(&key.as_str())));
        if let Some(key) = unknown {
            let remedy = did_you_mean(nearest(key, known.iter().copied()), "remove it");
            let key = format!("{key} of [{name}] in {}", self.file);
            return Err(StartError::new(key, "there is no such key", remedy));
        }
        Ok(Section { name, file: &self.file, keys })
    }

    /// Names of sections that no server has, `servers` being the chat servers that the file names.
    pub(super) fn unknown(&self, servers: &[String]) -> Vec<String> {
        let names = self.sections.keys();
        names.filter(|name| !KNOWN.contains(&name.as_str()) && !servers.contains(name)).cloned().collect()
    }

    pub(super) fn file(&self) -> &str {
        &self.file
    }
}

fn is_ini(line: &str) -> bool {
    let is_section = line.starts_with('[') && line.ends_with(']');
    line.is_empty() || line.starts_with([';', '#']) || is_section || line.contains('=')
}

/// Not the error's own text: it quotes the line, which may hold a password.
pub(super) fn not_toml(error: &toml::de::Error, text: &str, file: &str) -> StartError {
    let line = error.span().map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
    StartError::new("--config", format!("{file} is not TOML in line {line}"), "write lines like: chats = 4")
}

impl Section<'_> {
    /// The key as an error names it.
    pub(super) fn key(&self, key: &str) -> String {
        format!("{key} of [{}] in {}", self.name, self.file)
    }

    /// The whole section as an error names it.
    pub(super) fn place(&self) -> String {
        format!("[{}] in {}", self.name, self.file)
    }

    /// The value of a key; nothing when it is missing or empty.
    pub(super) fn text(&self, key: &str) -> Option<Named<String>> {
        let value = self.keys?.get(key).filter(|value| !value.is_empty())?;
        Some(Named::new(self.key(key), value.clone()))
    }

    /// The value of a key that must be there.
    pub(super) fn required(&self, key: &str) -> Result<Named<String>, StartError> {
        self.text(key)
            .ok_or_else(|| StartError::new(self.key(key), "it is missing", "add a line such as the example has"))
    }

    /// The value of a key as something other than text. The text is not shown: it may stand in the wrong line.
    pub(super) fn parsed<T: FromStr>(&self, key: &str, what: &str) -> Result<Option<Named<T>>, StartError> {
        let Some(Named { key, value }) = self.text(key) else { return Ok(None) };
        match value.parse() {
            Ok(value) => Ok(Some(Named { key, value })),
            Err(_) => Err(StartError::new(key, format!("this is not {what}"), format!("write {what}"))),
        }
    }

    /// The names of a comma list.
    pub(super) fn list(&self, key: &str) -> Vec<String> {
        let text = self.text(key).map(|named| named.value).unwrap_or_default();
        text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Sections;

    const INI: &str = "\u{feff}; a comment\n[SelfServer]\nName = chatserver1\nPort=8090\n\n[Redis]\nPasswd=p#a;\"s\\s\"\n[Extra]\nA=1\n";

    #[test]
    fn an_ini_is_read_as_boost_reads_it() {
        let sections = Sections::parse(INI, "chat.ini").unwrap();
        let server = sections.section("SelfServer", &["Name", "Port"]).unwrap();
        assert_eq!(server.text("Name").unwrap().value, "chatserver1");
        assert_eq!(server.parsed::<u16>("Port", "a port").unwrap().unwrap().value, 8090);
        let redis = sections.section("Redis", &["Passwd"]).unwrap();
        assert_eq!(redis.text("Passwd").unwrap().value, "p#a;\"s\\s\"", "to the end of the line, as it stands");
        assert_eq!(sections.unknown(&[]), ["Extra"]);
    }

    #[test]
    fn toml_and_json_are_the_same_sections() {
        let toml = Sections::parse("[Redis]\nHost = \"h\"\nPort = 6380\n", "f").unwrap();
        let json = Sections::parse(r#"{"redis":{"host":"h","port":6380},"email":{"user":"u"}}"#, "f").unwrap();
        for sections in [toml, json] {
            let redis = sections.section("Redis", &["Host", "Port"]).unwrap();
            assert_eq!(
                (redis.text("Host").unwrap().value, redis.text("Port").unwrap().value),
                ("h".into(), "6380".into())
            );
        }
    }

    #[test]
    fn what_is_wrong_is_named_and_never_quoted() {
        let refusal = |text: &str| Sections::parse(text, "f.ini").err().unwrap().to_string();
        assert!(refusal("[Mysql]\nPasswd hunter2\n").starts_with("--config: f.ini is neither INI nor TOML in line 2;"));
        assert!(
            refusal("Passwd=hunter2 \\ \n[Mysql]\n").starts_with("Passwd in f.ini: it stands before the first section")
        );
        assert!(refusal("sql = \"x\"\n").starts_with("sql in f.ini: it stands outside any section"));
        assert!(refusal("{\"a\": hunter2}").starts_with("--config: f.ini is not a JSON object"));
        assert!(refusal("[A]\nb=1\nb=hunter2\n").starts_with("b of [A] in f.ini: given more than once"));
        for text in ["[Mysql]\nPasswd hunter2\n", "[A]\nb=1\nb=hunter2\n", "{\"a\": hunter2}"] {
            assert!(!refusal(text).contains("hunter2"));
        }

        let sections = Sections::parse("[GateServer]\nProt=8080\n[StatusServer]\nPort=hunter2\n", "f.ini").unwrap();
        let unknown = sections.section("GateServer", &["Port"]).err().unwrap().to_string();
        assert_eq!(unknown, "Prot of [GateServer] in f.ini: there is no such key; did you mean Port?");
        let status = sections.section("StatusServer", &["Port"]).unwrap();
        let bad = status.parsed::<u16>("Port", "a port").unwrap_err().to_string();
        assert_eq!(bad, "Port of [StatusServer] in f.ini: this is not a port; write a port");
    }

    #[test]
    fn options_are_not_sections() {
        assert!(!Sections::are_in("chats = 2\n# [no]\n"));
        assert!(Sections::are_in(INI) && Sections::are_in("{}"));
    }
}
