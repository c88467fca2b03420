//! 1029/1030. PROTOCOL.md, "Conversations and history".

use uschat_proto::{
    ErrorCode,
    chat::{LoadHistoryRequest, LoadHistoryResponse},
};
use uschat_wire::MAX_BODY_LEN;

use super::{
    app::{ChatApp, unavailable},
    service::own_uid,
    wire,
};
use crate::{Context, Reply};

/// What existing clients expect of a page; they ask on until there is no more.
const PAGE: usize = 10;

/// Deferred, so that it sees every text this session sent before.
pub(super) async fn load_history(
    cx: Context<ChatApp>,
    request: LoadHistoryRequest,
) -> Result<Reply<LoadHistoryResponse>, ErrorCode> {
    let me = own_uid(&cx, None)?;
    Ok(Reply::later(async move {
        let conversations = &cx.stores.conversations;
        let thread_id = request.thread_id;
        let users = conversations.participants(thread_id).await.map_err(unavailable("reading a conversation"))?;
        let users = users.filter(|users| users.contains(&me)).ok_or(ErrorCode::NOT_A_MEMBER)?;
        let texts = conversations.history(thread_id, request.after, PAGE + 1).await;
        let mut texts = texts.map_err(unavailable("reading texts"))?;
        let fit = wire::fitting_history(&texts, MAX_BODY_LEN).min(PAGE);
        let load_more = texts.len() > fit;
        texts.truncate(fit);
        Ok(LoadHistoryResponse {
            error: ErrorCode::SUCCESS,
            thread_id,
            last_message_id: texts.last().map_or(request.after, |last| last.key),
            load_more,
            chat_datas: texts.into_iter().map(|text| wire::history_text(text, users)).collect(),
        })
    }))
}
