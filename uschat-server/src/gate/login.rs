//! `POST /user_login`.

use std::sync::Arc;

use tracing::warn;
use uschat_proto::{
    ErrorCode,
    chat::{LoginReply, LoginRequest},
    grpc::s1::GetChatServerRsp,
};

use super::{
    Inner,
    attempts::Limited,
    connection::Caller,
    fields,
    passwords::{Fit, Legacy},
    unavailable,
};
use crate::{
    email::is_email,
    store::{Account, PasswordHash},
};

/// Checks a password and asks the status service for a chat server and a token.
pub(super) async fn login(gate: Arc<Inner>, caller: Caller, request: LoginRequest) -> Result<LoginReply, ErrorCode> {
    let email = request.email.or(request.user).ok_or(ErrorCode::INVALID_PAYLOAD)?;
    let (true, Ok(password)) = (is_email(&email), fields::password(&request.passwd)) else {
        // Nobody's: refused like a wrong password, after the same work.
        gate.passwords.verify(String::new(), None, Legacy::Keep).await?;
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
        let legacy = if self.config.upgrade_legacy_passwords { Legacy::Rehash } else { Legacy::Keep };
        let fit = self.passwords.verify(password.clone(), stored, legacy).await?;
        match (account, fit) {
            (Some(account), Fit::Right) => Ok(account),
            (Some(account), Fit::Outdated(hash)) => Ok(self.upgrade(account, hash, password).await),
            _ => {
                self.count_address(caller.0, Limited::Wrong).await;
                Err(attempt.wrong().await)
            }
        }
    }

    /// Stores `hash` in place of what an original server stored. The account to go on with: whatever comes of the upgrade,
    /// the password was right.
    async fn upgrade(&self, account: Account, hash: PasswordHash, password: String) -> Account {
        let uid = account.profile.uid;
        match self.accounts.replace_password(uid, &account.password, hash.clone()).await {
            Ok(true) => {
                // An original's copy of the profile holds the old password.
                if let Err(error) = self.state.forget_profile(uid).await {
                    warn!(%uid, %error, "a cached profile could not be dropped");
                }
                return Account { password: hash, ..account };
            }
            // Another gate upgraded it at the same time, or it was reset.
            Ok(false) => {}
            Err(error) => warn!(%uid, %error, "a legacy password could not be upgraded"),
        }
        // After an error, too: the store may have done it all the same.
        let Ok(Some(now)) = self.accounts.by_uid(uid).await else { return account };
        let fits = now.password == hash
            || matches!(self.passwords.verify(password, Some(&now.password), Legacy::Keep).await, Ok(Fit::Right));
        // One that does not fit any more was reset; that is for `confirm_password` to find.
        if fits { now } else { account }
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
