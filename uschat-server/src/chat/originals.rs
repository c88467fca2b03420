//! What original servers tell our users over `message.ChatService`.
//! PROTOCOL.md, "Beside original servers".

use std::{future::Future, sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::{sync::Semaphore, time::timeout};
use tonic::{Request, Response, Status};
use uschat_proto::{
    ErrorCode,
    chat::{MessageKey, Profile, TextItem, ThreadId, UserId},
    grpc::{
        m::{self, chat_service_server::ChatService},
        s1,
    },
};

use super::{
    app::{ChatApp, unavailable},
    delivery::replace,
    text::{check, code_of, new_text, now},
};
use crate::{
    cluster::PeerEvent,
    connection_tasks::Tasks,
    session::Sessions,
    store::{Chain, NOW_FRIENDS, NewText, NewTexts, StoredText, StoredTexts},
};

/// How long an original waits for an answer. It sets no deadline itself, and calls from the one thread that serves all of its
/// users: a store that hangs here must not hang them for ever.
const ANSWER: Duration = Duration::from_secs(5);
/// How long the work may go on after that: what is stored late is still told.
const FINISH: Duration = Duration::from_secs(30);
/// Calls that are worked on at one time. Each original makes one after the other.
const AT_A_TIME: usize = 256;
/// Texts read to find those that a later server says it has stored.
const READ_BACK: usize = 256;

/// Hands what original peers say to the sessions of this server.
#[derive(Clone)]
pub(super) struct Originals {
    app: Arc<ChatApp>,
    sessions: Sessions<ChatApp>,
    at_work: Arc<Semaphore>,
    tasks: Tasks,
}

impl Originals {
    /// `tasks` are those of the server it is called through, which drains them.
    pub(super) fn new(app: Arc<ChatApp>, sessions: Sessions<ChatApp>, tasks: Tasks) -> Self {
        Self { app, sessions, at_work: Arc::new(Semaphore::new(AT_A_TIME)), tasks }
    }

    /// The `error` of a reply, within the deadline. The work goes on without whoever called: texts that were stored are to
    /// reach their receiver also when the caller died, or would not wait.
    async fn error(&self, work: impl Future<Output = Result<(), ErrorCode>> + Send + 'static) -> i32 {
        let Ok(permit) = self.at_work.clone().try_acquire_owned() else { return ErrorCode::OVERLOADED.0 };
        let work = async move {
            let _permit = permit;
            timeout(FINISH, work).await.unwrap_or(Err(ErrorCode::UNAVAILABLE))
        };
        let work = self.tasks.running.spawn(self.tasks.abort.clone().run_until_cancelled_owned(work));
        let outcome = match timeout(ANSWER, work).await {
            Ok(Ok(Some(outcome))) => outcome,
            _ => {
                tracing::error!("what an original server said could not be dealt with in time");
                Err(ErrorCode::UNAVAILABLE)
            }
        };
        outcome.err().unwrap_or_default().0
    }

    /// Whoever is nowhere finds it in the store.
    async fn tell(&self, to: UserId, event: PeerEvent) {
        self.app.delivery.tell_here(&self.sessions, to, event).await;
    }

    /// Texts of an original's user are stored, numbered and deduplicated on arrival like anyone's.
    async fn store(&self, sender: UserId, receiver: UserId, texts: Vec<NewText>) -> Result<StoredTexts, ErrorCode> {
        let request = NewTexts { sender, receiver, thread: None, texts, sent_at: now(), chain: Chain::default() };
        self.app.stores.conversations.submit(request).await.map_err(code_of)
    }

    /// Texts of a first-season server, which stores none.
    pub(super) async fn said(&self, said: s1::TextChatMsgReq) -> s1::TextChatMsgRsp {
        let s1::TextChatMsgReq { fromuid, touid, textmsgs } = said;
        let texts = textmsgs.iter().map(|text| item(&text.msgid, &text.msgcontent)).collect();
        let error = self.error(self.clone().store_and_tell(UserId(fromuid), UserId(touid), texts)).await;
        s1::TextChatMsgRsp { error, fromuid, touid, textmsgs }
    }

    /// Texts of a later server, which has stored them.
    pub(super) async fn said_later(&self, said: m::TextChatMsgReq) -> m::TextChatMsgRsp {
        let m::TextChatMsgReq { fromuid, touid, thread_id, textmsgs } = said;
        let (sender, receiver, thread) = (UserId(fromuid), UserId(touid), ThreadId(thread_id.into()));
        // It says 0 when its own statement failed: nobody has the text but us.
        let lost = textmsgs.iter().filter(|text| text.msg_id <= 0);
        let lost: Vec<_> = lost.map(|text| item(&text.unique_id, &text.msgcontent)).collect();
        let keys = textmsgs.iter().filter(|text| text.msg_id > 0).map(|text| MessageKey(text.msg_id.into())).collect();
        let originals = self.clone();
        let work = async move {
            let texts = originals.stored_there(thread, [sender, receiver], keys).await?;
            if !texts.is_empty() {
                originals.tell(receiver, PeerEvent::Texts { sender, thread, texts }).await;
            } else if lost.is_empty() {
                return Err(ErrorCode::INVALID_PAYLOAD);
            }
            if lost.is_empty() { Ok(()) } else { originals.store_and_tell(sender, receiver, lost).await }
        };
        let error = self.error(work).await;
        m::TextChatMsgRsp { error, fromuid, touid, thread_id, textmsgs }
    }

    /// What an original stored, as the database has it: the store decides, never what is said about it. Reading gives the
    /// texts their numbers.
    async fn stored_there(
        &self,
        thread: ThreadId,
        users: [UserId; 2],
        keys: Vec<MessageKey>,
    ) -> Result<Vec<StoredText>, ErrorCode> {
        let Some(first) = keys.iter().min() else { return Ok(Vec::new()) };
        let conversations = &self.app.stores.conversations;
        let members = conversations.participants(thread).await.map_err(unavailable("reading a conversation"))?;
        let members = members.filter(|members| users.iter().all(|user| members.contains(user)));
        members.ok_or(ErrorCode::NOT_A_MEMBER)?;
        let texts = conversations.history(thread, MessageKey(first.0 - 1), READ_BACK).await;
        let mut texts = texts.map_err(unavailable("reading texts"))?;
        texts.retain(|text| keys.contains(&text.key));
        Ok(texts)
    }

    async fn store_and_tell(self, sender: UserId, receiver: UserId, texts: Vec<TextItem>) -> Result<(), ErrorCode> {
        check(&texts)?;
        if texts.is_empty() {
            return Err(ErrorCode::INVALID_PAYLOAD);
        }
        let stored = self.store(sender, receiver, texts.iter().map(new_text).collect()).await?;
        let texts = stored.fresh_texts();
        if !texts.is_empty() {
            self.tell(receiver, PeerEvent::Texts { sender, thread: stored.thread, texts }).await;
        }
        Ok(())
    }

    /// `said` are the texts of the approval that a later server has stored.
    async fn approved(self, approver: UserId, applicant: UserId, said: Vec<m::AddFriendMsg>) -> Result<(), ErrorCode> {
        let profile = self.app.profile(approver).await.map_err(unavailable("reading a profile"))?;
        let profile = profile.ok_or(ErrorCode::UID_INVALID)?;
        let thread = said.first().map_or(0, |text| text.thread_id);
        let keys = said.iter().filter(|text| text.msg_id > 0).map(|text| MessageKey(text.msg_id.into())).collect();
        let mut texts = self.stored_there(ThreadId(thread.into()), [approver, applicant], keys).await?;
        if texts.is_empty() {
            // A client id of ours makes the line a single one however often the peer says so.
            let client_id = Some(format!("friends-{approver}-{applicant}"));
            let line = NewText { client_id, content: NOW_FRIENDS.into() };
            texts = self.store(approver, applicant, vec![line]).await?.texts;
        }
        self.tell(applicant, PeerEvent::FriendApproved { approver: profile, texts }).await;
        Ok(())
    }

    async fn applied(self, to: UserId, applicant: Profile, introduction: String) -> Result<(), ErrorCode> {
        self.tell(to, PeerEvent::FriendApplied { applicant, introduction }).await;
        Ok(())
    }
}

#[async_trait]
impl ChatService for Originals {
    /// The first season says the introduction as the name, and nothing in `desc`.
    async fn notify_add_friend(&self, request: Request<m::AddFriendReq>) -> Result<Response<m::AddFriendRsp>, Status> {
        let request = request.into_inner();
        let (applyuid, touid) = (request.applyuid, request.touid);
        let introduction = if request.desc.is_empty() { request.name.clone() } else { request.desc };
        let applicant = Profile {
            uid: UserId(applyuid),
            name: request.name,
            nick: request.nick,
            desc: String::new(),
            sex: request.sex,
            icon: request.icon,
        };
        let error = self.error(self.clone().applied(UserId(touid), applicant, introduction)).await;
        Ok(Response::new(m::AddFriendRsp { error, applyuid, touid }))
    }

    async fn notify_auth_friend(
        &self,
        request: Request<m::AuthFriendReq>,
    ) -> Result<Response<m::AuthFriendRsp>, Status> {
        let m::AuthFriendReq { fromuid, touid, textmsgs } = request.into_inner();
        let error = self.error(self.clone().approved(UserId(fromuid), UserId(touid), textmsgs)).await;
        Ok(Response::new(m::AuthFriendRsp { error, fromuid, touid }))
    }

    async fn notify_text_chat_msg(
        &self,
        request: Request<m::TextChatMsgReq>,
    ) -> Result<Response<m::TextChatMsgRsp>, Status> {
        Ok(Response::new(self.said_later(request.into_inner()).await))
    }

    async fn notify_kick_user(&self, request: Request<m::KickUserReq>) -> Result<Response<m::KickUserRsp>, Status> {
        let m::KickUserReq { uid } = request.into_inner();
        if let Some(session) = self.sessions.of(&UserId(uid)) {
            replace(&self.sessions, &session);
        }
        Ok(Response::new(m::KickUserRsp { error: ErrorCode::SUCCESS.0, uid }))
    }

    async fn rply_add_friend(&self, _: Request<m::RplyFriendReq>) -> Result<Response<m::RplyFriendRsp>, Status> {
        Err(Status::unimplemented("no original server calls this"))
    }

    async fn send_chat_msg(&self, _: Request<m::SendChatMsgReq>) -> Result<Response<m::SendChatMsgRsp>, Status> {
        Err(Status::unimplemented("no original server calls this"))
    }
}

fn item(id: &str, content: &str) -> TextItem {
    TextItem { content: content.to_owned(), msgid: Some(id.to_owned()), unique_id: None }
}

#[cfg(test)]
mod tests {
    use tokio::{
        sync::{mpsc, oneshot},
        time::Instant,
    };
    use uschat_proto::chat::{MessageKey, ThreadId};

    use super::*;
    use crate::{
        chat::{Chat, ChatConfig, ChatStores},
        store::{
            Conversations, OpenThreadError, Place, PrivateThread, Progress, Receipt, Standing, StoreError, StoredText,
            SubmitError, ThreadHead,
            memory::{MemoryState, MemoryStore},
        },
    };

    type Outcome = oneshot::Sender<Result<StoredTexts, SubmitError>>;

    /// Answers when the test says so.
    struct Hung(mpsc::UnboundedSender<Outcome>);

    #[async_trait]
    impl Conversations for Hung {
        fn submit(&self, _: NewTexts) -> Receipt {
            let (outcome, receipt) = oneshot::channel();
            let _ = self.0.send(outcome);
            Receipt::waiting(receipt)
        }

        async fn history(&self, _: ThreadId, _: MessageKey, _: usize) -> Result<Vec<StoredText>, StoreError> {
            Ok(Vec::new())
        }

        async fn private_thread(&self, _: UserId, _: UserId) -> Result<Option<ThreadId>, StoreError> {
            Ok(None)
        }

        async fn threads(&self, _: UserId, _: ThreadId, _: usize) -> Result<Vec<PrivateThread>, StoreError> {
            Ok(Vec::new())
        }

        async fn participants(&self, _: ThreadId) -> Result<Option<[UserId; 2]>, StoreError> {
            Ok(None)
        }

        async fn open_private(&self, _: UserId, _: UserId) -> Result<ThreadId, OpenThreadError> {
            Err(OpenThreadError::NotFriends)
        }

        async fn place(&self) -> Place {
            let hung = Self(self.0.clone());
            Place::new(move |texts| hung.submit(texts))
        }

        async fn texts_after(&self, _: ThreadId, _: i64, _: usize) -> Result<Vec<StoredText>, StoreError> {
            Ok(Vec::new())
        }

        async fn texts_at(&self, _: &[(ThreadId, i64)]) -> Result<Vec<StoredText>, StoreError> {
            Ok(Vec::new())
        }

        async fn standings(&self, _: UserId, _: &[ThreadId]) -> Result<Vec<Standing>, StoreError> {
            Ok(Vec::new())
        }

        async fn waiting(&self, _: UserId, _: ThreadId, _: usize) -> Result<Vec<Standing>, StoreError> {
            Ok(Vec::new())
        }

        async fn heads_after(&self, _: MessageKey, _: usize) -> Result<Vec<ThreadHead>, StoreError> {
            Ok(Vec::new())
        }

        async fn last_key(&self) -> Result<MessageKey, StoreError> {
            Ok(MessageKey(0))
        }

        async fn record_progress(&self, _: &[Progress]) -> Result<(), StoreError> {
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_hangs_is_an_error_within_the_deadline() {
        let (hung, mut outcomes) = mpsc::unbounded_channel();
        let store = Arc::new(MemoryStore::new());
        let stores = ChatStores {
            accounts: store.clone(),
            contacts: store,
            conversations: Arc::new(Hung(hung)),
            state: Arc::new(MemoryState::new()),
        };
        let originals = Chat::new(ChatConfig::new("ours", "127.0.0.1"), stores).unwrap().originals(Tasks::default());
        let text = s1::TextChatData { msgid: "{1}".into(), msgcontent: "hello".into() };
        let request = s1::TextChatMsgReq { fromuid: 1001, touid: 1002, textmsgs: vec![text] };

        let begun = Instant::now();
        let response = originals.said(request).await;
        assert_eq!((response.error, begun.elapsed()), (ErrorCode::UNAVAILABLE.0, ANSWER));
        assert_eq!(response.textmsgs.len(), 1);

        // The text may still be stored, and somebody is there to tell its receiver; but not for ever.
        let outcome = outcomes.recv().await.unwrap();
        assert!(!outcome.is_closed());
        assert_eq!(originals.at_work.available_permits(), AT_A_TIME - 1);
        tokio::time::sleep_until(begun + FINISH).await;
        let _all = originals.at_work.acquire_many(AT_A_TIME as u32).await.unwrap();
        assert!(outcome.is_closed());
    }
}
