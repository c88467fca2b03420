//! Stored texts as clients read them. PROTOCOL.md, "Texts".

use uschat_proto::{
    ErrorCode,
    chat::{ChatData, GreetingText, HistoryText, TextChatResponse, TextEcho, ThreadId, UserId},
};

use super::app::TextArrays;
use crate::store::StoredText;

/// Stored and, as far as the server can do anything about it, delivered.
const DELIVERED: i32 = 2;

/// Bytes of JSON around all texts, and around each in both arrays, with every number at its longest.
const AROUND_TEXTS: usize = 200;
const AROUND_A_TEXT: usize = 220;

/// The object that 1018 and 1019 share.
pub(super) fn texts(
    sender: UserId,
    receiver: UserId,
    thread: ThreadId,
    texts: &[StoredText],
    arrays: TextArrays,
) -> TextChatResponse {
    TextChatResponse {
        error: ErrorCode::SUCCESS,
        from: sender,
        to: receiver,
        thread_id: Some(thread),
        texts: (arrays != TextArrays::ChatDatas).then(|| texts.iter().map(echo).collect()),
        chat_datas: (arrays != TextArrays::TextArray).then(|| texts.iter().map(chat_data).collect()),
    }
}

/// An upper bound for the body of a 1018 or 1019 with both arrays and these texts, each a content and a client id.
pub(super) fn frame_bound<'a>(texts: impl Iterator<Item = (&'a str, &'a str)>) -> usize {
    AROUND_TEXTS
        + texts.map(|(content, id)| 2 * (escaped_len(content) + escaped_len(id)) + AROUND_A_TEXT).sum::<usize>()
}

/// How many of these texts, from the first one on, a 1030 of so many bytes holds; at least one.
pub(super) fn fitting_history(texts: &[StoredText], max_body: usize) -> usize {
    let mut body = AROUND_TEXTS;
    let fits = |text: &&StoredText| {
        body += escaped_len(&text.content) + AROUND_A_TEXT;
        body <= max_body
    };
    texts.iter().take_while(fits).count().max(1)
}

/// The length of a text inside JSON. Without branches, because every text is measured more than once.
fn escaped_len(text: &str) -> usize {
    let more = |byte: u8| {
        let named = matches!(byte, b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0C);
        let control = byte < 0x20 && !named;
        usize::from(named) + 5 * usize::from(control)
    };
    text.len() + text.bytes().map(more).sum::<usize>()
}

/// An element of 1014 and 1015.
pub(super) fn greeting(text: StoredText) -> GreetingText {
    GreetingText {
        sender: text.sender,
        message_id: text.key,
        thread_id: text.thread,
        chat_time: text.chat_time(),
        unique_id: text.client_id.unwrap_or_default(),
        content: text.content,
        status: DELIVERED,
        seq: text.seq,
    }
}

/// An element of 1030, of a private conversation of these two.
pub(super) fn history_text(text: StoredText, users: [UserId; 2]) -> HistoryText {
    HistoryText {
        sender: text.sender,
        receiver: if text.sender == users[0] { users[1] } else { users[0] },
        message_id: text.key,
        thread_id: text.thread,
        unique_id: 0,
        chat_time: text.chat_time(),
        content: text.content,
        status: DELIVERED,
        msg_type: 0,
        seq: text.seq,
    }
}

fn echo(text: &StoredText) -> TextEcho {
    TextEcho { content: text.content.clone(), msgid: text.client_id.clone().unwrap_or_default() }
}

fn chat_data(text: &StoredText) -> ChatData {
    ChatData {
        message_id: text.key,
        unique_id: text.client_id.clone().unwrap_or_default(),
        content: text.content.clone(),
        status: DELIVERED,
        chat_time: text.chat_time(),
        seq: text.seq,
    }
}

#[cfg(test)]
mod tests {
    use uschat_proto::{
        Message,
        chat::{LoadHistoryResponse, MessageKey, TextChatNotice},
    };

    use super::*;

    #[test]
    fn the_bound_holds_for_the_worst_texts_and_is_not_far_off() {
        for content in ["", "plain", "\"\\\n\r\t\u{8}\u{c}", "\u{0}\u{1f}\u{7f}", "漢字\u{1F600}\u{2028}"] {
            let content = content.repeat(50);
            let text = StoredText {
                key: MessageKey(i64::MAX),
                thread: ThreadId(i64::MAX),
                seq: i64::MAX,
                sender: UserId(i32::MIN),
                client_id: Some("{\"\u{1}".into()),
                content: content.clone(),
                sent_at: 0,
            };
            let many = vec![text; 64];
            let body = texts(UserId(i32::MIN), UserId(i32::MIN), ThreadId(i64::MAX), &many, TextArrays::Both);
            let body = TextChatNotice(body).to_body().unwrap();
            let bound = frame_bound(many.iter().map(|_| (content.as_str(), "{\"\u{1}")));
            assert!(body.len() <= bound, "{} > {bound}", body.len());
            assert!(bound <= body.len() + 200 + 64 * 60, "{bound} is far above {}", body.len());

            let fit = fitting_history(&many, 40_000);
            let page = LoadHistoryResponse {
                error: ErrorCode::SUCCESS,
                thread_id: ThreadId(i64::MAX),
                last_message_id: MessageKey(i64::MAX),
                load_more: false,
                chat_datas: many[..fit].iter().map(|text| history_text(text.clone(), [text.sender; 2])).collect(),
            };
            let body = page.to_body().unwrap();
            assert!(body.len() <= 40_000, "{fit} texts make {} bytes", body.len());
        }
    }
}
