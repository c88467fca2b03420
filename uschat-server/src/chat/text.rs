//! 1017/1018/1019. PROTOCOL.md, "Texts".

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::timeout;
use uschat_proto::{
    ErrorCode,
    chat::{TextChatRequest, TextChatResponse, TextEcho, TextItem, UserId, limits},
};
use uschat_wire::MAX_BODY_LEN;

use super::{
    app::{ChatApp, unavailable},
    service::own_uid,
    wire,
};
use crate::{
    Context, Reply,
    cluster::PeerEvent,
    session::CloseReason,
    store::{NewText, NewTexts, StoreError, StoredTexts, SubmitError, UnixMillis},
};

/// How long a text may wait for a place in front of the store, which has as long itself to store it.
const SEND_DEADLINE: Duration = Duration::from_secs(5);

/// Hands the texts to the store before it returns, which fixes their order; the answer leaves after the commit.
///
/// What fails for a reason that may pass is refused together with everything behind it, and the session ends: nothing is
/// stored without what was said before it, and the client sends everything again in order.
pub(super) async fn text_chat(
    cx: Context<ChatApp>,
    request: TextChatRequest,
) -> Result<Reply<TextChatResponse>, ErrorCode> {
    let me = own_uid(&cx, request.from)?;
    if let Err(code) = check(&request.texts) {
        return Ok(Reply::Now(refused(code, me, request.to, &request.texts)));
    }
    if request.texts.is_empty() {
        // First-season clients end every message box with one.
        return Ok(Reply::Now(TextChatResponse {
            thread_id: request.thread_id,
            chat_datas: Some(Vec::new()),
            ..refused(ErrorCode::SUCCESS, me, request.to, &[])
        }));
    }
    let chain = cx.state().chain();
    if chain.is_broken() {
        return Ok(Reply::Now(refused(ErrorCode::UNAVAILABLE, me, request.to, &request.texts)));
    }
    let Ok(place) = timeout(SEND_DEADLINE, cx.stores.conversations.place()).await else {
        end_behind(&cx);
        return Ok(Reply::Now(refused(ErrorCode::OVERLOADED, me, request.to, &request.texts)));
    };
    cx.state().texts.hand_over();
    let receipt = place.submit(NewTexts {
        sender: me,
        receiver: request.to,
        thread: request.thread_id.filter(|thread| thread.0 != 0),
        texts: request.texts.iter().map(new_text).collect(),
        sent_at: now(),
        chain: chain.clone(),
    });
    Ok(Reply::later(async move {
        let outcome = receipt.await;
        cx.delivery.texts.answer(cx.session(), outcome.as_ref().ok());
        let stored = match outcome {
            Ok(stored) => stored,
            Err(error) => {
                if may_pass(&error) {
                    end_behind(&cx);
                }
                return Ok(refused(code_of(error), me, request.to, &request.texts));
            }
        };
        tell_receiver(&cx, me, request.to, &stored);
        Ok(wire::texts(me, request.to, stored.thread, &stored.texts, cx.state().arrays()))
    }))
}

/// Stores nothing more of this session and ends it, behind the answers to what it asked for.
fn end_behind(cx: &Context<ChatApp>) {
    cx.state().chain().break_off();
    cx.session().close(CloseReason::Application("texts could not be stored"));
}

/// One live 1019 for what this request stored; a retry that stored nothing tells nobody again.
fn tell_receiver(cx: &Context<ChatApp>, me: UserId, receiver: UserId, stored: &StoredTexts) {
    let texts = stored.fresh_texts();
    if !texts.is_empty() {
        let event = PeerEvent::Texts { sender: me, thread: stored.thread, texts };
        cx.delivery.hint(receiver, event);
    }
}

pub(super) fn check(texts: &[TextItem]) -> Result<(), ErrorCode> {
    let content: usize = texts.iter().map(|text| text.content.len()).sum();
    // What is stored must also fit the frames that tell of it, however much of it JSON has to escape.
    let told =
        wire::frame_bound(texts.iter().map(|text| (text.content.as_str(), text.client_id().unwrap_or_default())));
    if texts.len() > limits::MAX_TEXTS || content > limits::MAX_CONTENT || told > MAX_BODY_LEN {
        return Err(ErrorCode::TOO_LARGE);
    }
    let has_long_id = texts.iter().filter_map(TextItem::client_id).any(|id| id.len() > limits::MAX_CLIENT_ID);
    if has_long_id { Err(ErrorCode::INVALID_FIELD) } else { Ok(()) }
}

pub(super) fn new_text(item: &TextItem) -> NewText {
    NewText { client_id: item.client_id().map(Into::into), content: item.content.clone() }
}

/// A refusal that says which texts it is about.
fn refused(error: ErrorCode, from: UserId, to: UserId, texts: &[TextItem]) -> TextChatResponse {
    if !error.is_success() {
        metrics::counter!("uschat_requests_refused_total", "error" => error.to_string()).increment(1);
    }
    let echo = |item: &TextItem| TextEcho {
        content: item.content.clone(),
        msgid: item.client_id().unwrap_or_default().into(),
    };
    TextChatResponse {
        error,
        from,
        to,
        thread_id: None,
        texts: Some(texts.iter().map(echo).collect()),
        chat_datas: None,
    }
}

fn may_pass(error: &SubmitError) -> bool {
    use SubmitError::{Behind, Overloaded, Store};
    matches!(error, Overloaded | Behind | Store(StoreError::Unavailable(_)))
}

pub(super) fn code_of(error: SubmitError) -> ErrorCode {
    match error {
        SubmitError::NotFriends => ErrorCode::NOT_FRIENDS,
        SubmitError::NotAMember => ErrorCode::NOT_A_MEMBER,
        SubmitError::ClientIdReused => ErrorCode::CLIENT_ID_REUSED,
        SubmitError::Overloaded => ErrorCode::OVERLOADED,
        SubmitError::Behind => ErrorCode::UNAVAILABLE,
        SubmitError::Store(error @ StoreError::Corrupt(_)) => {
            tracing::error!(%error, "the database refuses a text");
            ErrorCode::NOT_STORABLE
        }
        SubmitError::Store(error) => unavailable("storing texts")(error),
    }
}

pub(super) fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis::try_from(since.as_millis()).unwrap_or(UnixMillis::MAX)
}
