//! `message.ChatService` as the first-season servers call it: an original peer tells something to a user of ours.
//! PROTOCOL.md, "Beside original servers".

use std::sync::Arc;

use async_trait::async_trait;
use tonic::{Request, Response, Status};
use uschat_proto::{
    ErrorCode,
    chat::{Profile, TextItem, UserId},
    grpc::s1::{self, chat_service_server::ChatService},
};

use super::{
    app::{ChatApp, unavailable},
    delivery::LocalSessions,
    text::{check, code_of, new_text, now},
};
use crate::{
    cluster::{LocalDelivery, PeerEvent},
    session::Sessions,
    store::{NOW_FRIENDS, NewText, NewTexts, StoredTexts},
};

/// Hands what original peers say to the sessions of this server.
pub(super) struct Originals {
    pub(super) app: Arc<ChatApp>,
    pub(super) sessions: Sessions<ChatApp>,
}

impl Originals {
    fn deliver(&self, to: UserId, event: PeerEvent) {
        // Whoever is not here finds it in the store.
        LocalSessions(self.sessions.clone()).deliver(to, event);
    }

    /// Texts of an original's user are stored, numbered and deduplicated on arrival like anyone's.
    async fn store(&self, sender: UserId, receiver: UserId, texts: Vec<NewText>) -> Result<StoredTexts, ErrorCode> {
        let request = NewTexts { sender, receiver, thread: None, texts, sent_at: now() };
        self.app.stores.conversations.submit(request).await.map_err(code_of)
    }

    async fn said(&self, sender: UserId, receiver: UserId, texts: &[TextItem]) -> Result<(), ErrorCode> {
        check(texts)?;
        if texts.is_empty() {
            // A later dialect's request looks like this one without texts: what it carried must not count as delivered.
            return Err(ErrorCode::INVALID_PAYLOAD);
        }
        let stored = self.store(sender, receiver, texts.iter().map(new_text).collect()).await?;
        let texts = stored.fresh_texts();
        if !texts.is_empty() {
            self.deliver(receiver, PeerEvent::Texts { sender, thread: stored.thread, texts });
        }
        Ok(())
    }

    async fn approved(&self, approver: UserId, applicant: UserId) -> Result<(), ErrorCode> {
        let profile = self.app.profile(approver).await.map_err(unavailable("reading a profile"))?;
        let profile = profile.ok_or(ErrorCode::UID_INVALID)?;
        // A client id of ours makes the line a single one however often the peer says so.
        let client_id = Some(format!("friends-{approver}-{applicant}"));
        let line = NewText { client_id, content: NOW_FRIENDS.into() };
        let stored = self.store(approver, applicant, vec![line]).await?;
        self.deliver(applicant, PeerEvent::FriendApproved { approver: profile, texts: stored.texts });
        Ok(())
    }
}

#[async_trait]
impl ChatService for Originals {
    async fn notify_add_friend(
        &self,
        request: Request<s1::AddFriendReq>,
    ) -> Result<Response<s1::AddFriendRsp>, Status> {
        let request = request.into_inner();
        let applicant = Profile {
            uid: UserId(request.applyuid),
            name: request.name.clone(),
            nick: request.nick,
            desc: String::new(),
            sex: request.sex,
            icon: request.icon,
        };
        self.deliver(UserId(request.touid), PeerEvent::FriendApplied { applicant, introduction: request.name });
        Ok(Response::new(s1::AddFriendRsp { error: 0, applyuid: request.applyuid, touid: request.touid }))
    }

    async fn notify_auth_friend(
        &self,
        request: Request<s1::AuthFriendReq>,
    ) -> Result<Response<s1::AuthFriendRsp>, Status> {
        let s1::AuthFriendReq { fromuid, touid } = request.into_inner();
        let outcome = self.approved(UserId(fromuid), UserId(touid)).await;
        Ok(Response::new(s1::AuthFriendRsp { error: number(outcome), fromuid, touid }))
    }

    async fn notify_text_chat_msg(
        &self,
        request: Request<s1::TextChatMsgReq>,
    ) -> Result<Response<s1::TextChatMsgRsp>, Status> {
        let s1::TextChatMsgReq { fromuid, touid, textmsgs } = request.into_inner();
        let (sender, receiver) = (UserId(fromuid), UserId(touid));
        let texts: Vec<_> = textmsgs
            .iter()
            .map(|text| TextItem { content: text.msgcontent.clone(), msgid: Some(text.msgid.clone()), unique_id: None })
            .collect();
        let outcome = self.said(sender, receiver, &texts).await;
        Ok(Response::new(s1::TextChatMsgRsp { error: number(outcome), fromuid, touid, textmsgs }))
    }

    async fn rply_add_friend(&self, _: Request<s1::RplyFriendReq>) -> Result<Response<s1::RplyFriendRsp>, Status> {
        Err(Status::unimplemented("no original server calls this"))
    }

    async fn send_chat_msg(&self, _: Request<s1::SendChatMsgReq>) -> Result<Response<s1::SendChatMsgRsp>, Status> {
        Err(Status::unimplemented("no original server calls this"))
    }
}

fn number(outcome: Result<(), ErrorCode>) -> i32 {
    outcome.err().unwrap_or_default().0
}
