//! Texts on their way out.

use uschat_proto::PayloadError;
use uschat_proto::chat::{ChatData, MessageKey, TextItem, ThreadId, limits};

use crate::error::RequestError;

/// A text to send, with the id under which the server stores it at most once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// Chosen by the sender, 1 to 64 bytes, unique among all texts this user ever sends.
    pub client_id: String,
    /// The text.
    pub content: String,
}

impl Text {
    /// A text under a new random id (a UUID).
    pub fn new(content: impl Into<String>) -> Self {
        Self { client_id: uuid::Uuid::new_v4().to_string(), content: content.into() }
    }

    pub(crate) fn to_item(&self) -> TextItem {
        TextItem { content: self.content.clone(), msgid: None, unique_id: Some(self.client_id.clone()) }
    }

    /// Where the server says it stored this text.
    pub(crate) fn find_in(&self, stored: &[ChatData], thread_id: ThreadId) -> Result<Sent, RequestError> {
        let found = stored.iter().find(|data| data.unique_id == self.client_id);
        let data = found.ok_or_else(|| PayloadError::new("chat_datas misses a text of the request"))?;
        Ok(Sent { message_id: data.message_id, seq: data.seq, thread_id })
    }
}

/// Where a text was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// Its global key.
    pub message_id: MessageKey,
    /// Its number within the conversation, from 1 without gaps; 0 from servers that do not number texts.
    pub seq: i64,
    /// The conversation.
    pub thread_id: ThreadId,
}

/// What is knowable before anything is sent.
pub(crate) fn check_limits(texts: &[Text]) -> Result<(), RequestError> {
    if texts.len() > limits::MAX_TEXTS {
        return Err(RequestError::TooManyTexts { count: texts.len(), max: limits::MAX_TEXTS });
    }
    let len = texts.iter().map(|text| text.content.len()).sum();
    if len > limits::MAX_CONTENT {
        return Err(RequestError::TextsTooLong { len, max: limits::MAX_CONTENT });
    }
    for len in texts.iter().map(|text| text.client_id.len()) {
        if len == 0 || len > limits::MAX_CLIENT_ID {
            return Err(RequestError::InvalidClientId { len, max: limits::MAX_CLIENT_ID });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(count: usize, len: usize) -> Vec<Text> {
        (0..count).map(|_| Text::new("x".repeat(len))).collect()
    }

    #[test]
    fn the_largest_request_passes_and_a_little_more_does_not() {
        assert!(check_limits(&texts(64, 256)).is_ok());
        assert!(matches!(check_limits(&texts(65, 1)), Err(RequestError::TooManyTexts { count: 65, max: 64 })));
        assert!(matches!(
            check_limits(&texts(1, 16_385)),
            Err(RequestError::TextsTooLong { len: 16_385, max: 16_384 })
        ));
    }

    #[test]
    fn client_ids_have_1_to_64_bytes() {
        for (len, allowed) in [(0, false), (1, true), (64, true), (65, false)] {
            let text = Text { client_id: "i".repeat(len), content: String::new() };
            assert_eq!(check_limits(&[text]).is_ok(), allowed, "{len}");
        }
    }

    #[test]
    fn every_text_gets_its_own_id() {
        assert_ne!(Text::new("a").client_id, Text::new("a").client_id);
    }
}
