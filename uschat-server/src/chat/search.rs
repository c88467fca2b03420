//! 1007/1008. PROTOCOL.md, "Search".

use uschat_proto::{
    ErrorCode,
    chat::{Profile, SearchUserRequest, SearchUserResponse, UserId},
};

use super::app::{ChatApp, unavailable};
use crate::{Context, Reply, store::StoreError};

pub(super) async fn search_user(
    cx: Context<ChatApp>,
    request: SearchUserRequest,
) -> Result<Reply<SearchUserResponse>, ErrorCode> {
    let found = find(&cx, &request.uid).await.map_err(unavailable("searching a user"))?;
    let profile = found.ok_or(ErrorCode::UID_INVALID)?;
    Ok(Reply::Now(SearchUserResponse { error: ErrorCode::SUCCESS, profile }))
}

/// Digits are a uid; a name of digits only is found if no user has that uid.
async fn find(cx: &Context<ChatApp>, typed: &str) -> Result<Option<Profile>, StoreError> {
    if typed.is_empty() {
        return Ok(None);
    }
    if typed.bytes().all(|byte| byte.is_ascii_digit())
        && let Ok(uid) = typed.parse()
        && let Some(profile) = cx.profile(UserId(uid)).await?
    {
        return Ok(Some(profile));
    }
    cx.profile_named(typed).await
}
