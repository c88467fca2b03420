//! The verification service: makes codes, keeps them, mails them. PROTOCOL.md, "Verification codes".
//!
//! A code lives ten minutes and lets its reader register with, or reset the password of, one e-mail address. Whoever
//! asks again while a code waits gets the same one mailed again; its time is not renewed.
//!
//! At most five mails in ten minutes go to one address, upper and lower case being the same, with no least time
//! between them. Counted is every mail that was accepted, and every one that may have been: a mail server that had
//! it and did not answer. A refused mail, or a failure of ours, does not count.
//!
//! ```no_run
//! # async fn example(state: std::sync::Arc<dyn uschat_server::store::State>) -> std::io::Result<()> {
//! use std::sync::Arc;
//! use tokio_util::sync::CancellationToken;
//! use uschat_server::verify::{Outbox, Verify, VerifyConfig};
//!
//! let outbox = Outbox::default(); // or, with the feature `smtp`, SmtpMailer
//! let verify = Verify::new(VerifyConfig::default(), state, Arc::new(outbox.clone()));
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:50051").await?;
//! verify.serve(listener, CancellationToken::new()).await
//! # }
//! ```

mod code;
mod service;

use std::{fmt, io, sync::Arc, time::Duration};

use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use uschat_proto::grpc::s1::varify_service_server::VarifyServiceServer;

use self::service::Service;
pub use crate::mail::{MailError, Mailer, Outbox};
#[cfg(feature = "smtp")]
pub use crate::mail::{SmtpError, SmtpMailer, SmtpOptions};
use crate::{
    connection_tasks::Tasks,
    grpc_server::{self, GrpcServerConfig, MAX_MESSAGE_BYTES},
    keyed_lock::KeyedLocks,
    store::State,
};

/// Limits of the verification service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyConfig {
    /// How long a code is good. Default 10 min.
    pub code_lifetime: Duration,
    /// Mails to one address within a window. Default 5.
    pub max_mails: u32,
    /// The window, which begins with its first mail. Default 10 min.
    pub mail_window: Duration,
    /// How long one mail may take. Default 4 s, less than the gate waits for this service.
    pub mail_deadline: Duration,
    /// Mails under way at one time, those waiting for another one to the same address included. Default 256.
    pub max_in_flight: usize,
    /// The listener's limits.
    pub server: GrpcServerConfig,
}

impl Default for VerifyConfig {
    fn default() -> Self {
        Self {
            code_lifetime: Duration::from_secs(600),
            max_mails: 5,
            mail_window: Duration::from_secs(600),
            mail_deadline: Duration::from_secs(4),
            max_in_flight: 256,
            server: GrpcServerConfig::default(),
        }
    }
}

/// The verification service.
pub struct Verify {
    inner: Arc<Inner>,
}

/// What calls and the mails they started share.
struct Inner {
    config: VerifyConfig,
    state: Arc<dyn State>,
    mailer: Arc<dyn Mailer>,
    places: Arc<Semaphore>,
    addresses: KeyedLocks,
    tasks: Tasks,
}

impl Verify {
    /// Wires the service. Does nothing yet.
    #[must_use]
    pub fn new(config: VerifyConfig, state: Arc<dyn State>, mailer: Arc<dyn Mailer>) -> Self {
        let places = Arc::new(Semaphore::new(config.max_in_flight));
        let inner = Inner { config, state, mailer, places, addresses: KeyedLocks::default(), tasks: Tasks::default() };
        Self { inner: Arc::new(inner) }
    }

    /// Serves gRPC on `listener` until `shutdown`, then finishes calls and mails under way and returns.
    ///
    /// # Errors
    /// When the listener is unusable.
    pub async fn serve(self, listener: TcpListener, shutdown: CancellationToken) -> io::Result<()> {
        let config = self.inner.config.server.clone();
        let tasks = self.inner.tasks.clone();
        let service = VarifyServiceServer::new(Service(self.inner)).max_decoding_message_size(MAX_MESSAGE_BYTES);
        grpc_server::serve_with(listener, Routes::new(service), config, shutdown, tasks).await
    }
}

impl fmt::Debug for Verify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verify").field("config", &self.inner.config).finish_non_exhaustive()
    }
}
