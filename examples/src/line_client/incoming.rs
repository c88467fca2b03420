//! Events: printed as they come, and counted for `wait`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use uschat_client::{DisconnectReason, Event, Events};

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

/// Prints the events of one session until it ends.
pub(crate) async fn print_events(mut events: Events, printer: Printer, contacts: Arc<Contacts>, seen: Arc<Seen>) {
    while let Some(event) = events.next().await {
        if let Some((word, line)) = describe(&event, &contacts) {
            printer.event(&line);
            seen.add(word);
        }
    }
}

/// The line for an event, and its first word; nothing for what this program did itself.
fn describe(event: &Event, contacts: &Contacts) -> Option<(&'static str, String)> {
    Some(match event {
        Event::Text { from, seq, content, .. } => {
            ("text", format!("text from {} #{seq}: {}", contacts.name(*from), escape(content)))
        }
        Event::FriendApplied { applicant } => {
            contacts.applied(applicant);
            ("applied", format!("applied from {}: {}", contacts.name(applicant.uid), escape(&applicant.desc)))
        }
        Event::FriendApproved { friend } => {
            contacts.befriend(&friend.profile, "");
            ("approved", format!("approved by {}", contacts.name(friend.profile.uid)))
        }
        Event::Replaced => ("replaced", "replaced by a newer login".into()),
        Event::Disconnected { reason: DisconnectReason::Closed } => return None,
        Event::Disconnected { reason } => ("disconnected", format!("disconnected: {}", escape(&reason.to_string()))),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use uschat_client::{MessageKey, Profile, ThreadId, UserId};

    use super::*;

    #[test]
    fn lines_start_with_their_word_and_hold_no_line_break() {
        let contacts = Contacts::default();
        let text = Event::Text {
            from: UserId(1002),
            message_id: MessageKey(17),
            seq: 3,
            thread_id: ThreadId(5),
            content: "hello\nthere".into(),
            sent_at: String::new(),
        };
        assert_eq!(describe(&text, &contacts).unwrap().1, r"text from 1002 ? #3: hello\nthere");

        let applicant =
            Profile { uid: UserId(1002), name: "grace".into(), desc: "hi\u{7}".into(), ..Profile::default() };
        let applied = describe(&Event::FriendApplied { applicant }, &contacts).unwrap();
        assert_eq!(applied, ("applied", r"applied from 1002 grace: hi\u{7}".into()));
        assert_eq!(describe(&text, &contacts).unwrap(), ("text", r"text from 1002 grace #3: hello\nthere".into()));
        let own = Event::Disconnected { reason: DisconnectReason::Closed };
        assert!(describe(&own, &contacts).is_none());
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
