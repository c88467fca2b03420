//! `POST /user_login`.

use std::sync::Arc;

use tracing::warn;
use uschat_proto::{
    ErrorCode,
    chat::{LoginReply, LoginRequest},
    grpc::s1::GetChatServerRsp,
};

use super::{Inner, attempts::Limited, connection::Caller, fields, unavailable};
use crate::{email::is_email, store::Account};

/// Checks a password and asks the status service for a chat server and a token.
pub(super) async fn login(gate: Arc<Inner>, caller: Caller, request: LoginRequest) -> Result<LoginReply, ErrorCode> {
    let email = request.email.or(request.user).ok_or(ErrorCode::INVALID_PAYLOAD)?;
    let (true, Ok(password)) = (is_email(&email), fields::password(&request.passwd)) else {
        // Nobody's: refused like a wrong password, after the same work.
        gate.passwords.verify(String::new(), None).await?;
        return Err(ErrorCode::PASSWORD_INVALID);
    };
    let account = gate.authenticate(caller, &email, password).await?;
    let server = gate.status.chat_server(account.profile.uid).await?;
    gate.confirm_password(&account).await?;

    let GetChatServerRsp { host, port, token, .. } = server;
    Ok(LoginReply {
        error: ErrorCode::SUCCESS,
        email,
        uid: account.profile.uid,
        token,
        chathost: host.clone(),
        chatport: port.clone(),
        reshost: gate.config.resource_host.clone().unwrap_or_else(|| host.clone()),
        resport: gate.config.resource_port.clone(),
        host,
        port,
    })
}

impl Inner {
    /// The account, if the password is right. An unknown address is counted and takes as long as a known one.
    async fn authenticate(&self, caller: Caller, email: &str, password: String) -> Result<Account, ErrorCode> {
        self.check_address(caller.0, Limited::Wrong).await?;
        let attempt = self.attempt(email).await?;
        let account = self.accounts.by_email(email).await.map_err(unavailable)?;
        let stored = account.as_ref().map(|account| &account.password);
        let right = self.passwords.verify(password, stored).await?;
        match account {
            Some(account) if right => Ok(account),
            _ => {
                self.count_address(caller.0, Limited::Wrong).await;
                Err(attempt.wrong().await)
            }
        }
    }

    /// Takes the token back if the password was reset since it was checked: the reset could not revoke it, because it was
    /// not there yet.
    async fn confirm_password(&self, checked: &Account) -> Result<(), ErrorCode> {
        let uid = checked.profile.uid;
        let now = self.accounts.by_uid(uid).await.map_err(unavailable)?;
        if now.is_some_and(|now| now.password == checked.password) {
            return Ok(());
        }
        warn!(%uid, "refused: the password was reset during a login");
        self.state.revoke_token(uid).await.map_err(unavailable)?;
        Err(ErrorCode::PASSWORD_INVALID)
    }
}
