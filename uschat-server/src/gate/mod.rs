//! The HTTP gate: registration, password reset, login. PROTOCOL.md, "The gate".
//!
//! | route | what |
//! |---|---|
//! | `POST /get_varifycode` | has a verification code mailed |
//! | `POST /user_register` | spends the code for an account |
//! | `POST /reset_pwd` | spends the code for a new password; tokens handed out before are void |
//! | `POST /user_login` | checks the password; answers with a chat server and a token |
//! | `GET /get_test` | shows the query as the gate reads it |
//! | `GET /dev/outbox?email=E` | the newest code of an address; only with [`GateConfig::outbox`] |
//!
//! Bodies are JSON. A refusal is status 200 with `{"error":N}`, as every existing client expects. The gate holds nothing
//! itself: any number of gates may run side by side.
//!
//! What it stands against: slow and oversized requests (deadlines and limits in [`GateConfig`]); guessing of passwords
//! and codes (limits per account, code and network address); finding out who has an account (login and mail answer alike
//! for known and unknown addresses, and login takes the same time). Passwords are stored as Argon2id hashes; an account
//! that an original server made keeps its password, and gets a hash at its first login
//! ([`GateConfig::upgrade_legacy_passwords`]). It speaks plain HTTP: put TLS in front of it.
//!
//! ```no_run
//! # async fn example(
//! #     accounts: std::sync::Arc<dyn uschat_server::store::Accounts>,
//! #     state: std::sync::Arc<dyn uschat_server::store::State>,
//! # ) -> Result<(), Box<dyn std::error::Error>> {
//! use tokio_util::sync::CancellationToken;
//! use uschat_pool::{Shared, SharedConfig, grpc::{GrpcConfig, GrpcManager}};
//! use uschat_server::gate::{Gate, GateConfig, StatusClient, VerifyClient};
//!
//! let connect = |name: &str, uri: &str| -> Result<_, Box<dyn std::error::Error>> {
//!     Ok(Shared::new(name, GrpcManager::new(uri, &GrpcConfig::default())?, SharedConfig::default())?)
//! };
//! let verify = VerifyClient::new(connect("verify", "http://127.0.0.1:50051")?);
//! let status = StatusClient::new(connect("status", "http://127.0.0.1:50052")?);
//! let gate = Gate::new(GateConfig::default(), accounts, state, verify, status)?;
//! gate.serve(tokio::net::TcpListener::bind("127.0.0.1:8080").await?, CancellationToken::new()).await?;
//! # Ok(()) }
//! ```

mod attempts;
mod clients;
mod codes;
mod config;
mod connection;
mod endpoint;
mod fields;
mod login;
mod passwords;
mod plain;
mod register;
mod reset;
mod verify_code;

use std::{fmt, io, sync::Arc};

use axum::{
    Router,
    extract::{Request, State as Extract},
    routing::{get, post},
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::warn;
use uschat_proto::ErrorCode;

pub use self::{
    clients::{StatusClient, VerifyClient},
    config::{AddressLimit, GateConfig, PasswordCost},
};
use self::{endpoint::endpoint, passwords::Passwords};
pub use crate::mail::{Outbox, ReadOutbox};
use crate::{
    connection_tasks::{AcceptConfig, Tasks, accept_until},
    keyed_lock::KeyedLocks,
    store::{Accounts, State, StoreError},
};

/// The HTTP gate.
pub struct Gate {
    inner: Arc<Inner>,
}

/// What all requests share.
struct Inner {
    config: GateConfig,
    accounts: Arc<dyn Accounts>,
    state: Arc<dyn State>,
    verify: VerifyClient,
    status: StatusClient,
    passwords: Passwords,
    accounts_in_turn: KeyedLocks,
    tasks: Tasks,
}

impl Gate {
    /// Wires the gate. Computes one password hash, serves nothing yet.
    ///
    /// # Errors
    /// When a value of the configuration is impossible.
    pub fn new(
        config: GateConfig,
        accounts: Arc<dyn Accounts>,
        state: Arc<dyn State>,
        verify: VerifyClient,
        status: StatusClient,
    ) -> Result<Self, GateConfigError> {
        let passwords = Passwords::new(config.password_cost.clone())?;
        let (accounts_in_turn, tasks) = (KeyedLocks::default(), Tasks::default());
        let inner = Inner { config, accounts, state, verify, status, passwords, accounts_in_turn, tasks };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Serves HTTP/1.1 on `listener` until `shutdown`, then finishes the requests under way and returns.
    ///
    /// # Errors
    /// When the listener is unusable. Failures of single connections or of `accept` are logged and survived.
    pub async fn serve(self, listener: TcpListener, shutdown: CancellationToken) -> io::Result<()> {
        listener.local_addr()?;
        let gate = self.inner;
        let router = router(&gate);
        let bounds =
            AcceptConfig { server: "gate", max_connections: gate.config.max_connections, drain: gate.config.drain };
        accept_until(listener, &bounds, gate.tasks.clone(), shutdown, |stream, peer| {
            connection::serve(stream, peer, router.clone(), Arc::clone(&gate))
        })
        .await;
        Ok(())
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("config", &self.inner.config).finish_non_exhaustive()
    }
}

/// A gate cannot be built with this configuration. A retry does not help.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GateConfigError {
    /// Argon2 does not take these parameters.
    #[error("the cost of password hashing is impossible: {0}")]
    PasswordCost(String),
}

fn router(gate: &Arc<Inner>) -> Router {
    macro_rules! json {
        ($route:literal, $handler:path) => {
            post(|Extract(gate): Extract<Arc<Inner>>, request: Request| endpoint($route, gate, request, $handler))
        };
    }
    let mut router = Router::new()
        .route("/get_test", get(plain::get_test))
        .route("/get_varifycode", json!("/get_varifycode", verify_code::mail_code))
        .route("/user_register", json!("/user_register", register::register))
        .route("/reset_pwd", json!("/reset_pwd", reset::reset))
        .route("/user_login", json!("/user_login", login::login))
        .fallback(plain::not_found);
    if let Some(outbox) = gate.config.outbox.clone() {
        router = router.route("/dev/outbox", get(move |request: Request| plain::newest_mail(outbox.clone(), request)));
    }
    router.with_state(Arc::clone(gate))
}

/// What a client learns of a failed store; the cause is for the log.
fn unavailable(error: StoreError) -> ErrorCode {
    warn!(%error, "a store failed");
    ErrorCode::UNAVAILABLE
}
