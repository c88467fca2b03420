//! 1017/1018/1019 texts to one user. PROTOCOL.md, "Texts".

use serde::{Deserialize, Serialize};

use super::{MessageKey, ThreadId, UserId};
use crate::{ErrorCode, JsonObject, Message, MessageId, Request};

/// How much one 1017 may carry.
pub mod limits {
    /// Texts in one request.
    pub const MAX_TEXTS: usize = 64;
    /// Bytes of all contents of one request together.
    pub const MAX_CONTENT: usize = 16 * 1024;
    /// Bytes of a client message id.
    pub const MAX_CLIENT_ID: usize = 64;
}

/// Sends texts to one user, all or none of them. Answered by [`TextChatResponse`]; the receiver gets [`TextChatNotice`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TextChatRequest {
    /// The sender as the client says; must be the session's user when it is there.
    #[serde(default, rename = "fromuid", skip_serializing_if = "Option::is_none")]
    pub from: Option<UserId>,
    /// The receiver.
    #[serde(rename = "touid")]
    pub to: UserId,
    /// The conversation, as later clients say it; without it the private conversation of the two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread_id: Option<ThreadId>,
    /// Texts in display order; may be empty, old clients send that.
    #[serde(default, rename = "text_array")]
    pub texts: Vec<TextItem>,
}

impl Message for TextChatRequest {
    const ID: MessageId = MessageId::TEXT_CHAT_REQUEST;
    type Encoding = JsonObject;
}
impl Request for TextChatRequest {
    type Response = TextChatResponse;
    const ORDERED: bool = true;
}

/// One text as a client sends it. First-season clients name their id `msgid`, later ones `unique_id`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TextItem {
    /// The text.
    pub content: String,
    /// The client's id for it, first-season spelling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub msgid: Option<String>,
    /// The client's id for it, later spelling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unique_id: Option<String>,
}

impl TextItem {
    /// The client's id under either name; none when it is missing or empty, and then a retry is a new text.
    #[must_use]
    pub fn client_id(&self) -> Option<&str> {
        [&self.msgid, &self.unique_id].into_iter().flatten().map(String::as_str).find(|id| !id.is_empty())
    }
}

/// The texts are stored (`error` 0), or none of them is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextChatResponse {
    /// 0 only after the commit.
    pub error: ErrorCode,
    /// The sender.
    #[serde(rename = "fromuid")]
    pub from: UserId,
    /// The receiver.
    #[serde(rename = "touid")]
    pub to: UserId,
    /// The conversation; absent when nothing was stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread_id: Option<ThreadId>,
    /// The texts as first-season clients read them; absent when the client asked for `chat_datas` only. A refusal always
    /// has them, to say which texts it is about.
    #[serde(default, rename = "text_array", skip_serializing_if = "Option::is_none")]
    pub texts: Option<Vec<TextEcho>>,
    /// The texts as later clients read them; absent on failure, and when the client asked for `text_array` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat_datas: Option<Vec<ChatData>>,
}

impl Message for TextChatResponse {
    const ID: MessageId = MessageId::TEXT_CHAT_RESPONSE;
    type Encoding = JsonObject;
}

/// 1019: texts for the receiver. The same object as 1018 with `error` 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextChatNotice(pub TextChatResponse);

impl Message for TextChatNotice {
    const ID: MessageId = MessageId::TEXT_CHAT_NOTICE;
    type Encoding = JsonObject;
}

/// A text as first-season clients read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextEcho {
    /// The text.
    pub content: String,
    /// The sender's id for it; empty when they gave none.
    pub msgid: String,
}

/// A stored text as later clients read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatData {
    /// The global key.
    pub message_id: MessageKey,
    /// The sender's id for it; empty when they gave none.
    pub unique_id: String,
    /// The text.
    pub content: String,
    /// 2, which clients show as delivered: it is stored.
    pub status: i32,
    /// `YYYY-MM-DD HH:MM:SS`, local time of the server.
    pub chat_time: String,
    /// Ours: the number within the conversation, from 1 without gaps.
    #[serde(default)]
    pub seq: i64,
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn either_spelling_of_the_client_id_is_read_and_empty_means_none() {
        let body = Bytes::from_static(
            br#"{"fromuid":1,"touid":2,"text_array":[{"content":"a","msgid":"{x}"},{"content":"b","unique_id":"y"},{"content":"c","msgid":""}]}"#,
        );
        let request = TextChatRequest::from_body(&body).unwrap();
        let ids: Vec<_> = request.texts.iter().map(TextItem::client_id).collect();
        assert_eq!(ids, [Some("{x}"), Some("y"), None]);
    }

    #[test]
    fn an_original_client_may_send_no_texts_and_indented_json() {
        let body = Bytes::from_static(b"{\n    \"fromuid\": 1,\n    \"text_array\": [\n    ],\n    \"touid\": 2\n}\n");
        let request = TextChatRequest::from_body(&body).unwrap();
        assert!(request.texts.is_empty());
        assert_eq!(request.to, UserId(2));
    }

    #[test]
    fn wrong_types_are_errors() {
        for body in [
            &br#"{"touid":"2"}"#[..],
            br#"{"touid":2,"text_array":{}}"#,
            br#"[]"#,
            b"\"\xff\"",
            b"",
            b"{\"touid\":4294967296}",
        ] {
            assert!(TextChatRequest::from_body(&Bytes::from_static(body)).is_err(), "{body:?}");
        }
    }
}
