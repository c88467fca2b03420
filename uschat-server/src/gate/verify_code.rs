//! `POST /get_varifycode`.

use std::sync::Arc;

use uschat_proto::{
    ErrorCode,
    chat::{VerifyCodeReply, VerifyCodeRequest},
};

use super::{Inner, attempts::Limited, connection::Caller, fields};

/// Has a code mailed. Answers alike for known and unknown addresses, because it does not ask whose they are; the
/// verification service's code is passed on as it is.
pub(super) async fn mail_code(
    gate: Arc<Inner>,
    caller: Caller,
    request: VerifyCodeRequest,
) -> Result<VerifyCodeReply, ErrorCode> {
    let email = request.email;
    fields::email(&email)?;
    let error = match gate.check_address(caller.0, Limited::Mails).await {
        Ok(()) => gate.verify.mail_code(&email).await,
        Err(refused) => refused,
    };
    if error.is_success() {
        gate.count_address(caller.0, Limited::Mails).await;
    }
    Ok(VerifyCodeReply { error, email })
}
