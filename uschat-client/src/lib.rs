//! The UsChat SDK: accounts over the HTTP gate, chat over TCP, typed events.
//!
//! ```no_run
//! use uschat_client::{Chat, ChatConfig, Event, Gate};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let gate = Gate::new("http://127.0.0.1:8080")?;
//! let ticket = gate.log_in("ada@example.org", "secret1!").await?;
//! let (chat, mut events) = Chat::connect(&ticket, ChatConfig::default()).await?;
//!
//! if let Some(grace) = chat.search("grace").await? {
//!     let sent = chat.send_text(grace.uid, "hello").await?;
//!     println!("stored as number {} of conversation {}", sent.seq, sent.thread_id);
//! }
//! while let Some(event) = events.next().await {
//!     match event {
//!         Event::Text { from, seq, content, .. } => println!("{from} #{seq}: {content}"),
//!         Event::FriendApplied { applicant } => println!("{} wants to be a friend", applicant.name),
//!         Event::Disconnected { reason } => println!("{reason}"),
//!         _ => {}
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What it promises
//!
//! * **Stored means stored.** [`Chat::send_text`] returns after the server has committed the text.
//! * **Once.** A [`Text`] that is sent again, after a time-out or a reconnect, is stored once.
//! * **Nothing is dropped in silence.** An application that does not read its [`Events`] makes the connection stop
//!   reading; a notice that is not understood ends the session.
//! * **Every wait ends.** Calls have deadlines, queues have bounds ([`ChatConfig`]), and when the connection ends, every
//!   call in flight learns why ([`RequestError::Disconnected`]).
//! * **Discreet.** Passwords, codes and tokens appear in no `Debug` output, error or log.
//!
//! # Limits
//!
//! * One session, one connection: when it ends, connect again. Texts that arrive around that moment may come twice; their
//!   `seq` tells.
//! * Plain HTTP and TCP. Over another transport, say TLS, [`Chat::connect_over`] takes the connection.
//! * One request carries at most 64 texts of 16 KiB together.
//! * Texts are read from `chat_datas`; first-season C++ servers do not send it (PROTOCOL.md), so sending and receiving
//!   texts through them is not possible.
//!
//! # Place in the family
//!
//! `uschat-wire` gives the frames, `uschat-proto` the words; this crate adds sockets and time. It needs a tokio runtime
//! and starts one task per session.

#![forbid(unsafe_code)]

mod chat;
mod config;
mod connection;
mod error;
mod event;
mod gate;
mod text;
mod ticket;

pub use chat::{Chat, NewFriend};
pub use config::ChatConfig;
pub use error::{ConnectError, DisconnectReason, RequestError};
pub use event::{Event, Events};
pub use gate::{Gate, GateError, PasswordReset, Registration};
pub use text::{Sent, Text};
pub use ticket::Ticket;
pub use uschat_proto::chat::{Application, Friend, GreetingText, MessageKey, Profile, ThreadId, UserId, limits};
pub use uschat_proto::{ErrorCode, MessageId, PayloadError};
