//! The gate's clients of the two services behind it.

use std::{error::Error, time::Duration};

use tokio::time::timeout;
use tonic::{Code, Request, Response, Status};
use tracing::warn;
use uschat_pool::{
    Shared,
    grpc::{GrpcChannel, GrpcManager},
};
use uschat_proto::{
    ErrorCode,
    chat::UserId,
    grpc::s1::{
        GetChatServerReq, GetChatServerRsp, GetVarifyReq, status_service_client::StatusServiceClient,
        varify_service_client::VarifyServiceClient,
    },
};

/// How long a call may take, connecting included.
const DEADLINE: Duration = Duration::from_secs(5);
const MAX_RESPONSE_BYTES: usize = 64 * 1024;

/// Asks the verification service to mail codes. Calls take at most 5 s.
#[derive(Debug, Clone)]
pub struct VerifyClient(Connections);

impl VerifyClient {
    /// Calls over these connections.
    #[must_use]
    pub fn new(connections: Shared<GrpcManager>) -> Self {
        Self(Connections { connections, peer: "verify", deadline: DEADLINE })
    }

    /// The same with another deadline.
    #[must_use]
    pub fn with_deadline(self, deadline: Duration) -> Self {
        Self(Connections { deadline, ..self.0 })
    }

    /// Has a code mailed; what the service answered, or [`ErrorCode::RPC_FAILED`].
    pub(super) async fn mail_code(&self, email: &str) -> ErrorCode {
        let request = Request::new(GetVarifyReq { email: email.to_owned() });
        let call = async |channel| {
            let mut client = VarifyServiceClient::new(channel).max_decoding_message_size(MAX_RESPONSE_BYTES);
            client.get_varify_code(request).await
        };
        self.0.call(call).await.map_or(ErrorCode::RPC_FAILED, |response| ErrorCode(response.error))
    }
}

/// Asks the status service for a chat server. Calls take at most 5 s.
#[derive(Debug, Clone)]
pub struct StatusClient(Connections);

impl StatusClient {
    /// Calls over these connections.
    #[must_use]
    pub fn new(connections: Shared<GrpcManager>) -> Self {
        Self(Connections { connections, peer: "status", deadline: DEADLINE })
    }

    /// The same with another deadline.
    #[must_use]
    pub fn with_deadline(self, deadline: Duration) -> Self {
        Self(Connections { deadline, ..self.0 })
    }

    /// A chat server and a token for a user.
    pub(super) async fn chat_server(&self, uid: UserId) -> Result<GetChatServerRsp, ErrorCode> {
        let request = Request::new(GetChatServerReq { uid: uid.0 });
        let call = async |channel| {
            let mut client = StatusServiceClient::new(channel).max_decoding_message_size(MAX_RESPONSE_BYTES);
            client.get_chat_server(request).await
        };
        let response = self.0.call(call).await.ok_or(ErrorCode::RPC_FAILED)?;
        if response.error != 0 {
            warn!(error = response.error, "the status service names no chat server");
            return Err(ErrorCode::RPC_FAILED);
        }
        Ok(response)
    }
}

#[derive(Debug, Clone)]
struct Connections {
    connections: Shared<GrpcManager>,
    peer: &'static str,
    deadline: Duration,
}

impl Connections {
    /// Makes one call within the deadline; why it failed is for the log.
    async fn call<T>(&self, call: impl AsyncFnOnce(GrpcChannel) -> Result<Response<T>, Status>) -> Option<T> {
        let calling = async {
            let handle = match self.connections.handle().await {
                Ok(handle) => handle,
                Err(error) => {
                    warn!(peer = self.peer, %error, cause = error.source(), "no connection");
                    return None;
                }
            };
            match call(GrpcChannel::clone(&handle)).await {
                Ok(response) => Some(response.into_inner()),
                Err(status) => {
                    warn!(peer = self.peer, code = ?status.code(), "a call failed");
                    if status.code() == Code::Unavailable {
                        handle.broken();
                    }
                    None
                }
            }
        };
        timeout(self.deadline, calling).await.unwrap_or_else(|_| {
            warn!(peer = self.peer, deadline = ?self.deadline, "a call took too long");
            None
        })
    }
}
