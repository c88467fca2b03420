//! Two friends over raw frames.

use std::time::{Duration, Instant};

use tokio::join;

use crate::support::{Frame, RawClient, User, ids_of, rows_of, texts};

/// Two friends in live sessions that read several frames from one segment. The texts of both are numbered together.
#[derive(Debug)]
pub struct Pair {
    pub users: [User; 2],
    pub clients: [RawClient; 2],
    /// The last number of their conversation.
    pub head: i64,
}

/// How long after the first of some texts left they were all acknowledged, and all heard.
#[derive(Debug, Clone, Copy)]
pub struct Told {
    pub acknowledged: Duration,
    pub heard: Duration,
}

impl Pair {
    /// Logs two friends in, where their tickets say, who have said nothing yet.
    pub async fn log_in((one, other): (User, User)) -> Self {
        let clients = [RawClient::log_in_coalesced(&one).await, RawClient::log_in_coalesced(&other).await];
        Self { users: [one, other], clients, head: 1 }
    }

    /// One of them (0 or 1) says so many texts in one write; each must be acknowledged and heard, in order, with numbers
    /// that follow each other.
    pub async fn tell(&mut self, from: usize, count: i64) -> Told {
        let numbers: Vec<_> = (self.head + 1..=self.head + count).collect();
        let expected: Vec<_> = numbers.iter().map(|number| (*number, format!("text-{number}"))).collect();
        let to = self.users[1 - from].uid;
        let frame = |(_, id): &(i64, String)| Frame::bytes(1017, texts(to, &[(id, "hello")]).to_string().as_bytes());
        let frames: Vec<u8> = expected.iter().flat_map(frame).collect();
        let [first, second] = &mut self.clients;
        let (speaker, listener) = if from == 0 { (first, second) } else { (second, first) };
        let begin = Instant::now();
        speaker.send_bytes(&frames).await;
        let acknowledged = async {
            for (number, id) in &expected {
                let answer = speaker.skip_to(1018).await;
                assert_eq!((ids_of(&answer), answer["chat_datas"][0]["seq"].as_i64()), (vec![&**id], Some(*number)));
            }
            begin.elapsed()
        };
        let heard = async {
            let mut missing = &expected[..];
            while let Some((next, _)) = missing.first() {
                for row in rows_of(&listener.skip_to(1019).await) {
                    let (number, id) = (row["seq"].as_i64().unwrap(), row["unique_id"].as_str().unwrap());
                    // What such a client was told before may be told again.
                    if number >= *next {
                        let ((expected, expected_id), rest) = missing.split_first().expect("nothing more was said");
                        assert_eq!((number, id), (*expected, expected_id.as_str()));
                        missing = rest;
                    }
                }
            }
            begin.elapsed()
        };
        let (acknowledged, heard) = join!(acknowledged, heard);
        self.head += count;
        Told { acknowledged, heard }
    }

    /// Each of them says so many texts, one after the other; the slowest of both.
    pub async fn tell_each_other(&mut self, count: i64) -> Told {
        let (one, other) = (self.tell(0, count).await, self.tell(1, count).await);
        Told { acknowledged: one.acknowledged.max(other.acknowledged), heard: one.heard.max(other.heard) }
    }

    /// That both sessions live.
    pub async fn assert_alive(&mut self) {
        for client in &mut self.clients {
            client.send(1023, &serde_json::json!({})).await;
            assert_eq!(client.skip_to(1024).await, serde_json::json!({ "error": 0 }));
        }
    }
}
