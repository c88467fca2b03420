//! What a command does beyond its answer: it may leave something behind in its connection, or keep the server waiting.

use std::time::Duration;

use redis::{Arg, Cmd, Pipeline};

/// Keys are watched.
pub(super) const WATCHES: u8 = 1;
/// A transaction is open.
pub(super) const TRANSACTION: u8 = 1 << 1;
/// Another user, database, protocol or mode than the connection was made with.
pub(super) const SETTINGS: u8 = 1 << 2;
/// A mode that `RESET` does not end.
pub(super) const BEYOND_RESET: u8 = 1 << 3;

/// No command waits longer, whatever it says.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// What one command does, or several sent together.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Effect {
    /// What it may leave behind as soon as it is sent.
    pub(super) leaves: u8,
    /// What is over when it has been answered without an error. Of what it leaves itself: what it ends again.
    pub(super) ends: u8,
    /// The server answers only when something happens, or when this time is over; zero for ever.
    pub(super) waits: Option<Duration>,
    /// From then on answers could not be told apart.
    pub(super) derails: bool,
}

impl Effect {
    pub(super) fn of(command: &Cmd) -> Self {
        let mut arguments = words(command);
        // Longer than any of them.
        let mut name = [0; 12];
        let Some(word) = arguments.next() else {
            return Self::default();
        };
        let Some(name) = name.get_mut(..word.len()) else {
            return Self::default();
        };
        name.copy_from_slice(word);
        name.make_ascii_uppercase();
        match &*name {
            b"WATCH" => leaves(WATCHES),
            b"MULTI" => leaves(TRANSACTION),
            b"EXEC" | b"DISCARD" => Self { ends: WATCHES | TRANSACTION, ..Self::default() },
            b"UNWATCH" => Self { ends: WATCHES, ..Self::default() },
            b"SELECT" | b"AUTH" | b"HELLO" | b"RESET" | b"ASKING" | b"READONLY" | b"READWRITE" => leaves(SETTINGS),
            b"CLIENT" => client(arguments.next().unwrap_or_default()),
            b"BLPOP" | b"BRPOP" | b"BLMOVE" | b"BRPOPLPUSH" | b"BZPOPMIN" | b"BZPOPMAX" => {
                waits(seconds(arguments.last()))
            }
            b"BLMPOP" | b"BZMPOP" => waits(seconds(arguments.next())),
            b"XREAD" | b"XREADGROUP" => {
                let mut options = arguments.take_while(|word| !word.eq_ignore_ascii_case(b"STREAMS"));
                match options.find(|word| word.eq_ignore_ascii_case(b"BLOCK")) {
                    Some(_) => waits(milliseconds(options.next())),
                    None => Self::default(),
                }
            }
            b"WAIT" | b"WAITAOF" => waits(milliseconds(arguments.last())),
            b"SUBSCRIBE" | b"PSUBSCRIBE" | b"SSUBSCRIBE" | b"UNSUBSCRIBE" | b"PUNSUBSCRIBE" | b"SUNSUBSCRIBE"
            | b"MONITOR" | b"SYNC" | b"PSYNC" => DERAILS,
            _ => Self::default(),
        }
    }

    pub(super) fn of_all(pipeline: &Pipeline) -> Self {
        let effect = pipeline.cmd_iter().map(Self::of).fold(Self::default(), Self::then);
        if pipeline.is_transaction() {
            // Nothing waits inside of a transaction.
            let opened = Self { leaves: effect.leaves | TRANSACTION, waits: None, ..effect };
            return opened.then(Self { ends: WATCHES | TRANSACTION, ..Self::default() });
        }
        effect
    }

    /// It needs a connection that nobody else uses at the same time.
    pub(super) fn is_exclusive(self) -> bool {
        self.leaves & !self.ends != 0 || self.waits.is_some()
    }

    pub(super) fn is_plain(self) -> bool {
        self == Self::default()
    }

    /// How long the command may take, whose deadline does not know of its wait. One that waits for ever has no more.
    pub(super) fn limit(self, deadline: Duration) -> Duration {
        deadline.saturating_add(self.waits.unwrap_or_default())
    }

    fn then(self, next: Self) -> Self {
        Self {
            leaves: self.leaves | next.leaves,
            ends: (self.ends & !next.leaves) | next.ends,
            waits: match (self.waits, next.waits) {
                (Some(one), Some(other)) => Some(one.saturating_add(other).min(LONGEST_WAIT)),
                (one, other) => one.or(other),
            },
            derails: self.derails || next.derails,
        }
    }
}

const DERAILS: Effect = Effect { leaves: 0, ends: 0, waits: None, derails: true };

fn leaves(marks: u8) -> Effect {
    Effect { leaves: marks, ..Effect::default() }
}

fn waits(time: Duration) -> Effect {
    Effect { waits: Some(time.min(LONGEST_WAIT)), ..Effect::default() }
}

fn client(subcommand: &[u8]) -> Effect {
    let is_one_of = |names: &[&str]| names.iter().any(|name| subcommand.eq_ignore_ascii_case(name.as_bytes()));
    if is_one_of(&["ID", "LIST", "INFO", "KILL", "GETNAME", "PAUSE", "UNPAUSE", "UNBLOCK", "GETREDIR", "TRACKINGINFO"])
    {
        Effect::default()
    } else if is_one_of(&["SETNAME", "TRACKING", "CACHING"]) {
        leaves(SETTINGS)
    } else if is_one_of(&["REPLY"]) {
        DERAILS
    } else {
        leaves(BEYOND_RESET)
    }
}

fn words(command: &Cmd) -> impl Iterator<Item = &[u8]> {
    command.args_iter().map(|argument| match argument {
        Arg::Simple(word) => word,
        _ => &[],
    })
}

/// Zero for what is no time: the server refuses that.
fn seconds(word: Option<&[u8]>) -> Duration {
    number(word).and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).unwrap_or_default()
}

fn milliseconds(word: Option<&[u8]>) -> Duration {
    number(word).and_then(|millis| Duration::try_from_secs_f64(millis / 1e3).ok()).unwrap_or_default()
}

fn number(word: Option<&[u8]>) -> Option<f64> {
    std::str::from_utf8(word?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use redis::{cmd, pipe};

    use super::*;

    fn effect(text: &str) -> Effect {
        let mut words = text.split(' ');
        let mut command = cmd(words.next().unwrap());
        for word in words {
            command.arg(word);
        }
        Effect::of(&command)
    }

    #[test]
    fn plain_commands_do_nothing_else() {
        for text in
            ["GET watch", "set SELECT 1", "EVALSHA abc 1 k", "XREAD STREAMS block 0", "CLIENT id", "NOSUCHCOMMANDATALL"]
        {
            assert_eq!(effect(text), Effect::default(), "{text}");
        }
        assert_eq!(Effect::of(&Cmd::new()), Effect::default());
    }

    #[test]
    fn what_is_left_behind_is_known_in_any_case_of_letters() {
        for (text, marks) in [
            ("watch k", WATCHES),
            ("Multi", TRANSACTION),
            ("SELECT 2", SETTINGS),
            ("auth x", SETTINGS),
            ("HELLO 3", SETTINGS),
            ("CLIENT NO-EVICT on", BEYOND_RESET),
            ("client tracking on", SETTINGS),
            ("RESET", SETTINGS),
        ] {
            assert_eq!(effect(text), leaves(marks), "{text}");
            assert!(effect(text).is_exclusive(), "{text}");
        }
    }

    #[test]
    fn the_server_waits_as_long_as_it_is_told() {
        for (text, millis) in [
            ("BLPOP a b 1.5", 1_500),
            ("brpop a 0", 0),
            ("BLMOVE a b LEFT LEFT 2", 2_000),
            ("BZPOPMIN a 2", 2_000),
            ("BLMPOP 3 1 a LEFT", 3_000),
            ("XREAD COUNT 1 block 250 STREAMS s $", 250),
            ("XREADGROUP GROUP g c BLOCK 0 STREAMS s >", 0),
            ("WAIT 1 400", 400),
            ("WAITAOF 1 1 400", 400),
            ("BLPOP a -1", 0),
            ("BLPOP a nonsense", 0),
            ("BLPOP", 0),
            ("BLPOP a 1e30", 0),
            ("BLPOP a 1000000", 86_400_000),
        ] {
            assert_eq!(effect(text).waits, Some(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn subscriptions_and_the_like_derail() {
        for text in [
            "SUBSCRIBE a",
            "psubscribe a*",
            "SUNSUBSCRIBE",
            "PUNSUBSCRIBE",
            "MONITOR",
            "CLIENT REPLY off",
            "PSYNC ? -1",
        ] {
            assert!(effect(text).derails, "{text}");
        }
    }

    #[test]
    fn a_pipeline_leaves_what_its_last_commands_do_not_end() {
        let whole = Effect::of_all(pipe().cmd("WATCH").arg("k").cmd("MULTI").cmd("SET").arg("k").arg(1).cmd("EXEC"));
        assert!(!whole.is_exclusive());
        assert_eq!(whole.leaves, WATCHES | TRANSACTION);
        assert!(!Effect::of_all(pipe().atomic().cmd("BLPOP").arg("k").arg(9)).is_exclusive());

        assert!(Effect::of_all(pipe().cmd("EXEC").cmd("WATCH").arg("k")).is_exclusive());
        assert!(Effect::of_all(pipe().atomic().cmd("SELECT").arg(1)).is_exclusive());
        let waits = Effect::of_all(pipe().cmd("BLPOP").arg("k").arg(1).cmd("PING").cmd("WAIT").arg(1).arg(500)).waits;
        assert_eq!(waits, Some(Duration::from_millis(1_500)));
    }
}
