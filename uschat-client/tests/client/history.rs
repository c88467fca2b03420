//! Conversations and their texts, page by page.

use serde_json::json;
use uschat_client::{ChatConfig, Conversation, ErrorCode, MessageKey, RequestError, ThreadId, UserId};

use crate::support::{ADA, GRACE, logged_in, within};

#[tokio::test]
async fn conversations_come_in_pages_with_the_other_user_of_each() {
    let (chat, _events, mut server) = logged_in(ChatConfig::default()).await;
    let serve = async {
        assert_eq!(server.expect(1025).await, json!({"uid": ADA, "thread_id": 0}));
        let thread = |id, kind, one, other| json!({"thread_id": id, "type": kind, "user1_id": one, "user2_id": other});
        let threads = [
            thread(5, "private", ADA, GRACE),
            thread(6, "group", UserId(0), UserId(0)),
            thread(7, "private", UserId(7), ADA),
        ];
        let page = json!({"error": 0, "uid": ADA, "load_more": true, "next_last_id": 7, "threads": threads});
        server.send(1026, &page).await;
        assert_eq!(server.expect(1025).await["thread_id"], 7);
        server.send(1026, &json!({"error": 0, "uid": ADA, "load_more": false, "next_last_id": 7})).await;
    };
    let ask = async {
        let page = chat.threads(ThreadId::default()).await.unwrap();
        let one = Conversation { thread_id: ThreadId(5), peer: GRACE };
        let other = Conversation { thread_id: ThreadId(7), peer: UserId(7) };
        assert_eq!((page.items, page.next), (vec![one, other], Some(ThreadId(7))));
        let page = chat.threads(ThreadId(7)).await.unwrap();
        assert_eq!((page.items, page.next), (vec![], None));
    };
    within(async { tokio::join!(serve, ask) }).await;
}

#[tokio::test]
async fn texts_come_in_pages() {
    let (chat, _events, mut server) = logged_in(ChatConfig::default()).await;
    let serve = async {
        assert_eq!(server.expect(1029).await, json!({"thread_id": 5, "message_id": 101}));
        let text = json!({"sender": GRACE, "receiver": ADA, "msg_id": 102, "thread_id": 5, "unique_id": 0,
            "msg_content": "hello", "chat_time": "2026-11-20 10:00:00", "status": 2, "msg_type": 0, "seq": 2});
        let page =
            |more| json!({"error": 0, "thread_id": 5, "last_message_id": 102, "load_more": more, "chat_datas": [text]});
        server.send(1030, &page(true)).await;
        server.expect(1029).await;
        // More of what was asked for, for ever.
        server.send(1030, &page(true)).await;
        server.expect(1029).await;
        server.send(1030, &json!({"error": 3009})).await;
    };
    let ask = async {
        let page = chat.history(ThreadId(5), MessageKey(101)).await.unwrap();
        let [text] = &page.items[..] else { panic!("{page:?}") };
        assert_eq!((text.from, text.to, text.thread_id, text.message_id), (GRACE, ADA, ThreadId(5), MessageKey(102)));
        assert_eq!((text.seq, text.content.as_str(), text.sent_at.as_str()), (2, "hello", "2026-11-20 10:00:00"));
        assert_eq!(page.next, Some(MessageKey(102)));
        assert_eq!(chat.history(ThreadId(5), MessageKey(102)).await.unwrap().next, None, "no progress is the end");
        let refused = chat.history(ThreadId(6), MessageKey(0)).await;
        assert!(matches!(refused, Err(RequestError::Refused(ErrorCode::NOT_A_MEMBER))), "{refused:?}");
    };
    within(async { tokio::join!(serve, ask) }).await;
}
