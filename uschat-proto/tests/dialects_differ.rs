//! The dialects of `message.ChatService`, byte for byte (PROTOCOL.md, chapter gRPC).
//!
//! A protobuf field starts with a key byte, `number << 3 | type`; type 0 is a number, type 2 has a length.
#![cfg(feature = "grpc")]

use prost::Message;
use uschat_proto::grpc::{m, peer, s1};

/// 1001 as protobuf writes it.
const UID_1001: [u8; 2] = [0xE9, 0x07];
/// 1002 as protobuf writes it.
const UID_1002: [u8; 2] = [0xEA, 0x07];

fn s1_request() -> s1::TextChatMsgReq {
    s1::TextChatMsgReq {
        fromuid: 1001,
        touid: 1002,
        textmsgs: vec![s1::TextChatData { msgid: "a".into(), msgcontent: "hi".into() }],
    }
}

fn m_request(thread_id: i32) -> m::TextChatMsgReq {
    m::TextChatMsgReq {
        fromuid: 1001,
        touid: 1002,
        thread_id,
        textmsgs: vec![m::TextChatData {
            unique_id: "a".into(),
            msg_id: 5,
            msgcontent: "hi".into(),
            chat_time: "2026-01-02 03:04:05".into(),
        }],
    }
}

#[test]
fn s1_has_the_texts_in_field_3() {
    let mut golden = from_1001_to_1002();
    golden.extend([0x1A, 7]); // 3, with a length: the text
    golden.extend([0x0A, 1, b'a']); // 1: msgid
    golden.extend([0x12, 2, b'h', b'i']); // 2: msgcontent
    assert_eq!(s1_request().encode_to_vec(), golden);
    assert_eq!(s1::TextChatMsgReq::decode(&golden[..]).unwrap(), s1_request());
}

#[test]
fn m_has_the_conversation_in_field_3_and_the_texts_in_field_4() {
    let mut golden = from_1001_to_1002();
    golden.extend([0x18, 9]); // 3, a number: thread_id
    golden.extend([0x22, 30]); // 4: the text
    golden.extend([0x0A, 1, b'a']); // 1: unique_id
    golden.extend([0x10, 5]); // 2, a number: msg_id
    golden.extend([0x1A, 2, b'h', b'i']); // 3: msgcontent
    golden.extend([0x22, 19]); // 4: chat_time
    golden.extend(b"2026-01-02 03:04:05");
    assert_eq!(m_request(9).encode_to_vec(), golden);
    assert_eq!(m::TextChatMsgReq::decode(&golden[..]).unwrap(), m_request(9));
}

#[test]
fn each_refuses_the_other_when_field_3_is_there() {
    assert!(m::TextChatMsgReq::decode(&s1_request().encode_to_vec()[..]).is_err());
    assert!(s1::TextChatMsgReq::decode(&m_request(9).encode_to_vec()[..]).is_err());
}

/// The reason why a peer's dialect is configured and not guessed from a failed decoding.
#[test]
fn s1_loses_the_texts_of_m_without_a_conversation() {
    let read = s1::TextChatMsgReq::decode(&m_request(0).encode_to_vec()[..]).unwrap();
    assert_eq!((read.fromuid, read.touid), (1001, 1002));
    assert_eq!(read.textmsgs, []);
}

#[test]
fn an_s1_server_reads_an_approval_of_m_and_skips_the_greeting() {
    let request = m::AuthFriendReq {
        fromuid: 1001,
        touid: 1002,
        textmsgs: vec![m::AddFriendMsg {
            sender_id: 1001,
            unique_id: String::new(),
            msg_id: 5,
            thread_id: 9,
            msgcontent: "hi".into(),
            status: 2,
        }],
    };
    let mut golden = from_1001_to_1002();
    golden.extend([0x1A, 13]); // 3: the text
    golden.extend([0x08, UID_1001[0], UID_1001[1]]); // 1: sender_id; 2, unique_id, is empty
    golden.extend([0x18, 5, 0x20, 9]); // 3: msg_id, 4: thread_id
    golden.extend([0x2A, 2, b'h', b'i']); // 5: msgcontent
    golden.extend([0x30, 2]); // 6: status
    assert_eq!(request.encode_to_vec(), golden);

    let read = s1::AuthFriendReq::decode(&golden[..]).unwrap();
    assert_eq!(read, s1::AuthFriendReq { fromuid: 1001, touid: 1002 });
}

#[test]
fn the_target_of_an_application_is_field_7_in_both() {
    let golden = [0x08, UID_1001[0], UID_1001[1], 0x38, UID_1002[0], UID_1002[1]];
    let s1 = s1::AddFriendReq { applyuid: 1001, touid: 1002, ..Default::default() };
    let m = m::AddFriendReq { applyuid: 1001, touid: 1002, ..Default::default() };
    assert_eq!(s1.encode_to_vec(), golden);
    assert_eq!(m.encode_to_vec(), golden);
}

#[test]
fn both_dialects_are_served_under_one_name_and_ours_under_its_own() {
    assert_eq!(s1::varify_service_server::SERVICE_NAME, "message.VarifyService");
    assert_eq!(s1::status_service_server::SERVICE_NAME, "message.StatusService");
    assert_eq!(s1::chat_service_server::SERVICE_NAME, "message.ChatService");
    assert_eq!(m::chat_service_server::SERVICE_NAME, "message.ChatService");
    assert_eq!(peer::peer_server::SERVICE_NAME, "uschat.peer.v1.Peer");
}

fn from_1001_to_1002() -> Vec<u8> {
    [&[0x08], &UID_1001[..], &[0x10], &UID_1002[..]].concat()
}
