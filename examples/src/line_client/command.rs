//! From a line to a command.

use std::time::Duration;

use uschat_client::UserId;

/// The part of `--help` and of `help` that explains lines.
pub(crate) const HELP: &str = "\
Commands, one per line; empty lines and lines that start with # are skipped:
  signup NAME EMAIL PASSWORD         have a code mailed, read it from the gate's outbox, register
  code EMAIL                         have a code mailed
  dev-code EMAIL                     read the newest code from the gate's built-in outbox
  register NAME EMAIL PASSWORD CODE  create an account
  reset NAME EMAIL PASSWORD CODE     set a new password
  login EMAIL PASSWORD               log in and connect
  search UID-OR-NAME                 look a user up
  add UID [INTRODUCTION...]          ask a user to become a friend
  approve UID [REMARK...]            accept an application
  friends                            list friends, with your remarks
  applications                       list who waits for your `approve`
  say UID TEXT...                    send a text; answered once the server has stored it
  wait EVENT [SECONDS]               wait (10 s) for an event that no earlier wait has taken
  help, quit                         the end of the input quits too

Answers start with `ok` and the command, or with `error`, a code and what to do:
  ok say 1002 #3 (message 17, conversation 5)
  error 3003 you are not friends: `add` them and let them `approve`

Events, first the word that `wait` takes:
  text from 1002 grace #3: hello     #3 is the number in the conversation, from 1 without gaps
  applied from 1002 grace: hi        answer with `approve 1002`
  approved by 1002 grace             now you can `say`
  replaced by a newer login
  disconnected: REASON               it connects again by itself, unless replaced
  connected again, to SERVER         texts that came meanwhile follow
  set-back conversation 5 to #2      the server's database was set back

Control characters in names and texts are printed as \\n or \\u{1b}, a backslash as \\\\.
Passwords appear as you type them.";

/// What a line asks for. No `Debug`: it holds passwords and codes.
#[derive(PartialEq)]
pub(crate) enum Command {
    Help,
    SignUp { name: String, email: String, password: String },
    Code { email: String },
    DevCode { email: String },
    Register { name: String, email: String, password: String, code: String },
    Reset { name: String, email: String, password: String, code: String },
    LogIn { email: String, password: String },
    Search { wanted: String },
    Add { uid: UserId, introduction: String },
    Approve { uid: UserId, remark: String },
    Friends,
    Applications,
    Say { uid: UserId, text: String },
    Wait { event: &'static str, at_most: Duration },
    Quit,
}

/// The words that events start with.
pub(crate) const EVENTS: [&str; 7] =
    ["text", "applied", "approved", "replaced", "disconnected", "connected", "set-back"];

impl Command {
    /// Nothing for an empty line or a comment; the right usage for a line that is wrong.
    pub(crate) fn parse(line: &str) -> Result<Option<Self>, &'static str> {
        let (word, rest) = split_word(line);
        if word.is_empty() || word.starts_with('#') {
            return Ok(None);
        }
        let command = match word {
            "help" => words(rest).map(|[]| Self::Help).ok_or("help"),
            "signup" => words(rest)
                .map(|[name, email, password]| Self::SignUp { name, email, password })
                .ok_or("signup NAME EMAIL PASSWORD"),
            "code" => words(rest).map(|[email]| Self::Code { email }).ok_or("code EMAIL"),
            "dev-code" => words(rest).map(|[email]| Self::DevCode { email }).ok_or("dev-code EMAIL"),
            "register" => words(rest)
                .map(|[name, email, password, code]| Self::Register { name, email, password, code })
                .ok_or("register NAME EMAIL PASSWORD CODE"),
            "reset" => words(rest)
                .map(|[name, email, password, code]| Self::Reset { name, email, password, code })
                .ok_or("reset NAME EMAIL PASSWORD CODE"),
            "login" => {
                words(rest).map(|[email, password]| Self::LogIn { email, password }).ok_or("login EMAIL PASSWORD")
            }
            "search" => Some(rest)
                .filter(|r| !r.is_empty())
                .map(|r| Self::Search { wanted: r.into() })
                .ok_or("search UID-OR-NAME"),
            "add" => uid_and_text(rest)
                .map(|(uid, introduction)| Self::Add { uid, introduction })
                .ok_or("add UID [INTRODUCTION...]"),
            "approve" => {
                uid_and_text(rest).map(|(uid, remark)| Self::Approve { uid, remark }).ok_or("approve UID [REMARK...]")
            }
            "friends" => words(rest).map(|[]| Self::Friends).ok_or("friends"),
            "applications" => words(rest).map(|[]| Self::Applications).ok_or("applications"),
            "say" => uid_and_text(rest)
                .filter(|(_, text)| !text.is_empty())
                .map(|(uid, text)| Self::Say { uid, text })
                .ok_or("say UID TEXT..."),
            "wait" => wait(rest).ok_or("wait text|applied|approved|replaced|disconnected|connected|set-back [SECONDS]"),
            "quit" => words(rest).map(|[]| Self::Quit).ok_or("quit"),
            _ => Err("help: there is no such command"),
        };
        command.map(Some)
    }
}

fn split_word(line: &str) -> (&str, &str) {
    let line = line.trim();
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    (word, rest.trim_start())
}

/// Exactly so many words.
fn words<const N: usize>(rest: &str) -> Option<[String; N]> {
    rest.split_whitespace().map(String::from).collect::<Vec<_>>().try_into().ok()
}

fn uid_and_text(rest: &str) -> Option<(UserId, String)> {
    let (uid, text) = split_word(rest);
    Some((UserId(uid.parse().ok().filter(|uid| *uid > 0)?), text.into()))
}

fn wait(rest: &str) -> Option<Command> {
    let (word, seconds) = split_word(rest);
    let event = EVENTS.into_iter().find(|event| *event == word)?;
    let seconds: u32 = if seconds.is_empty() { 10 } else { seconds.parse().ok()? };
    Some(Command::Wait { event, at_most: Duration::from_secs(seconds.into()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Option<Command> {
        Command::parse(line).unwrap_or_else(|usage| panic!("{line}: {usage}"))
    }

    #[test]
    fn nothing_is_asked_by_empty_lines_and_comments() {
        for line in ["", "  \t", "# say 1 hello", "#"] {
            assert!(parse(line).is_none(), "{line}");
        }
    }

    #[test]
    fn words_may_be_far_apart_and_texts_keep_their_spaces() {
        let login = Command::LogIn { email: "a@b".into(), password: "secret1!".into() };
        assert!(parse("  login\ta@b   secret1!  ") == Some(login));
        let say = Command::Say { uid: UserId(1002), text: "two  spaces # and more".into() };
        assert!(parse("say 1002  two  spaces # and more") == Some(say));
        let add = Command::Add { uid: UserId(7), introduction: String::new() };
        assert!(parse("add 7") == Some(add));
        let search = Command::Search { wanted: "ada lovelace".into() };
        assert!(parse("search ada lovelace") == Some(search));
    }

    #[test]
    fn waits_are_for_known_events() {
        let wait = |event, seconds| Some(Command::Wait { event, at_most: Duration::from_secs(seconds) });
        assert!(parse("wait text") == wait("text", 10));
        assert!(parse("wait applied 3") == wait("applied", 3));
        for line in ["wait", "wait rain", "wait text soon", "wait text -1"] {
            assert!(Command::parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn a_wrong_line_is_answered_with_the_right_usage() {
        for (line, usage) in [
            ("login a@b", "login EMAIL PASSWORD"),
            ("login a@b c d", "login EMAIL PASSWORD"),
            ("say 1002", "say UID TEXT..."),
            ("say grace hello", "say UID TEXT..."),
            ("add 0", "add UID [INTRODUCTION...]"),
            ("add 99999999999", "add UID [INTRODUCTION...]"),
            ("search", "search UID-OR-NAME"),
            ("quit now", "quit"),
            ("dance", "help: there is no such command"),
        ] {
            assert!(Command::parse(line).err() == Some(usage), "{line}");
        }
    }

    #[test]
    fn help_knows_every_event() {
        for event in EVENTS {
            assert!(HELP.contains(&format!("\n  {event}")), "{event}");
        }
    }
}
