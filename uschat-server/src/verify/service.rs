//! What `GetVarifyCode` does.

use std::sync::Arc;

use tokio::time::timeout;
use tonic::{Request, Response, Status, async_trait};
use tracing::warn;
use uschat_proto::{
    ErrorCode,
    grpc::s1::{GetVarifyReq, GetVarifyRsp, varify_service_server::VarifyService},
};

use super::{Inner, code::random_code};
use crate::email::{counter, is_email};

/// The state store failed. PROTOCOL.md, "Verification codes".
const STATE_FAILED: ErrorCode = ErrorCode(1);
/// The mail was not accepted.
const MAIL_FAILED: ErrorCode = ErrorCode(2);

/// The service as tonic sees it.
pub(super) struct Service(pub(super) Arc<Inner>);

#[async_trait]
impl VarifyService for Service {
    async fn get_varify_code(&self, request: Request<GetVarifyReq>) -> Result<Response<GetVarifyRsp>, Status> {
        let email = request.into_inner().email;
        let outcome = send_code(Arc::clone(&self.0), email.clone()).await;
        let error = outcome.err().unwrap_or(ErrorCode::SUCCESS);
        metrics::counter!("uschat_verify_requests_total", "error" => label(error)).increment(1);
        // The code travels by mail only.
        Ok(Response::new(GetVarifyRsp { error: error.0, email, code: String::new() }))
    }
}

async fn send_code(verify: Arc<Inner>, email: String) -> Result<(), ErrorCode> {
    if !is_email(&email) {
        return Err(ErrorCode::INVALID_FIELD);
    }
    let Ok(place) = Arc::clone(&verify.places).try_acquire_owned() else {
        warn!("too many mails are under way");
        return Err(ErrorCode::OVERLOADED);
    };
    // In a task of its own: a caller who hangs up between a mail and its count would get mails for nothing.
    let tasks = verify.tasks.running.clone();
    let sending = tasks.spawn(async move {
        let outcome = verify.send_code(&email).await;
        drop(place);
        outcome
    });
    sending.await.unwrap_or_else(|error| {
        warn!(%error, "sending a code ended abnormally");
        Err(MAIL_FAILED)
    })
}

impl Inner {
    async fn send_code(&self, email: &str) -> Result<(), ErrorCode> {
        let counter = counter("mails", email);
        let _turn = self.addresses.turn(counter.clone()).await;
        if self.state.counted(&counter).await.map_err(state_failed)? >= self.config.max_mails {
            warn!(?email, "refused: too many mails to this address");
            return Err(ErrorCode::TOO_MANY_ATTEMPTS);
        }
        let fresh = random_code().map_err(state_failed)?;
        let code = self.state.code_or_insert(email, &fresh, self.config.code_lifetime).await.map_err(state_failed)?;
        let sent = match timeout(self.config.mail_deadline, self.mailer.send_code(email, &code)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                warn!(%error, "a code could not be mailed");
                if !error.is_in_doubt() {
                    return Err(MAIL_FAILED);
                }
                Err(MAIL_FAILED)
            }
            Err(_) => {
                warn!(deadline = ?self.config.mail_deadline, "the mail server did not answer in time");
                Err(MAIL_FAILED)
            }
        };
        if let Err(error) = self.state.count(&counter, self.config.max_mails, self.config.mail_window).await {
            warn!(%error, "a mail could not be counted");
        }
        sent
    }
}

fn state_failed(error: impl std::fmt::Display) -> ErrorCode {
    warn!(%error, "a code could not be made or kept");
    STATE_FAILED
}

fn label(error: ErrorCode) -> &'static str {
    match error {
        ErrorCode::SUCCESS => "0",
        STATE_FAILED => "1",
        MAIL_FAILED => "2",
        ErrorCode::INVALID_FIELD => "3007",
        ErrorCode::TOO_MANY_ATTEMPTS => "3102",
        ErrorCode::OVERLOADED => "3103",
        _ => "other",
    }
}
