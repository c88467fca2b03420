//! The handle of a session.

use std::io;
use std::sync::{Arc, OnceLock, Weak};

use bytes::{Bytes, BytesMut};
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::timeout;
use uschat_proto::chat::{
    AddFriendRequest, Application, ApproveFriendNotice, ApproveFriendRequest, ApproveFriendResponse, Fingerprint,
    Friend, GreetingText, Profile, SearchUserRequest, TextChatRequest, ThreadId, UserId,
};
use uschat_proto::{ErrorCode, Message, PayloadError, Request};

use crate::config::ChatConfig;
use crate::connection::{self, Command, Link, Waiting};
use crate::error::{ConnectError, DisconnectReason, RequestError};
use crate::event::Events;
use crate::messenger;
use crate::text::{Sent, Text, check_limits};
use crate::ticket::Ticket;

/// A logged-in session. Cheap to clone; every clone speaks for the same session.
///
/// Calls may run side by side: what clones send at the same time leaves in few writes. Every call ends within
/// [`ChatConfig::request_deadline`]. The session ends by [`Chat::close`], when the last handle is dropped, or when the
/// connection ends ([`Event::Disconnected`](crate::Event::Disconnected)).
///
/// # Cancel safety
/// A call whose future is dropped may or may not be carried out. For texts that does not matter: send the same
/// [`Text`] again.
#[derive(Debug, Clone)]
pub struct Chat {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    link: Link,
    config: ChatConfig,
    profile: Profile,
    email: String,
    friends: Vec<Friend>,
    applications: Vec<Application>,
    /// Keeps count of the texts that calls are told of.
    messenger: OnceLock<Weak<messenger::Shared>>,
}

impl Chat {
    /// Connects to the chat server of `ticket` over TCP and logs in.
    ///
    /// # Errors
    /// See [`ConnectError`]. Nothing is left running.
    pub async fn connect(ticket: &Ticket, config: ChatConfig) -> Result<(Self, Events), ConnectError> {
        Self::connect_by(open_tcp(ticket), ticket, config).await
    }

    /// Logs in over the connection that `opening` gives, if it does so in time.
    pub(crate) async fn connect_by<S>(
        opening: impl Future<Output = io::Result<S>>,
        ticket: &Ticket,
        config: ChatConfig,
    ) -> Result<(Self, Events), ConnectError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let after = config.connect_deadline;
        let stream = timeout(after, opening)
            .await
            .map_err(|_| ConnectError::TimedOut { step: "connecting", after })?
            .map_err(|source| ConnectError::Unreachable { address: ticket.address(), source })?;
        Self::connect_over(stream, ticket, config).await
    }

    /// Logs in over a connection that is open already: TLS, a tunnel, a pipe in a test.
    ///
    /// # Errors
    /// As [`Chat::connect`], without the steps it does not do.
    pub async fn connect_over<S>(stream: S, ticket: &Ticket, config: ChatConfig) -> Result<(Self, Events), ConnectError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (login, link, events) = connection::open(stream, ticket, &config).await?;
        let shared = Shared {
            link,
            config,
            profile: login.profile,
            email: login.email,
            friends: login.friend_list,
            applications: login.apply_list,
            messenger: OnceLock::new(),
        };
        Ok((Self { shared: Arc::new(shared) }, events))
    }

    /// The user's own profile, as it was at the login.
    #[must_use]
    pub fn profile(&self) -> &Profile {
        &self.shared.profile
    }

    /// The user's own e-mail address.
    #[must_use]
    pub fn email(&self) -> &str {
        &self.shared.email
    }

    /// All friends, as they were at the login. Later ones come from [`Chat::approve_friend`] and
    /// [`Event::FriendApproved`](crate::Event::FriendApproved).
    #[must_use]
    pub fn friends(&self) -> &[Friend] {
        &self.shared.friends
    }

    /// Applications to this user, as they were at the login, oldest first. Later ones come as
    /// [`Event::FriendApplied`](crate::Event::FriendApplied).
    #[must_use]
    pub fn applications(&self) -> &[Application] {
        &self.shared.applications
    }

    /// Looks a user up: digits mean a uid, anything else an exact name. `None` if there is no such user.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn search(&self, uid_or_name: &str) -> Result<Option<Profile>, RequestError> {
        match self.call(&SearchUserRequest { uid: uid_or_name.into() }, None).await {
            Ok(response) => Ok(Some(response.profile)),
            Err(RequestError::Refused(ErrorCode::UID_INVALID)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Asks `uid` to become a friend. `introduction` is shown to them; `remark` is what this user wants to call them. Each
    /// has at most 255 characters.
    ///
    /// # Errors
    /// [`RequestError::Refused`] with [`ErrorCode::UID_INVALID`] if there is no such user, or another code; else see
    /// [`RequestError`].
    pub async fn add_friend(&self, uid: UserId, introduction: &str, remark: &str) -> Result<(), RequestError> {
        let request = AddFriendRequest {
            from: Some(self.uid()),
            introduction: introduction.into(),
            remark: remark.into(),
            to: uid,
        };
        self.call(&request, None).await?;
        Ok(())
    }

    /// Accepts the application of `uid`. `remark` is what this user wants to call them, at most 255 characters.
    ///
    /// # Errors
    /// [`RequestError::Refused`] with [`ErrorCode::NO_APPLICATION`] if they never applied, or another code; else see
    /// [`RequestError`].
    pub async fn approve_friend(&self, uid: UserId, remark: &str) -> Result<NewFriend, RequestError> {
        let request = ApproveFriendRequest { from: Some(self.uid()), applicant: uid, remark: remark.into() };
        let approval = self.messenger().map(|messenger| messenger.approve(self.clone()));
        let answer = self.call(&request, None).await.map(NewFriend::from);
        match (answer, approval) {
            (Ok(mut friend), Some(approval)) => {
                approval.granted(&mut friend);
                Ok(friend)
            }
            (Err(RequestError::Refused(code)), Some(approval)) => {
                approval.refused();
                Err(RequestError::Refused(code))
            }
            (answer, _) => answer,
        }
    }

    /// Sends one text to a friend, under a new client message id. Returns when the server has stored it.
    ///
    /// To be able to retry without sending twice, keep a [`Text`] and use [`Chat::send_texts`].
    ///
    /// # Errors
    /// As [`Chat::send_texts`].
    pub async fn send_text(&self, uid: UserId, content: &str) -> Result<Sent, RequestError> {
        let sent = self.send_texts(uid, &[Text::new(content)]).await?;
        sent.into_iter().next().ok_or_else(|| PayloadError::new("no text in the answer").into())
    }

    /// Sends texts to a friend, all of them or none, and returns when the server has stored them: one [`Sent`] per text,
    /// in the same order. No texts are sent as nothing.
    ///
    /// A server stores a [`Text`] once, however often it is sent, so after [`RequestError::TimedOut`] or
    /// [`RequestError::Disconnected`] the same texts may be sent again; those stored before answer as they did then. More
    /// than [`limits::MAX_TEXTS`](crate::limits::MAX_TEXTS) are refused, not divided: two requests could not be all or nothing.
    ///
    /// Calls that are awaited one after another are stored in that order; calls that run side by side in any.
    ///
    /// # Errors
    /// [`RequestError::TooManyTexts`], [`RequestError::TextsTooLong`], [`RequestError::InvalidClientId`] and
    /// [`RequestError::BodyTooLong`] before anything is sent; [`RequestError::Refused`] with [`ErrorCode::NOT_FRIENDS`],
    /// [`ErrorCode::CLIENT_ID_REUSED`] or another code; else see [`RequestError`].
    pub async fn send_texts(&self, uid: UserId, texts: &[Text]) -> Result<Vec<Sent>, RequestError> {
        let Some(first) = texts.first() else { return Ok(Vec::new()) };
        check_limits(texts)?;
        let request = TextChatRequest {
            from: Some(self.uid()),
            to: uid,
            thread_id: None,
            texts: texts.iter().map(Text::to_item).collect(),
        };
        let response = self.call(&request, Some(first.client_id.clone())).await?;
        let thread_id = response.thread_id.ok_or_else(|| PayloadError::new("thread_id is missing"))?;
        let stored = response.chat_datas.unwrap_or_default();
        if let Some(messenger) = self.messenger() {
            for text in &stored {
                let fingerprint = Fingerprint::of(text.message_id, self.uid(), &text.content);
                messenger.acknowledged(thread_id, text.seq, fingerprint);
            }
        }
        texts.iter().map(|text| text.find_in(&stored, thread_id)).collect()
    }

    /// Ends the session: takes no further calls, waits up to [`ChatConfig::close_deadline`] until everything sent was
    /// answered, and closes the connection. Returns when that is done, also when the session had ended before.
    ///
    /// Cancel safe: once called, the session closes even if the future is dropped.
    pub async fn close(&self) {
        self.shared.link.closing.cancel();
        // An error means that the task is gone, with the runtime it ran on.
        let _ = self.shared.link.ended.clone().wait_for(Option::is_some).await;
    }

    fn uid(&self) -> UserId {
        self.shared.profile.uid
    }

    /// Tells a messenger what calls on this session are told.
    pub(crate) fn watch(&self, messenger: &Arc<messenger::Shared>) {
        let _ = self.shared.messenger.set(Arc::downgrade(messenger));
    }

    fn messenger(&self) -> Option<Arc<messenger::Shared>> {
        self.shared.messenger.get()?.upgrade()
    }

    pub(crate) fn link(&self) -> &Link {
        &self.shared.link
    }

    /// Ends the session without waiting for anything.
    pub(crate) fn abort(&self) {
        self.shared.link.abort.cancel();
    }

    /// Sends `request` and waits for its answer.
    pub(crate) async fn call<R: Request>(
        &self,
        request: &R,
        client_id: Option<String>,
    ) -> Result<R::Response, RequestError> {
        #[derive(Deserialize)]
        struct ReplyStatus {
            error: ErrorCode,
        }
        let frame = encode(request, &self.shared.config)?;
        let (answer, answered) = oneshot::channel();
        let command = Command { frame, response: R::Response::ID, waiting: Waiting { client_id, answer } };
        let exchange = async {
            self.shared.link.commands.send(command).await.map_err(|_| self.disconnected())?;
            answered.await.map_err(|_| self.disconnected())
        };
        let after = self.shared.config.request_deadline;
        let body = timeout(after, exchange).await.map_err(|_| RequestError::TimedOut { after })??;
        // A refusal has no other key, so it cannot be read as the response.
        let ReplyStatus { error } = serde_json::from_slice(&body).map_err(PayloadError::new)?;
        if error.is_success() { Ok(R::Response::from_body(&body)?) } else { Err(RequestError::Refused(error)) }
    }

    fn disconnected(&self) -> RequestError {
        let reason = self.shared.link.ended.borrow().clone();
        // Without a reason the session is closing, and the task still waits for earlier calls.
        RequestError::Disconnected(reason.unwrap_or(DisconnectReason::Closed))
    }
}

/// A connection to the chat server of `ticket`.
pub(crate) async fn open_tcp(ticket: &Ticket) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((ticket.chat_host.as_str(), ticket.chat_port)).await?;
    // Frames are gathered before they are written, so waiting for more would only delay them.
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Header and body of `request`, unless they are too long.
pub(crate) fn encode<R: Request>(request: &R, config: &ChatConfig) -> Result<Bytes, RequestError> {
    let body = request.to_body()?;
    let (len, max) = (body.len(), config.max_request_body.min(uschat_wire::MAX_BODY_LEN));
    if len > max {
        return Err(RequestError::BodyTooLong { len, max });
    }
    let mut frame = BytesMut::new();
    uschat_wire::encode(R::ID.0, &body, &mut frame).map_err(|_| RequestError::BodyTooLong { len, max })?;
    Ok(frame.freeze())
}

/// Somebody who has just become a friend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewFriend {
    /// Who. The line about themselves is not sent here.
    pub profile: Profile,
    /// The conversation with them, if the server told it.
    pub thread_id: Option<ThreadId>,
    /// The texts it starts with.
    pub greetings: Vec<GreetingText>,
}

impl NewFriend {
    fn new(profile: Profile, greetings: Vec<GreetingText>) -> Self {
        Self { profile, thread_id: greetings.first().map(|text| text.thread_id), greetings }
    }
}

impl From<ApproveFriendResponse> for NewFriend {
    fn from(response: ApproveFriendResponse) -> Self {
        let ApproveFriendResponse { uid, name, nick, icon, sex, chat_datas, .. } = response;
        Self::new(Profile { uid, name, nick, icon, sex, desc: String::new() }, chat_datas)
    }
}

impl From<ApproveFriendNotice> for NewFriend {
    fn from(notice: ApproveFriendNotice) -> Self {
        let ApproveFriendNotice { approver: uid, name, nick, icon, sex, chat_datas, .. } = notice;
        Self::new(Profile { uid, name, nick, icon, sex, desc: String::new() }, chat_datas)
    }
}
