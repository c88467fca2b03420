//! Records, checked one by one and packed for the judge.

use std::{
    collections::HashMap,
    fmt,
    io::{BufRead, Read},
    path::Path,
    sync::Arc,
};

use serde::Serialize;
use uschat_proto::chat::{ThreadId, UserId};

use super::{ContentHash, Record, Verdict, judge};

/// All records of a run. Takes 48 bytes an event, and each text's id once however often it was seen.
///
/// The records of one user must come in their order: from one file, or from several that are added oldest first. Files of
/// different users may be added in any order, and one file may hold any mixture.
#[derive(Debug, Default)]
pub struct Evidence {
    pub(super) files: Vec<Box<str>>,
    pub(super) clients: Vec<Client>,
    client_of: HashMap<UserId, usize>,
    pub(super) messages: Vec<Message>,
    message_of: HashMap<UserId, HashMap<Arc<str>, MessageNo>>,
    pub(super) stored: Vec<Stored>,
    pub(super) members: HashMap<ThreadId, Members>,
    pub(super) healed: Vec<(Box<str>, u64)>,
}

/// Stands for a sender and an id of theirs.
pub(super) type MessageNo = u32;
/// A text without an id.
pub(super) const NO_MESSAGE: MessageNo = u32::MAX;

#[derive(Debug)]
pub(super) struct Message {
    pub(super) sender: UserId,
    pub(super) msgid: Arc<str>,
}

#[derive(Debug)]
pub(super) struct Client {
    pub(super) user: UserId,
    pub(super) events: Vec<(Event, At)>,
}

#[derive(Debug)]
pub(super) enum Event {
    Connect,
    Send { message: MessageNo, conversation: Option<ThreadId>, hash: ContentHash },
    Ack { message: MessageNo, conversation: Option<ThreadId>, seq: i64, at_us: u64 },
    Refused { message: MessageNo },
    Recv(Text),
}

/// A text as it was shown or stored.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text {
    pub(super) conversation: ThreadId,
    pub(super) seq: i64,
    pub(super) hash: ContentHash,
    pub(super) sender: UserId,
    /// Of the sender that is named, who need not be the one who sent it.
    pub(super) message: MessageNo,
}

#[derive(Debug)]
pub(super) struct Stored {
    pub(super) text: Text,
    pub(super) at: At,
}

#[derive(Debug)]
pub(super) struct Members {
    pub(super) users: Vec<UserId>,
    pub(super) after: i64,
}

/// Where a record stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct At {
    file: u32,
    line: u32,
}

impl Evidence {
    /// The longest line that is read, in bytes. Only the members of a very large conversation come near it.
    pub const MAX_LINE: u64 = 4 * 1024 * 1024;

    /// Reads lines of JSON, one record each; empty lines are skipped. `name` is what the report calls them.
    ///
    /// # Errors
    /// At the first line that cannot be read, is too long, is no record, or contradicts an earlier one. What came before
    /// it has been added. A last line that its writer did not finish is refused as well.
    pub fn read(&mut self, name: &str, mut lines: impl BufRead) -> Result<(), BadEvidence> {
        let file = self.open(name);
        let (mut line, mut number) = (Vec::new(), 0_u32);
        loop {
            number = number.saturating_add(1);
            let bad = |problem: String| BadEvidence { file: name.into(), line: Some(number), problem };
            line.clear();
            let len = lines.by_ref().take(Self::MAX_LINE + 1).read_until(b'\n', &mut line);
            match len.map_err(|error| bad(format!("cannot be read: {error}")))? {
                0 => return Ok(()),
                len if len as u64 > Self::MAX_LINE => {
                    return Err(bad(format!("is longer than {} bytes", Self::MAX_LINE)));
                }
                _ if line.trim_ascii().is_empty() => continue,
                _ => {}
            }
            let finished = line.ends_with(b"\n");
            let record = serde_json::from_slice(line.trim_ascii_end()).map_err(|error| bad(said(&error, finished)))?;
            self.put(record, file, number).map_err(bad)?;
        }
    }

    /// Adds records that never were in a file. `name` is what the report calls them; they are numbered from 1.
    ///
    /// # Errors
    /// At the first record that is not valid or contradicts an earlier one. What came before it has been added.
    pub fn add(&mut self, name: &str, records: impl IntoIterator<Item = Record>) -> Result<(), BadEvidence> {
        let file = self.open(name);
        for (number, record) in (1..).zip(records) {
            let bad = |problem| BadEvidence { file: name.into(), line: Some(number), problem };
            self.put(record, file, number).map_err(bad)?;
        }
        Ok(())
    }

    /// Applies the [rules](super::Rule). `examples` bounds how many violations of each kind the verdict describes; it
    /// counts all of them.
    ///
    /// Time and memory grow in proportion to the number of records, whatever they say.
    ///
    /// # Errors
    /// When texts are stored in a conversation whose members are not told: what they should have seen is unknown then.
    pub fn judge(&self, examples: usize) -> Result<Verdict, BadEvidence> {
        judge::judge(self, examples)
    }

    pub(super) fn place(&self, at: At) -> Place {
        Place { file: self.files[at.file as usize].clone(), line: at.line }
    }

    pub(super) fn client(&self, user: UserId) -> Option<&Client> {
        self.client_of.get(&user).map(|client| &self.clients[*client])
    }

    /// The id of a text, if it has one.
    pub(super) fn msgid(&self, message: MessageNo) -> Option<&str> {
        self.messages.get(message as usize).map(|message| &*message.msgid)
    }

    fn open(&mut self, name: &str) -> u32 {
        self.files.push(name.into());
        u32::try_from(self.files.len() - 1).unwrap_or(u32::MAX)
    }

    fn put(&mut self, record: Record, file: u32, line: u32) -> Result<(), String> {
        if let Some(fault) = record.fault() {
            return Err(fault);
        }
        let at = At { file, line };
        match record {
            Record::Connect { user } => self.event(user, Event::Connect, at),
            Record::Send { user, msgid, conversation, hash, at_us: _ } => {
                let message = self.message(user, &msgid)?;
                self.event(user, Event::Send { message, conversation, hash }, at);
            }
            Record::Ack { user, msgid, conversation, seq, at_us } => {
                let message = self.message(user, &msgid)?;
                self.event(user, Event::Ack { message, conversation, seq, at_us }, at);
            }
            Record::Refused { user, msgid, code: _ } => {
                let message = self.message(user, &msgid)?;
                self.event(user, Event::Refused { message }, at);
            }
            Record::Recv { user, conversation, seq, msgid, sender, hash } => {
                let message = self.message(sender, &msgid)?;
                self.event(user, Event::Recv(Text { conversation, seq, hash, sender, message }), at);
            }
            Record::Stored { conversation, seq, msgid, sender, hash } => {
                let message = self.message(sender, &msgid)?;
                self.stored.push(Stored { text: Text { conversation, seq, hash, sender, message }, at });
            }
            Record::Members { conversation, mut users, after } => {
                users.sort_unstable();
                users.dedup();
                if self.members.insert(conversation, Members { users, after }).is_some() {
                    return Err(format!("the members of conversation {conversation} were told before"));
                }
            }
            Record::Healed { fault, at_us } => self.healed.push((fault, at_us)),
        }
        Ok(())
    }

    fn event(&mut self, user: UserId, event: Event, at: At) {
        let client = *self.client_of.entry(user).or_insert_with(|| {
            self.clients.push(Client { user, events: Vec::new() });
            self.clients.len() - 1
        });
        self.clients[client].events.push((event, at));
    }

    fn message(&mut self, sender: UserId, msgid: &str) -> Result<MessageNo, String> {
        if msgid.is_empty() {
            return Ok(NO_MESSAGE);
        }
        let of_sender = self.message_of.entry(sender).or_default();
        if let Some(message) = of_sender.get(msgid) {
            return Ok(*message);
        }
        let message = MessageNo::try_from(self.messages.len()).unwrap_or(NO_MESSAGE);
        if message == NO_MESSAGE {
            return Err("there are more texts than can be judged at once".into());
        }
        let msgid: Arc<str> = msgid.into();
        of_sender.insert(Arc::clone(&msgid), message);
        self.messages.push(Message { sender, msgid });
        Ok(message)
    }
}

/// A line of a file, or a record of a journal in memory, from 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The file's name as it was given.
    pub file: Box<str>,
    /// The line's number.
    pub line: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} line {}", self.file, self.line)
    }
}

/// There is nothing to judge by: which file and line, and what is wrong with it. Prints as one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadEvidence {
    pub(super) file: Box<str>,
    pub(super) line: Option<u32>,
    pub(super) problem: String,
}

impl BadEvidence {
    pub(super) fn file(path: &Path, problem: &dyn fmt::Display) -> Self {
        Self { file: path.to_string_lossy().into(), line: None, problem: format!("cannot be used: {problem}") }
    }
}

impl fmt::Display for BadEvidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = self.line.map_or_else(String::new, |line| format!(" line {line}"));
        // A file may be called anything, and a parser quotes what it met.
        let text = format!("{}{line}: {}", self.file, self.problem);
        f.write_str(&text.replace(char::is_control, " "))
    }
}

impl std::error::Error for BadEvidence {}

/// The parser's words without its line number, which is always 1 here.
fn said(error: &serde_json::Error, finished: bool) -> String {
    let text = error.to_string();
    let words = text.split(" at line ").next().unwrap_or_default();
    if error.is_eof() && !finished {
        "was not finished by its writer".into()
    } else {
        format!("is no record: {words} (column {})", error.column())
    }
}

#[cfg(all(test, target_pointer_width = "64"))]
mod tests {
    use super::{At, Event};
    use crate::oracle::Record;

    #[test]
    fn sizes_are_those_in_the_documentation() {
        assert_eq!(size_of::<(Event, At)>(), 48);
        assert_eq!(size_of::<Record>(), 56);
    }
}
