//! The UsChat SDK: accounts over the HTTP gate, chat over TCP, and a messenger that gets every text through.
//!
//! ```no_run
//! use uschat_client::{Cursors, Gate, Incoming, Messenger, MessengerConfig};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let kept: Cursors = match std::fs::read("cursors.json") {
//!     Ok(json) => serde_json::from_slice(&json)?,
//!     Err(_) => Cursors::default(),
//! };
//! let gate = Gate::new("http://127.0.0.1:8080")?;
//! let config = MessengerConfig::default();
//! let (messenger, mut inbox) = Messenger::start(gate, "ada@example.org", "secret1!", config, kept).await?;
//!
//! while let Some(incoming) = inbox.next().await {
//!     match incoming {
//!         Incoming::Text(text) => {
//!             println!("{} #{}: {}", text.from, text.seq, text.content);
//!             std::fs::write("cursors.json", serde_json::to_vec(&inbox.cursors())?)?;
//!             let sent = messenger.send_text(text.from, "I read it").await?;
//!             println!("stored as number {}", sent.seq);
//!         }
//!         Incoming::Disconnected { reason } => println!("{reason}; connecting again"),
//!         Incoming::Ended { reason } => println!("{reason}"),
//!         _ => {}
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What it promises
//!
//! * **Stored means stored.** A send is answered after the server has committed the text.
//! * **Nothing sent is forgotten.** What was not acknowledged is sent again in the next session, in the same order and with
//!   the same ids, so it is stored once ([`Messenger::submit`]). It ends with an acknowledgement or a [`SendError`].
//! * **Nothing comes twice, nothing is left out.** Each number of a conversation reaches the application once, in order,
//!   over reconnects, and over restarts of the program if it keeps its [`Cursors`]. Own texts count as seen when they are
//!   acknowledged.
//! * **It comes back.** When a session ends, it connects again, after a pause that grows and is left to chance in part, to
//!   another server if this one does not serve. Not after a newer login of the same user.
//! * **Nothing is dropped in silence.** An application that does not read its [`Inbox`] makes the connection stop reading; a
//!   notice that is not understood ends the session.
//! * **Every wait ends, every queue is bounded**: see [`MessengerConfig`] and [`ChatConfig`].
//! * **Discreet.** Passwords, codes and tokens appear in no `Debug` output, error or log.
//!
//! # One session only
//!
//! [`Chat`] is the lower half: one login, one connection. It ends with it, and every call in flight learns why
//! ([`RequestError::Disconnected`]). [`Messenger::chat`] gives that of the moment, for searches, friends and history.
//!
//! ```no_run
//! use uschat_client::{Chat, ChatConfig, Event, Gate};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let ticket = Gate::new("http://127.0.0.1:8080")?.log_in("ada@example.org", "secret1!").await?;
//! let (chat, mut events) = Chat::connect(&ticket, ChatConfig::default()).await?;
//! if let Some(grace) = chat.search("grace").await? {
//!     chat.send_text(grace.uid, "hello").await?;
//! }
//! while let Some(event) = events.next().await {
//!     if let Event::Text { from, seq, content, .. } = event {
//!         println!("{from} #{seq}: {content}");
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Limits
//!
//! * A [`Messenger`] needs a UsChat server: it speaks sync (3003 to 3006 in PROTOCOL.md).
//! * Texts around the end of a plain [`Chat`] may come twice or not at all; their `seq` tells.
//! * Plain HTTP and TCP. Over another transport, say TLS, [`Chat::connect_over`] takes the connection and
//!   [`Messenger::start_over`] a [`Network`].
//! * One request carries at most 64 texts of 16 KiB together.
//! * Texts are read from `chat_datas`; first-season C++ servers do not send it (PROTOCOL.md), so sending and receiving
//!   texts through them is not possible.
//!
//! # Place in the family
//!
//! `uschat-wire` gives the frames, `uschat-proto` the words; this crate adds sockets and time. It needs a tokio runtime
//! and starts one task per session, and one per messenger.

#![forbid(unsafe_code)]

mod chat;
mod config;
mod connection;
mod error;
mod event;
mod gate;
mod history;
mod messenger;
mod text;
mod ticket;

pub use chat::{Chat, NewFriend};
pub use config::ChatConfig;
pub use error::{ConnectError, DisconnectReason, RequestError};
pub use event::{Event, Events};
pub use gate::{Gate, GateError, PasswordReset, Registration};
pub use history::{Conversation, Page, StoredText};
pub use messenger::{
    Cursors, EndReason, Inbox, Incoming, IncomingText, Messenger, MessengerConfig, Network, Outgoing, SendError,
    StartError,
};
pub use text::{Sent, Text};
pub use ticket::Ticket;
pub use uschat_proto::chat::{
    Application, Cursor, Friend, GreetingText, MessageKey, Profile, ThreadId, UserId, limits,
};
pub use uschat_proto::{ErrorCode, MessageId, PayloadError};
