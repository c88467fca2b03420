//! The gRPC messages, clients and servers of PROTOCOL.md, chapter gRPC.
//!
//! | module | package | spoken |
//! |---|---|---|
//! | [`s1`] | `message` | with original servers of the first season; also mail codes and the choice of a chat server, which never changed |
//! | [`m`] | `message` | between chat servers, with originals of the later seasons (M, S2, US) |
//! | [`peer`] | `uschat.peer.v1` | between our own chat servers |
//!
//! **One path, two dialects.** [`s1`] and [`m`] have the same method paths, such as
//! `/message.ChatService/NotifyTextChatMsg`, and incompatible messages under them:
//!
//! ```text
//! field of TextChatMsgReq    S1               M, S2, US
//! 1, 2                       fromuid, touid   fromuid, touid
//! 3                          texts            thread_id
//! 4                          -                texts
//! ```
//!
//! Which one a peer speaks is therefore configured. Bytes of one dialect do not always fail to decode as
//! the other: a request of M without a `thread_id` is read by S1 as a request without texts. A server must
//! not take an empty `textmsgs` for proof that nothing was said.
//!
//! # Example
//!
//! ```
//! use prost::Message;
//! use uschat_proto::grpc::{m, s1};
//!
//! let request = s1::TextChatMsgReq {
//!     fromuid: 1001,
//!     touid: 1002,
//!     textmsgs: vec![s1::TextChatData { msgid: "{a}".into(), msgcontent: "hi".into() }],
//! };
//! let bytes = request.encode_to_vec();
//! assert_eq!(s1::TextChatMsgReq::decode(&bytes[..])?, request);
//! assert!(m::TextChatMsgReq::decode(&bytes[..]).is_err());
//! # Ok::<(), prost::DecodeError>(())
//! ```
//!
//! # Limits and secrets
//!
//! A client or server refuses to decode a message above 4 MiB (tonic's default; `max_decoding_message_size`
//! changes it). No call has a deadline of its own: the caller sets one. Messages that carry a token or a code
//! ([`s1::GetVarifyRsp`], [`s1::GetChatServerRsp`], [`s1::LoginReq`], [`s1::LoginRsp`]) print `***` in its place.
//!
//! # Where the code comes from
//!
//! From the files in `proto/`, by `tests/generated_code_is_current.rs`, which also tells how to write it anew.
//! It is checked in: neither `protoc` nor a build script is needed.

mod redacted;

/// First season: `VarifyService`, `StatusService` and `ChatService` of package `message`.
#[allow(missing_docs, clippy::all, clippy::pedantic, reason = "generated; the .proto files carry the documentation")]
pub mod s1 {
    include!("generated/message_s1.rs");
}

/// Later seasons: `ChatService` of package `message` as M, S2 and US have it.
#[allow(missing_docs, clippy::all, clippy::pedantic, reason = "generated; the .proto files carry the documentation")]
pub mod m {
    include!("generated/message_m.rs");
}

/// Between our own chat servers: `Peer` of package `uschat.peer.v1`.
///
/// An [`Event`](peer::Event) is a hint with a payload; the store decides what was said.
#[allow(missing_docs, clippy::all, clippy::pedantic, reason = "generated; the .proto files carry the documentation")]
pub mod peer {
    include!("generated/uschat.peer.v1.rs");
}
