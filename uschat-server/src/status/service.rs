//! What `GetChatServer` and `Login` do.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tonic::{Request, Response, Status, async_trait};
use tracing::warn;
use uschat_proto::{
    ErrorCode,
    chat::UserId,
    grpc::s1::{GetChatServerReq, GetChatServerRsp, LoginReq, LoginRsp, status_service_server::StatusService},
};
use uuid::Uuid;

use super::balance::Balance;
use crate::{
    secrets::same_secret,
    store::{State, StoreError},
};

/// The service as tonic sees it.
pub(super) struct Service {
    pub(super) state: Arc<dyn State>,
    pub(super) token_lifetime: Duration,
    pub(super) balance: Balance,
    pub(super) client_addresses: BTreeMap<String, (String, u16)>,
}

#[async_trait]
impl StatusService for Service {
    async fn get_chat_server(&self, request: Request<GetChatServerReq>) -> Result<Response<GetChatServerRsp>, Status> {
        let answer = self.admit(UserId(request.into_inner().uid)).await;
        count("GetChatServer", answer.as_ref().err());
        Ok(Response::new(answer.unwrap_or_else(|error| GetChatServerRsp { error: error.0, ..Default::default() })))
    }

    async fn login(&self, request: Request<LoginReq>) -> Result<Response<LoginRsp>, Status> {
        let LoginReq { uid, token } = request.into_inner();
        let outcome = self.check(UserId(uid), &token).await;
        count("Login", outcome.as_ref().err());
        Ok(Response::new(match outcome {
            Ok(()) => LoginRsp { error: 0, uid, token },
            Err(error) => LoginRsp { error: error.0, uid, token: String::new() },
        }))
    }
}

impl Service {
    async fn admit(&self, uid: UserId) -> Result<GetChatServerRsp, ErrorCode> {
        if uid.0 <= 0 {
            return Err(ErrorCode::UID_INVALID);
        }
        let alive = self.state.servers().await.map_err(unavailable)?;
        let Some(server) = self.balance.pick(alive) else {
            warn!("no chat server takes new sessions");
            return Err(ErrorCode::RPC_FAILED);
        };
        let token = Uuid::new_v4().to_string();
        self.state.put_token(uid, &token, self.token_lifetime).await.map_err(unavailable)?;
        let told = self.client_addresses.get(&server.name).cloned();
        let (host, port) = told.unwrap_or((server.client_host, server.client_port));
        Ok(GetChatServerRsp { error: 0, host, port: port.to_string(), token })
    }

    async fn check(&self, uid: UserId, token: &str) -> Result<(), ErrorCode> {
        match self.state.token(uid).await.map_err(unavailable)? {
            None => Err(ErrorCode::UID_INVALID),
            Some(current) if same_secret(&current, token) => Ok(()),
            Some(_) => Err(ErrorCode::TOKEN_INVALID),
        }
    }
}

fn unavailable(error: StoreError) -> ErrorCode {
    warn!(%error, "the state store failed");
    ErrorCode::UNAVAILABLE
}

fn count(call: &'static str, error: Option<&ErrorCode>) {
    let error = match error {
        None => "0",
        Some(&ErrorCode::RPC_FAILED) => "1002",
        Some(&ErrorCode::TOKEN_INVALID) => "1010",
        Some(&ErrorCode::UID_INVALID) => "1011",
        Some(_) => "3101",
    };
    metrics::counter!("uschat_status_requests_total", "call" => call, "error" => error).increment(1);
}
