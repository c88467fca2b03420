//! `POST /reset_pwd`.

use std::sync::Arc;

use tracing::warn;
use uschat_proto::{
    ErrorCode,
    chat::{ResetPasswordReply, ResetPasswordRequest, UserId},
};

use super::{Inner, codes::spending, connection::Caller, fields, unavailable};
use crate::store::PasswordHash;

/// Replaces a password. The order of the tests is a fact of the protocol.
pub(super) async fn reset(
    gate: Arc<Inner>,
    caller: Caller,
    request: ResetPasswordRequest,
) -> Result<ResetPasswordReply, ErrorCode> {
    let ResetPasswordRequest { user: name, email, passwd, varifycode: code } = request;
    gate.check_code(caller, &email, &code).await?;
    // Not by name: in a database of the originals several accounts may have the same.
    let account = gate.accounts.by_email(&email).await.map_err(unavailable)?;
    let account = account.filter(|account| account.profile.name == name).ok_or(ErrorCode::EMAIL_NOT_MATCHED)?;
    let password = fields::password(&passwd)?;
    let password = gate.passwords.hash(password).await?;

    let replacing = replace(Arc::clone(&gate), account.profile.uid, password);
    spending(gate, email.clone(), code, replacing).await?;
    Ok(ResetPasswordReply { error: ErrorCode::SUCCESS, email, user: name })
}

/// Replaces the password and makes what the old one opened void.
async fn replace(gate: Arc<Inner>, uid: UserId, password: PasswordHash) -> Result<(), ErrorCode> {
    // Before as well as after: if tokens cannot be revoked, the password stays.
    gate.state.revoke_token(uid).await.map_err(unavailable)?;
    if !gate.accounts.set_password(uid, password).await.map_err(unavailable)? {
        warn!(%uid, "the account vanished during a password reset");
        return Err(ErrorCode::PASSWORD_UPDATE_FAILED);
    }
    // A login with the old password may have got a token in between.
    gate.state.revoke_token(uid).await.map_err(unavailable)?;
    if let Err(error) = gate.state.forget_profile(uid).await {
        warn!(%uid, %error, "a cached profile could not be dropped");
    }
    Ok(())
}
