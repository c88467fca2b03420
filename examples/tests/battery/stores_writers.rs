//! D3: 64 writers in one conversation through two servers on MariaDB, everything said twice, and something that the
//! database will not have.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use serde_json::Value;
use uschat_examples::oracle::{History, Journal};
use uschat_proto::chat::{ThreadId, UserId};

use crate::harness::behind::Behind;
use crate::support::{Frame, RawClient, User, in_time, rows_of, texts};

/// Of each of the two users; each waits for its answers before it goes on.
const WRITERS: usize = 32;
const TEXTS: usize = 10;
/// Nobody waits longer; asserted with three times as much.
const LONGEST: Duration = Duration::from_secs(1);
/// What the database refuses.
const POISON: &str = "poison";
const REFUSE: &str = "CREATE TRIGGER refuse BEFORE INSERT ON chat_message FOR EACH ROW
    IF NEW.content LIKE 'poison%' THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'not this one'; END IF";

mod real_server {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn sixty_four_writers_share_a_conversation() {
        let behind = Behind::start().await;
        let topology = &behind.topology;
        let (ada, ben) = topology.sign_up_friends("ada", "ben").await;
        behind.backends.rows(REFUSE).await;
        let journal = Journal::in_memory();
        let [first, second] = behind.chats();
        let (ada, ben) = tokio::join!(
            Session::start(&first.tcp, &ada, &ben, &journal),
            Session::start(&second.tcp, &ben, &ada, &journal)
        );
        let (of_ada, of_ben) = tokio::join!(in_time("ada's texts", ada.write()), in_time("ben's texts", ben.write()));

        let verdict = behind.holds("D3", &journal, Vec::new()).await;
        let texts = 2 * WRITERS * TEXTS;
        assert_eq!((verdict.counts.acknowledged, verdict.counts.refused), (texts as u64 - 2, 2), "{verdict}");
        let mut waits = [of_ada, of_ben].concat();
        waits.sort_unstable();
        let (median, longest) = (waits[waits.len() / 2], waits[waits.len() - 1]);
        println!("D3: {texts} texts of {} writers, said twice: waited {median:?}, at most {longest:?}", 2 * WRITERS);
        assert!(longest < 3 * LONGEST, "{longest:?}");
    }
}

/// A user's only session, with all of the user's writers.
struct Session {
    client: RawClient,
    friend: i64,
    history: History,
    /// What each writer waits for.
    under_way: HashMap<String, UnderWay>,
    /// How many texts each writer has said.
    said: [usize; WRITERS],
    waits: Vec<Duration>,
    /// What of the friend was heard.
    heard: usize,
}

/// A text that was said twice.
struct UnderWay {
    writer: usize,
    at: Instant,
    /// The first answer: its number, or why it was refused.
    answer: Option<Result<i64, i64>>,
}

impl Session {
    async fn start(address: &str, user: &User, friend: &User, journal: &Journal) -> Self {
        let (client, _) = RawClient::log_in_at(address, user, &["coalesced"]).await;
        let history = journal.history(user_id(user.uid));
        history.connected();
        Self {
            client,
            friend: friend.uid,
            history,
            under_way: HashMap::new(),
            said: [0; WRITERS],
            waits: Vec::new(),
            heard: 0,
        }
    }

    /// Until everything was answered and everything of the friend was heard; returns how long each text waited.
    async fn write(mut self) -> Vec<Duration> {
        for writer in 0..WRITERS {
            self.say(writer).await;
        }
        while !self.under_way.is_empty() || self.heard < WRITERS * TEXTS - 1 {
            let Some(Frame { id, body }) = self.client.recv().await else { panic!("nobody is thrown out") };
            match id {
                1018 => self.answered(&body).await,
                1019 => self.hear(&body),
                other => panic!("{other}: {body}"),
            }
        }
        self.waits
    }

    /// Says a writer's next text, twice in one write.
    async fn say(&mut self, writer: usize) {
        let number = self.said[writer];
        if number == TEXTS {
            return;
        }
        self.said[writer] += 1;
        let id = format!("{writer}-{number}");
        let content = content(&id);
        self.history.sent(&id, None, &content);
        let frame = Frame::bytes(1017, texts(self.friend, &[(&id, &content)]).to_string().as_bytes());
        self.under_way.insert(id, UnderWay { writer, at: Instant::now(), answer: None });
        self.client.send_bytes(&[&frame[..], &frame].concat()).await;
    }

    async fn answered(&mut self, body: &Value) {
        let (id, answer, thread) = match body["error"].as_i64().unwrap() {
            0 => {
                let row = &rows_of(body)[0];
                (row["unique_id"].as_str().unwrap(), Ok(row["seq"].as_i64().unwrap()), body["thread_id"].as_i64())
            }
            code => (body["text_array"][0]["msgid"].as_str().unwrap(), Err(code), None),
        };
        let under_way = self.under_way.get_mut(id).unwrap_or_else(|| panic!("a third answer: {body}"));
        match under_way.answer {
            None => under_way.answer = Some(answer),
            Some(first) => {
                assert_eq!(answer, first, "both are one");
                let UnderWay { writer, at, .. } = self.under_way.remove(id).unwrap();
                self.waits.push(at.elapsed());
                self.settled(id, answer, thread);
                self.say(writer).await;
            }
        }
    }

    fn settled(&self, id: &str, answer: Result<i64, i64>, thread: Option<i64>) {
        match answer {
            Ok(number) => self.history.acknowledged(id, thread.map(ThreadId), number),
            Err(code) => {
                assert!(content(id).starts_with(POISON), "{id} was refused: {code}");
                assert!((3001..3100).contains(&code), "for good: {code}");
                self.history.refused(id, i32::try_from(code).unwrap());
            }
        }
    }

    fn hear(&mut self, body: &Value) {
        let told = |key: &str| body[key].as_i64().unwrap_or_else(|| panic!("{key}: {body}"));
        let (thread, sender) = (ThreadId(told("thread_id")), user_id(told("fromuid")));
        for row in rows_of(body) {
            let text = |key: &str| row[key].as_str().unwrap_or_else(|| panic!("{key}: {row}"));
            let number = row["seq"].as_i64().unwrap_or_else(|| panic!("seq: {row}"));
            self.history.received(thread, number, text("unique_id"), sender, text("content"));
            // The line that the two are friends has no id.
            self.heard += usize::from(!text("unique_id").is_empty());
        }
    }
}

fn content(id: &str) -> String {
    if id == "7-5" { format!("{POISON} {id}") } else { format!("text {id}") }
}

fn user_id(uid: i64) -> UserId {
    UserId(i32::try_from(uid).unwrap())
}
