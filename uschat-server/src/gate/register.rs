//! `POST /user_register`.

use std::sync::Arc;

use uschat_proto::{
    ErrorCode,
    chat::{RegisterReply, RegisterRequest},
};

use super::{Inner, codes::spending, connection::Caller, fields, unavailable};
use crate::store::{CreateAccountError, NewAccount};

/// Makes an account. The order of the tests is a fact of the protocol.
pub(super) async fn register(
    gate: Arc<Inner>,
    caller: Caller,
    request: RegisterRequest,
) -> Result<RegisterReply, ErrorCode> {
    let RegisterRequest { user: name, email, passwd, confirm, varifycode: code, icon } = request;
    if passwd != confirm {
        return Err(ErrorCode::PASSWORDS_DIFFER);
    }
    gate.check_code(caller, &email, &code).await?;
    fields::name(&name)?;
    fields::icon(&icon)?;
    let password = fields::password(&passwd)?;
    let password = gate.passwords.hash(password).await?;

    let account = NewAccount { name: name.clone(), email: email.clone(), password, icon: icon.clone() };
    let accounts = Arc::clone(&gate.accounts);
    let uid = spending(gate, email.clone(), code, async move {
        accounts.create(account).await.map_err(|error| match error {
            CreateAccountError::EmailTaken | CreateAccountError::NameTaken => ErrorCode::USER_EXISTS,
            CreateAccountError::Store(error) => unavailable(error),
        })
    })
    .await?;
    Ok(RegisterReply { error: ErrorCode::SUCCESS, uid, email, user: name, icon })
}
