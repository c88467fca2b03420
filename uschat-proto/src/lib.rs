//! The words of a framed protocol: what a message is, which id it travels under and what answers it.
//!
//! A frame (see `uschat-wire`) carries a two-byte id and a body. This crate gives both a type: a [`Message`]
//! knows its [`MessageId`] and how its body is written, a [`Request`] also knows its response. It knows no
//! socket, no clock and no runtime.
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use uschat_proto::{Json, Message, MessageId, Request};
//!
//! #[derive(Debug, PartialEq, Serialize, Deserialize)]
//! struct Greet { name: String }
//! #[derive(Debug, PartialEq, Serialize, Deserialize)]
//! struct Greeting { text: String }
//!
//! // JSON bodies take one line a message; any other encoding implements [`Encoding`].
//! impl Message for Greet { const ID: MessageId = MessageId(1); type Encoding = Json; }
//! impl Message for Greeting { const ID: MessageId = MessageId(2); type Encoding = Json; }
//! impl Request for Greet { type Response = Greeting; }
//!
//! let body = Greet { name: "Ada".into() }.to_body()?;
//! assert_eq!(&body[..], br#"{"name":"Ada"}"#);
//! assert_eq!(Greet::from_body(&body)?, Greet { name: "Ada".into() });
//! # Ok::<(), uschat_proto::PayloadError>(())
//! ```
//!
//! # Features
//!
//! | feature | adds |
//! |---|---|
//! | (none) | the traits [`Message`], [`Request`], [`Encoding`], the open numbers [`MessageId`] and [`ErrorCode`], [`Json`], [`JsonObject`] |
//! | `chat` | the payloads, ids and error codes of the UsChat protocol (PROTOCOL.md) |
//! | `grpc` | the generated gRPC stubs, checked in: building needs no `protoc` |
//!
//! # Limits
//!
//! JSON deeper than 128 levels is refused. Body lengths are the business of the frame layer.

#![forbid(unsafe_code)]

#[cfg(feature = "chat")]
pub mod chat;
mod encoding;
mod error_code;
#[cfg(feature = "grpc")]
pub mod grpc;
mod message;
mod message_id;

pub use encoding::{Encoding, Json, JsonObject, PayloadError};
pub use error_code::ErrorCode;
pub use message::{Message, Request};
pub use message_id::MessageId;
