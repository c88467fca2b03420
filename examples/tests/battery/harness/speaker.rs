//! A user in raw frames who writes a history, for tests that decide about each text and each connection. Understands
//! "Sync" of PROTOCOL.md as far as a test needs it: goes on behind what was delivered, and drops what it has.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use uschat_examples::oracle::{History, Journal};
use uschat_proto::chat::{ThreadId, UserId};

use crate::support::{Frame, RawClient, User, in_time, rows_of, texts};

/// A user and the session of this moment.
pub struct Speaker {
    pub client: RawClient,
    pub user: User,
    /// What was acknowledged: the number of each text by its id.
    pub numbers: HashMap<String, i64>,
    /// What was heard of others, in order.
    pub heard: Vec<String>,
    /// Why texts were refused.
    pub refusals: Vec<i64>,
    history: History,
    /// What was sent and not acknowledged yet, in order: the receiver and the id.
    unanswered: Vec<(i64, String)>,
    /// The highest number of each conversation that was heard.
    seen: HashMap<i64, i64>,
}

impl Speaker {
    /// Logs in at a chat server.
    pub async fn log_in(address: &str, user: &User, journal: &Journal) -> Self {
        let history = journal.history(UserId(i32::try_from(user.uid).unwrap()));
        let client = session(address, user, &history).await;
        Self {
            client,
            user: user.clone(),
            numbers: HashMap::new(),
            heard: Vec::new(),
            refusals: Vec::new(),
            history,
            unanswered: Vec::new(),
            seen: HashMap::new(),
        }
    }

    /// Logs in once more, wherever, and sends again what was not acknowledged. Returns the session before.
    pub async fn log_in_again(&mut self, address: &str) -> RawClient {
        let client = session(address, &self.user, &self.history).await;
        let before = std::mem::replace(&mut self.client, client);
        for (to, id) in self.unanswered.clone() {
            self.transmit(to, &id).await;
        }
        before
    }

    /// Sends a text without waiting for the answer.
    pub async fn send(&mut self, to: &User, id: &str) {
        self.unanswered.push((to.uid, id.to_owned()));
        self.transmit(to.uid, id).await;
    }

    /// Sends so many, `NAME-1` and so on.
    pub async fn send_many(&mut self, to: &User, name: &str, count: usize) {
        for number in 1..=count {
            self.send(to, &format!("{name}-{number}")).await;
        }
    }

    /// Sends a text and waits for its acknowledgement; returns for how long.
    pub async fn say(&mut self, to: &User, id: &str) -> Duration {
        let begin = Instant::now();
        self.send(to, id).await;
        self.all_answered().await;
        begin.elapsed()
    }

    /// Waits until everything is acknowledged.
    pub async fn all_answered(&mut self) {
        self.until("acknowledgements", Self::is_answered).await;
    }

    /// Whether everything is acknowledged.
    pub fn is_answered(&self) -> bool {
        self.unanswered.is_empty()
    }

    /// Waits until this text of somebody else was heard, now or before.
    pub async fn hears(&mut self, id: &str) {
        self.until(id, |speaker| speaker.heard.iter().any(|heard| heard == id)).await;
    }

    /// Takes what the server says until it is so.
    ///
    /// # Panics
    /// When the connection ends before.
    pub async fn until(&mut self, what: &str, so: impl Fn(&Self) -> bool) {
        let taking = async {
            while !so(self) {
                assert!(self.take().await, "{}, who waits for {what}: the connection ended", self.user.name);
            }
        };
        in_time(what, taking).await;
    }

    /// Takes what the server says until the connection ends.
    pub async fn until_cut(&mut self) {
        in_time("the end of the connection", async { while self.take().await {} }).await;
    }

    /// Takes one frame; false when the connection has ended.
    pub async fn take(&mut self) -> bool {
        let Some(Frame { id, body }) = self.client.recv_or_cut().await else { return false };
        match id {
            1018 => self.answer(&body),
            1019 => self.hear(&body),
            // What goes beside: heartbeats, progress, news of friends, replaced, drain.
            1024 | 3006 | 1011 | 1015 | 1021 | 3002 => {}
            other => panic!("{other}: {body}"),
        }
        true
    }

    async fn transmit(&mut self, to: i64, id: &str) {
        let content = content(id);
        self.history.sent(id, None, &content);
        let frame = Frame::bytes(1017, texts(to, &[(id, &content)]).to_string().as_bytes());
        // Whoever was cut off learns it from what is received.
        self.client.try_send_bytes(&frame).await;
    }

    fn answer(&mut self, body: &Value) {
        let code = body["error"].as_i64().unwrap();
        if code != 0 {
            let id = body["text_array"][0]["msgid"].as_str().unwrap_or_else(|| panic!("{body}"));
            assert!((3101..3200).contains(&code), "{id} is refused for good: {body}");
            self.history.refused(id, i32::try_from(code).unwrap());
            self.refusals.push(code);
            return;
        }
        for row in rows_of(body) {
            let (id, number) = (row["unique_id"].as_str().unwrap(), row["seq"].as_i64().unwrap());
            let thread = ThreadId(body["thread_id"].as_i64().unwrap());
            self.history.acknowledged(id, Some(thread), number);
            self.unanswered.retain(|(_, unanswered)| unanswered != id);
            let before = self.numbers.insert(id.to_owned(), number);
            assert!(before.is_none_or(|before| before == number), "{id}: {before:?}, then {number}");
        }
    }

    fn hear(&mut self, body: &Value) {
        let (thread, from) = (body["thread_id"].as_i64().unwrap(), body["fromuid"].as_i64().unwrap());
        let seen = self.seen.entry(thread).or_default();
        for row in rows_of(body) {
            let (number, id) = (row["seq"].as_i64().unwrap(), row["unique_id"].as_str().unwrap());
            if number <= *seen {
                continue;
            }
            *seen = number;
            // One's own text counts as seen when it is acknowledged.
            if from == self.user.uid && self.numbers.contains_key(id) {
                continue;
            }
            let (from, content) = (UserId(i32::try_from(from).unwrap()), row["content"].as_str().unwrap());
            self.history.received(ThreadId(thread), number, id, from, content);
            self.heard.push(id.to_owned());
        }
    }
}

/// What is said under an id.
pub fn content(id: &str) -> String {
    format!("text {id}")
}

async fn session(address: &str, user: &User, history: &History) -> RawClient {
    let (mut client, _) = RawClient::log_in_at(address, user, &["coalesced", "sync"]).await;
    history.connected();
    client.send(3003, &json!({ "cursors": [] })).await;
    let answer = client.skip_to(3004).await;
    assert_eq!(answer["error"], 0, "{answer}");
    client
}
