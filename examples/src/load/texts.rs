//! What the generator writes and reads of texts. PROTOCOL.md, "Texts".

use std::{borrow::Cow, fmt::Write as _, io::Write as _};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde::Deserialize;

/// Writes the 1017s of one sender in one run. Texts are numbered from 0, and the number is in the client id.
#[derive(Debug)]
pub(super) struct TextWriter {
    in_front: String,
}

impl TextWriter {
    /// `run` is in all client ids, so that those of an earlier run are not taken for retries.
    pub(super) fn new(receiver: i32, run: &RunId, size: usize, seed: u64) -> Self {
        let content = content(size, seed);
        let mut in_front = format!(r#"{{"touid":{receiver},"text_array":[{{"content":"{content}","unique_id":""#);
        // Writing to a String does not fail.
        let _ = write!(in_front, "{}", run.0);
        Self { in_front }
    }

    /// Appends the body of text `number`.
    pub(super) fn write(&self, number: u64, body: &mut Vec<u8>) -> std::io::Result<()> {
        body.extend_from_slice(self.in_front.as_bytes());
        write!(body, "{number}\"}}]}}")
    }
}

/// Words of so many bytes, the same for the same seed.
pub(super) fn content(size: usize, seed: u64) -> String {
    let mut rng = StdRng::seed_from_u64(seed);
    let letter = |_| if rng.random_range(0..6) == 0 { ' ' } else { char::from(rng.random_range(b'a'..=b'z')) };
    (0..size).map(letter).collect()
}

/// What the client ids of one run begin with.
#[derive(Debug, Clone)]
pub(super) struct RunId(String);

impl RunId {
    pub(super) fn random() -> Self {
        Self(format!("{:016x}-", rand::rng().random::<u64>()))
    }

    /// The client id of text `number`.
    pub(super) fn client_id(&self, number: i64) -> String {
        format!("{}{number}", self.0)
    }

    #[cfg(test)]
    pub(super) fn fixed(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The number in a client id of this run.
    pub(super) fn number(&self, client_id: &str) -> Option<u64> {
        client_id.strip_prefix(&self.0)?.parse().ok()
    }
}

/// A 1018 or 1019.
#[derive(Debug, Deserialize)]
pub(super) struct Told<'a> {
    #[serde(default)]
    pub(super) error: i32,
    #[serde(borrow, default)]
    pub(super) chat_datas: Vec<Stored<'a>>,
}

/// A stored text in it.
#[derive(Debug, Deserialize)]
pub(super) struct Stored<'a> {
    #[serde(borrow)]
    pub(super) unique_id: Cow<'a, str>,
    #[serde(default)]
    pub(super) seq: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_a_request_of_the_protocol() {
        let run = RunId::fixed("run-");
        let mut body = Vec::new();
        TextWriter::new(1002, &run, 9, 7).write(41, &mut body).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let text = &value["text_array"][0];
        assert_eq!((value["touid"].as_i64(), text["unique_id"].as_str()), (Some(1002), Some("run-41")));
        assert_eq!(text["content"].as_str().unwrap(), content(9, 7));
        assert_eq!(content(9, 7).len(), 9);
        assert_ne!(content(9, 7), content(9, 8));
        assert_eq!(run.number("run-41"), Some(41));
        assert_eq!((run.number("other-41"), run.number("run-x")), (None, None));
    }

    #[test]
    fn answers_and_notices_are_read() {
        let body = r#"{"error":0,"thread_id":1,"chat_datas":[{"message_id":8,"unique_id":"run-\u0031","content":"a\"b","seq":5}]}"#;
        let told: Told<'_> = serde_json::from_str(body).unwrap();
        assert_eq!((told.error, told.chat_datas.len()), (0, 1));
        assert_eq!((&*told.chat_datas[0].unique_id, told.chat_datas[0].seq), ("run-1", 5));
        let refused: Told<'_> = serde_json::from_str(r#"{"error":3003,"text_array":[]}"#).unwrap();
        assert_eq!((refused.error, refused.chat_datas.len()), (3003, 0));
    }
}
