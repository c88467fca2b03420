//! 1013/1014/1015. PROTOCOL.md, "Become friends".

use uschat_proto::{
    ErrorCode,
    chat::{ApproveFriendRequest, ApproveFriendResponse},
};

use super::{
    app::{ChatApp, unavailable},
    service::{own_uid, short_text},
    wire,
};
use crate::{Context, Reply, cluster::PeerEvent, store::ApproveError};

pub(super) async fn approve_friend(
    cx: Context<ChatApp>,
    request: ApproveFriendRequest,
) -> Result<Reply<ApproveFriendResponse>, ErrorCode> {
    let me = own_uid(&cx, request.from)?;
    short_text(&request.remark)?;
    let applicant = cx.profile(request.applicant).await.map_err(unavailable("reading a profile"))?;
    let applicant = applicant.ok_or(ErrorCode::UID_INVALID)?;
    let approver = cx.profile(me).await.map_err(unavailable("reading a profile"))?.ok_or(ErrorCode::UID_INVALID)?;
    let approval = match cx.stores.contacts.approve(me, applicant.uid, &request.remark).await {
        Ok(approval) => approval,
        Err(ApproveError::NoApplication) => return Err(ErrorCode::NO_APPLICATION),
        Err(ApproveError::Store(error)) => return Err(unavailable("approving an application")(error)),
    };
    // The applicant may answer before this answer has left, which tells of the conversation.
    cx.hold_pushes();
    cx.state().texts.introduce(approval.texts.first().map(|first| first.thread));
    cx.delivery.texts.show(cx.session(), &approval.texts);
    cx.state().texts.mark_rest(cx.session());
    if approval.first {
        let event = PeerEvent::FriendApproved { approver, texts: approval.texts.clone() };
        cx.delivery.tell(cx.sessions(), applicant.uid, event).await;
    }
    Ok(Reply::Now(ApproveFriendResponse {
        error: ErrorCode::SUCCESS,
        uid: applicant.uid,
        name: applicant.name,
        nick: applicant.nick,
        icon: applicant.icon,
        sex: applicant.sex,
        chat_datas: approval.texts.into_iter().map(wire::greeting).collect(),
    }))
}
