//! Events: printed as they come, and counted for `wait`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use uschat_client::{EndReason, Inbox, Incoming, IncomingText, Messenger, Profile, UserId};

use super::contacts::Contacts;
use super::print::{Printer, escape};

/// How many events of each kind were printed and not taken by a `wait`.
pub(crate) struct Seen(watch::Sender<HashMap<&'static str, u64>>);

impl Seen {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(HashMap::new()))
    }

    fn add(&self, word: &'static str) {
        self.0.send_modify(|seen| *seen.entry(word).or_default() += 1);
    }

    /// Takes one event of this kind, waiting for it. False if none came in time.
    pub(crate) async fn take(&self, word: &'static str, at_most: Duration) -> bool {
        let mut watcher = self.0.subscribe();
        let has_one = |seen: &HashMap<&'static str, u64>| seen.get(word).is_some_and(|count| *count > 0);
        let came = matches!(tokio::time::timeout(at_most, watcher.wait_for(has_one)).await, Ok(Ok(_)));
        if came {
            self.0.send_modify(|seen| *seen.entry(word).or_default() -= 1);
        }
        came
    }
}

/// Prints what comes in until the messenger ends.
pub(crate) async fn print_incoming(
    messenger: Messenger,
    mut inbox: Inbox,
    printer: Printer,
    contacts: Arc<Contacts>,
    seen: Arc<Seen>,
) {
    while let Some(incoming) = inbox.next().await {
        let mut lines = describe(&incoming, messenger.uid(), &contacts);
        if let (Incoming::Connected { reconnects: 1.., .. }, Some(chat)) = (&incoming, messenger.chat()) {
            lines.extend(contacts.catch_up(&chat));
        }
        for (word, line) in lines {
            printer.event(&line);
            seen.add(word);
        }
    }
}

/// A line, and its first word.
pub(crate) type Line = (&'static str, String);

/// The lines for what came in; none for what this program did itself.
fn describe(incoming: &Incoming, own: UserId, contacts: &Contacts) -> Vec<Line> {
    match incoming {
        // One's own texts of an earlier run were shown when they were typed.
        Incoming::Text(text) if text.from == own => vec![],
        Incoming::Text(IncomingText { from, seq, content, .. }) => {
            vec![("text", format!("text from {} #{seq}: {}", contacts.name(*from), escape(content)))]
        }
        Incoming::FriendApplied { applicant } => {
            contacts.applied(applicant);
            vec![applied(applicant, contacts)]
        }
        Incoming::FriendApproved { friend } => {
            contacts.befriend(&friend.profile, "");
            vec![approved(&friend.profile, contacts)]
        }
        Incoming::Connected { server, reconnects: 1.. } => {
            vec![("connected", format!("connected again, to {}", escape(server)))]
        }
        Incoming::Disconnected { reason } => {
            vec![("disconnected", format!("disconnected: {}", escape(&reason.to_string())))]
        }
        Incoming::ConversationReplaced { thread_id, cursor } => {
            vec![("set-back", format!("set-back conversation {thread_id} to #{}", cursor.seq))]
        }
        Incoming::Ended { reason: EndReason::Closed } => vec![],
        Incoming::Ended { reason } => {
            let mut lines = vec![("disconnected", format!("disconnected: {reason}"))];
            if *reason == EndReason::Replaced {
                lines.insert(0, ("replaced", "replaced by a newer login".into()));
            }
            lines
        }
        _ => vec![],
    }
}

pub(super) fn applied(applicant: &Profile, contacts: &Contacts) -> Line {
    ("applied", format!("applied from {}: {}", contacts.name(applicant.uid), escape(&applicant.desc)))
}

pub(super) fn approved(friend: &Profile, contacts: &Contacts) -> Line {
    ("approved", format!("approved by {}", contacts.name(friend.uid)))
}

#[cfg(test)]
mod tests {
    use uschat_client::{DisconnectReason, MessageKey, ThreadId};

    use super::*;

    const OWN: UserId = UserId(1001);

    fn text(from: UserId) -> Incoming {
        Incoming::Text(IncomingText {
            from,
            to: UserId(2003 - from.0),
            thread_id: ThreadId(5),
            message_id: MessageKey(17),
            seq: 3,
            client_id: None,
            content: "hello\nthere".into(),
            sent_at: String::new(),
        })
    }

    fn lines(incoming: &Incoming, contacts: &Contacts) -> Vec<String> {
        let lines = describe(incoming, OWN, contacts);
        assert!(lines.iter().all(|(word, line)| line.split([' ', ':']).next() == Some(word)), "{lines:?}");
        lines.into_iter().map(|(_, line)| line).collect()
    }

    #[test]
    fn lines_start_with_their_word_and_hold_no_line_break() {
        let contacts = Contacts::default();
        let theirs = text(UserId(1002));
        assert_eq!(lines(&theirs, &contacts), [r"text from 1002 ? #3: hello\nthere"]);
        let applicant =
            Profile { uid: UserId(1002), name: "grace".into(), desc: "hi\u{7}".into(), ..Profile::default() };
        assert_eq!(lines(&Incoming::FriendApplied { applicant }, &contacts), [r"applied from 1002 grace: hi\u{7}"]);
        assert_eq!(lines(&theirs, &contacts), [r"text from 1002 grace #3: hello\nthere"]);
    }

    #[test]
    fn ends_are_told_and_what_this_program_did_is_not() {
        let contacts = Contacts::default();
        for silent in [
            text(OWN),
            Incoming::Connected { server: "h:1".into(), reconnects: 0 },
            Incoming::Ended { reason: EndReason::Closed },
        ] {
            assert!(lines(&silent, &contacts).is_empty(), "{silent:?}");
        }
        let replaced = Incoming::Ended { reason: EndReason::Replaced };
        let [first, second] = &lines(&replaced, &contacts)[..] else { panic!("two lines") };
        assert_eq!(first, "replaced by a newer login");
        assert!(second.starts_with("disconnected: "));
        let lost = Incoming::Disconnected { reason: DisconnectReason::ClosedByServer };
        assert_eq!(lines(&lost, &contacts), ["disconnected: closed by the server"]);
        let back = Incoming::Connected { server: "h:1".into(), reconnects: 2 };
        assert_eq!(lines(&back, &contacts), ["connected again, to h:1"]);
    }

    #[tokio::test]
    async fn every_event_satisfies_one_wait() {
        let seen = Seen::new();
        seen.add("text");
        assert!(seen.take("text", Duration::from_secs(1)).await, "it came before the wait");
        assert!(!seen.take("text", Duration::ZERO).await, "taken already");
        let (came, ()) = tokio::join!(seen.take("text", Duration::from_secs(1)), async { seen.add("text") });
        assert!(came);
    }
}
