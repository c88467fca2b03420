//! A handler registry and sessions for framed protocols of your own, and the UsChat services built on them.
//!
//! # A server in 20 lines
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use uschat_server::prelude::*;
//!
//! #[derive(Serialize, Deserialize)]
//! struct Add { a: i64, b: i64 }
//! #[derive(Debug, PartialEq, Serialize, Deserialize)]
//! struct Sum { value: i64 }
//! impl Message for Add { const ID: MessageId = MessageId(1); type Encoding = Json; }
//! impl Message for Sum { const ID: MessageId = MessageId(2); type Encoding = Json; }
//! impl Request for Add { type Response = Sum; }
//!
//! struct Calculator;
//! impl Application for Calculator { type User = String; type Session = (); }
//!
//! async fn add(_: Context<Calculator>, Add { a, b }: Add) -> Result<Reply<Sum>, ErrorCode> {
//!     a.checked_add(b).map(|value| Reply::Now(Sum { value })).ok_or(ErrorCode(3010))
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let logic = LogicSystem::builder().on(add).without_login_guard().build()?;
//! let server = std::sync::Arc::new(Server::new(Calculator, logic, SessionConfig::default()));
//! // In a program: server.listen_until(TcpListener::bind(address).await?, tokio::signal::ctrl_c()).await?;
//! let mut client = uschat_server::testing::connect(&server);
//! client.send(&Add { a: 2, b: 3 }).await;
//! assert_eq!(client.receive::<Sum>().await, Sum { value: 5 });
//! # Ok(()) }
//! ```
//!
//! `examples/embed.rs` adds a login, a push to other sessions and bodies that are not JSON.
//!
//! # What it promises
//!
//! * **Order.** Handlers of one session run one after another until they return. What they deferred ([`Reply::Later`]) runs
//!   beside later requests and leaves in request order; answers of [`ORDERED`](proto::Request::ORDERED) requests never
//!   overtake it. Sessions run side by side.
//! * **Nothing is cancelled midway.** A handler runs to its end although its peer vanished or the server is stopping; only
//!   the drain deadline, or dropping the future that serves the connection, ends it. So a handler's own waits need bounds.
//! * **One session at most.** A handler's panic, a peer that sends nonsense, too slowly or without end, or does not read,
//!   costs that session; the others do not notice.
//! * **Nothing unbounded, nothing lost in silence.** A push that finds the queue full closes the session and says so; an
//!   answer that finds it full waits, and the session reads no further.
//! * **No panic on input.** A body that does not fit its message is refused under the response's id, an unknown id is
//!   ignored, and the session goes on. Only a length above the limit closes it.
//! * **Nothing global.** No subscriber, recorder, signal handler or runtime is installed; shutdown is an argument.
//!
//! # Place in the family
//!
//! `uschat-wire` brings the frames, [re-exported](wire), and `uschat-proto` the [traits of messages](proto). [`logic`] finds
//! and runs handlers and does no I/O; [`session`] serves any `AsyncRead + AsyncWrite`; [`testing`] tests a protocol without
//! sockets. The services stand on these and on ports, and know no driver.
//!
//! # Limits
//!
//! All in [`session::SessionConfig`], with these defaults:
//!
//! | what | bound | then |
//! |---|---|---|
//! | body received | 32,767 bytes (up to 65,535) | closed |
//! | first byte, login, rest of a frame | 5 s, 10 s, 10 s | closed |
//! | silence, once heartbeats were seen | 25 s | closed |
//! | one write | 20 s | closed |
//! | waiting to be written | 1,024 frames, 1 MiB | push: closed as a slow consumer; answer: waits |
//! | deferred answers that wait for an earlier one | 64 | the session reads no further |
//! | one write takes | 64 frames, none after 16 KiB | the next write |
//! | connections of a listener | 10,000 | wait in the backlog |
//! | drain | 10 s | what is left is dropped |
//!
//! # Features
//!
//! | feature | adds |
//! |---|---|
//! | (none) | [`logic`], [`session`], [`testing`]: no HTTP, gRPC or database |
//! | `store` | the ports for accounts, contacts, conversations and state, and their `memory` adapters |
//! | `sqlite` | the SQLite adapter of the SQL ports |
//! | `redis` | the Redis and Redis Cluster adapter of the state port |
//! | `mysql` | the MySQL and MariaDB adapter of the SQL ports |
//! | `cluster` | who is alive, who holds which user, and the gRPC mesh between chat servers |
//! | `gate` | the HTTP gate: register, reset a password, log in |
//! | `verify` | the verification code service |
//! | `smtp` | `verify` mails its codes through an SMTP server |
//! | `status` | the status service: picks a chat server, mints tokens |
//! | `chat` | the chat service |

mod accept;
#[cfg(feature = "chat")]
pub mod chat;
#[cfg(feature = "cluster")]
pub mod cluster;
#[cfg(feature = "cluster")]
mod connection_tasks;
#[cfg(any(feature = "gate", feature = "verify"))]
mod email;
#[cfg(feature = "gate")]
pub mod gate;
#[cfg(feature = "cluster")]
pub mod grpc_server;
#[cfg(any(feature = "gate", feature = "verify"))]
mod keyed_lock;
pub mod logic;
#[cfg(any(feature = "gate", feature = "verify"))]
pub mod mail;
#[cfg(any(feature = "chat", feature = "gate", feature = "status"))]
mod secrets;
pub mod session;
#[cfg(feature = "status")]
pub mod status;
#[cfg(feature = "store")]
pub mod store;
pub mod testing;
#[cfg(feature = "verify")]
pub mod verify;

pub use bytes;
pub use logic::{Application, Context, LogicSystem, Reply};
pub use tokio_util::sync::CancellationToken;
pub use uschat_proto as proto;
pub use uschat_wire as wire;

/// What a protocol of one's own needs, in one line: `use uschat_server::prelude::*`.
pub mod prelude {
    pub use bytes::{Bytes, BytesMut};
    pub use tokio_util::sync::CancellationToken;
    pub use uschat_proto::{Encoding, ErrorCode, Json, Message, MessageId, PayloadError, Request};
    pub use uschat_wire::Frame;

    pub use crate::{
        logic::{Application, Context, LogicSystem, Reply},
        session::{CloseReason, Server, Session, SessionConfig, Sessions},
    };
}
