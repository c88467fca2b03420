//! The oracle beside running servers: clients of the SDK write histories, the store is read from SQLite.

use uschat_client::{Chat, ChatConfig, Event, Events, Text, Ticket};
use uschat_examples::oracle::{History, Journal, Kind, Record, Rule, Verdict, now_us};
use uschat_proto::chat::UserId;

use crate::harness::broken;
use crate::support::{Topology, User, in_time, sqlite_dump};

const BATCHES: usize = 10;
const BATCH: usize = 32;

#[tokio::test]
async fn two_clients_on_two_servers_see_the_guarantee_kept() {
    let topology = Topology::start(&[]).await;
    let (ada, ben) = topology.sign_up_friends("ada", "ben").await;
    let journal = Journal::create(topology.directory().join("run.jsonl")).unwrap();
    let (mut ada, mut ben) = (Client::log_in(&ada, &journal).await, Client::log_in(&ben, &journal).await);
    for batch in 0..BATCHES {
        let (from_ada, from_ben) = (texts("a", batch), texts("b", batch));
        let (to_ben, to_ada) = (ben.user(), ada.user());
        tokio::join!(ada.send(to_ben, &from_ada), ben.send(to_ada, &from_ben));
        tokio::join!(ada.see(BATCH), ben.see(BATCH));
    }
    ada.chat.close().await;
    ben.chat.close().await;
    topology.assert_no_panic();
    let directory = topology.stop().await;
    let database = directory.path().join("data/uschat.db");

    sqlite_dump::dump(&database, &journal).await;
    let verdict = judge(&journal);
    assert!(verdict.holds(), "{verdict}");
    let texts = 2 * (BATCHES * BATCH) as u64;
    assert_eq!((verdict.counts.acknowledged, verdict.counts.received, verdict.counts.unknown), (texts, texts, 0));

    // An oracle that cannot fail proves nothing.
    for (statement, expected) in [
        ("DELETE FROM chat_message WHERE client_id = 'a-5-7'", &[(Rule::A1, Kind::Lost), (Rule::A3, Kind::Gap)][..]),
        (
            "UPDATE chat_message SET content = 'x' WHERE client_id = 'b-5-7'",
            // The receiver was shown what had been sent.
            &[
                (Rule::A1, Kind::Lost),
                (Rule::A1, Kind::StoredAltered),
                (Rule::A2, Kind::SeenAltered),
                (Rule::A3, Kind::Gap),
            ],
        ),
    ] {
        sqlite_dump::tamper(&database, statement).await;
        let tampered = Journal::create(directory.path().join("tampered.jsonl")).unwrap();
        sqlite_dump::dump(&database, &tampered).await;
        let mut evidence = tampered.evidence().unwrap();
        let histories = std::fs::read_to_string(directory.path().join("run.jsonl")).unwrap();
        let histories: Vec<_> =
            histories.lines().filter(|line| !line.contains("stored") && !line.contains("members")).collect();
        evidence.read("run.jsonl", histories.join("\n").as_bytes()).unwrap();
        assert_eq!(broken(&evidence.judge(10).unwrap()), expected);
    }
}

#[tokio::test]
async fn a_sender_whose_server_is_killed_sends_again() {
    let topology = Topology::start(&["--chats", "1"]).await;
    let (mut account, ben) = topology.sign_up_friends("ada", "ben").await;
    let ben = UserId(i32::try_from(ben.uid).unwrap());
    // Ben is offline and has no history: what he sees is not judged.
    let journal = Journal::in_memory();
    let mut ada = Client::log_in(&account, &journal).await;
    ada.send(ben, &texts("before", 0)).await;
    let cut_off = texts("cut-off", 0);
    let (sent, directory) = tokio::join!(ada.try_to_send(ben, &cut_off), topology.crash());

    let topology = Topology::start_in(directory, &["--chats", "1"], &[]).await;
    journal.write(Record::Healed { fault: "kill -9".into(), at_us: now_us() });
    topology.log_in_at_gate(&mut account).await;
    let mut ada = Client::log_in(&account, &journal).await;
    if !sent {
        ada.send(ben, &cut_off).await;
    }
    ada.send(ben, &texts("after", 0)).await;
    ada.chat.close().await;
    let directory = topology.stop().await;

    sqlite_dump::dump(&directory.path().join("data/uschat.db"), &journal).await;
    let verdict = judge(&journal);
    assert!(verdict.holds(), "{verdict}");
    let counts = verdict.counts;
    assert_eq!((counts.acknowledged, counts.members_without_history, counts.reconnects), (3 * BATCH as u64, 1, 1));
    assert!(verdict.recoveries[0].first_us.is_some(), "{verdict}");
}

/// A client of the SDK that writes its history.
struct Client {
    chat: Chat,
    events: Events,
    history: History,
}

impl Client {
    async fn log_in(user: &User, journal: &Journal) -> Self {
        let uid = UserId(i32::try_from(user.uid).unwrap());
        let ticket = Ticket::new(uid, &*user.token, &*user.host, user.port.parse().unwrap());
        let (chat, events) = in_time("a login", Chat::connect(&ticket, ChatConfig::default())).await.unwrap();
        let history = journal.history(uid);
        history.connected();
        Self { chat, events, history }
    }

    fn user(&self) -> UserId {
        self.history.user()
    }

    /// Sends texts as one request, which must be acknowledged.
    async fn send(&mut self, to: UserId, texts: &[Text]) {
        assert!(self.try_to_send(to, texts).await);
    }

    /// False if the connection ended before the answer.
    async fn try_to_send(&mut self, to: UserId, texts: &[Text]) -> bool {
        for text in texts {
            self.history.sent(&text.client_id, None, &text.content);
        }
        let Ok(sent) = in_time("an answer", self.chat.send_texts(to, texts)).await else { return false };
        for (text, sent) in texts.iter().zip(sent) {
            self.history.acknowledged(&text.client_id, Some(sent.thread_id), sent.seq);
        }
        true
    }

    /// Waits for so many texts. The SDK does not show their ids.
    async fn see(&mut self, count: usize) {
        for _ in 0..count {
            match in_time("a text", self.events.next()).await {
                Some(Event::Text { from, seq, thread_id, content, .. }) => {
                    self.history.received(thread_id, seq, "", from, &content);
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

fn texts(name: &str, batch: usize) -> Vec<Text> {
    let ids = (0..BATCH).map(|number| format!("{name}-{batch}-{number}"));
    ids.map(|client_id| Text { content: format!("text {client_id}"), client_id }).collect()
}

fn judge(journal: &Journal) -> Verdict {
    journal.evidence().unwrap().judge(10).unwrap()
}
