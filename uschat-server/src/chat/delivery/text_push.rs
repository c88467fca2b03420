use std::{any::Any, iter};

use uschat_proto::{
    Message,
    chat::{TextChatNotice, ThreadId, UserId, limits},
};
use uschat_wire::{Frame, MAX_BODY_LEN};

use crate::{
    chat::{app::TextArrays, wire},
    session::Mergeable,
    store::StoredText,
};

/// A 1019 that waits: while it does, later texts of the same conversation join it.
pub(super) struct TextPush {
    pub(super) sender: UserId,
    pub(super) receiver: UserId,
    pub(super) thread: ThreadId,
    pub(super) texts: Vec<StoredText>,
    pub(super) arrays: TextArrays,
}

impl Mergeable for TextPush {
    fn size(&self) -> usize {
        wire::frame_bound(self.texts.iter().map(content_and_id))
    }

    fn key(&self) -> u64 {
        self.thread.0.unsigned_abs()
    }

    fn absorb(&mut self, later: &mut dyn Any) -> bool {
        let Some(later) = later.downcast_mut::<Self>() else { return false };
        let fits = self.sender == later.sender
            && self.texts.len() + later.texts.len() <= limits::MAX_TEXTS
            && self.size() + later.size() <= MAX_BODY_LEN;
        if fits {
            self.texts.append(&mut later.texts);
        }
        fits
    }

    fn to_frame(&self) -> Option<Frame> {
        let notice = TextChatNotice(wire::texts(self.sender, self.receiver, self.thread, &self.texts, self.arrays));
        let body = notice.to_body().ok()?;
        Some(Frame::new(TextChatNotice::ID.0, body))
    }
}

/// Cuts texts of one conversation into what one push may carry: those of one sender, up to the bounds of a request.
pub(super) fn by_push(texts: Vec<StoredText>) -> Vec<Vec<StoredText>> {
    if texts.len() == 1 {
        return vec![texts];
    }
    let mut pushes: Vec<Vec<StoredText>> = Vec::new();
    let mut size = 0;
    for text in texts {
        let alone = wire::frame_bound(iter::once(content_and_id(&text)));
        match pushes.last_mut() {
            Some(last)
                if last.len() < limits::MAX_TEXTS
                    && size + alone <= MAX_BODY_LEN
                    && last.last().is_some_and(|other| other.sender == text.sender) =>
            {
                last.push(text);
                size += alone;
            }
            _ => {
                pushes.push(vec![text]);
                size = alone;
            }
        }
    }
    pushes
}

fn content_and_id(text: &StoredText) -> (&str, &str) {
    (&text.content, text.client_id.as_deref().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use uschat_proto::chat::MessageKey;

    use super::*;

    fn push(thread: i64, sender: i32, contents: &[&str]) -> TextPush {
        let (thread, sender) = (ThreadId(thread), UserId(sender));
        let text = |content: &&str| StoredText {
            key: MessageKey(1),
            thread,
            seq: 1,
            sender,
            client_id: None,
            content: (*content).into(),
            sent_at: 0,
        };
        let texts = contents.iter().map(text).collect();
        TextPush { sender, receiver: UserId(2), thread, texts, arrays: TextArrays::Both }
    }

    #[test]
    fn texts_of_one_sender_join_in_order_up_to_what_one_request_may_carry() {
        let mut first = push(7, 1, &["a"]);
        assert!(first.absorb(&mut push(7, 1, &["b", "c"])));
        let contents: Vec<_> = first.texts.iter().map(|text| text.content.as_str()).collect();
        assert_eq!(contents, ["a", "b", "c"]);
        assert!(!first.absorb(&mut push(7, 3, &["from somebody else"])));
        let long = "x".repeat(MAX_BODY_LEN / 2);
        assert!(!first.absorb(&mut push(7, 1, &[&long])));
        assert!(!first.absorb(&mut push(7, 1, &["y"; limits::MAX_TEXTS])));
        assert_eq!(first.texts.len(), 3);
    }

    #[test]
    fn what_is_read_is_cut_into_pushes_that_fit_a_frame() {
        let mut texts = push(7, 1, &["a"; 70]).texts;
        texts.extend(push(7, 2, &["b"; 2]).texts);
        let long = "x".repeat(MAX_BODY_LEN / 4);
        texts.extend(push(7, 2, &[long.as_str(); 3]).texts);
        let lengths: Vec<_> = by_push(texts).iter().map(Vec::len).collect();
        assert_eq!(lengths, [64, 6, 3, 1, 1]);
        assert!(by_push(Vec::new()).is_empty());
    }
}
