//! 1009/1010/1011. PROTOCOL.md, "Become friends".

use uschat_proto::{
    ErrorCode,
    chat::{AddFriendRequest, AddFriendResponse},
};

use super::{
    app::{ChatApp, unavailable},
    service::{own_uid, short_text},
};
use crate::{Context, Reply, cluster::PeerEvent, store::Applied};

pub(super) async fn add_friend(
    cx: Context<ChatApp>,
    request: AddFriendRequest,
) -> Result<Reply<AddFriendResponse>, ErrorCode> {
    let me = own_uid(&cx, request.from)?;
    short_text(&request.introduction)?;
    short_text(&request.remark)?;
    if request.to == me {
        return Err(ErrorCode::INVALID_FIELD);
    }
    let applied = cx.stores.contacts.apply(me, request.to, &request.introduction, &request.remark).await;
    match applied.map_err(unavailable("storing an application"))? {
        Applied::UnknownUser => return Err(ErrorCode::UID_INVALID),
        // Nothing changed, so there is nothing to tell.
        Applied::AlreadyApproved => {}
        Applied::Pending => {
            let applicant = cx.profile(me).await.map_err(unavailable("reading a profile"))?;
            let applicant = applicant.ok_or(ErrorCode::UID_INVALID)?;
            let event = PeerEvent::FriendApplied { applicant, introduction: request.introduction };
            cx.delivery.tell(cx.sessions(), request.to, event).await;
        }
    }
    Ok(Reply::Now(AddFriendResponse { error: ErrorCode::SUCCESS }))
}
