//! 1029/1030. PROTOCOL.md, "Conversations and history".

use uschat_proto::{
    ErrorCode,
    chat::{LoadHistoryRequest, LoadHistoryResponse, UserId},
};
use uschat_wire::MAX_BODY_LEN;

use super::{
    app::{ChatApp, unavailable},
    service::own_uid,
    wire,
};
use crate::{Context, Reply, store::StoredText};

/// What existing clients expect of a page; they ask on until there is no more.
const PAGE: usize = 10;

/// Deferred, so that it sees every text this session sent before.
pub(super) async fn load_history(
    cx: Context<ChatApp>,
    request: LoadHistoryRequest,
) -> Result<Reply<LoadHistoryResponse>, ErrorCode> {
    let me = own_uid(&cx, None)?;
    cx.state().texts.load_texts();
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
        if cx.state().texts.is_loading() {
            serve(&cx, &request, me, &texts, load_more).await?;
        }
        Ok(LoadHistoryResponse {
            error: ErrorCode::SUCCESS,
            thread_id,
            last_message_id: texts.last().map_or(request.after, |last| last.key),
            load_more,
            chat_datas: texts.into_iter().map(|text| wire::history_text(text, users)).collect(),
        })
    }))
}

/// What a client loads itself it need not be told: everything up to the end of this page.
async fn serve(
    cx: &Context<ChatApp>,
    request: &LoadHistoryRequest,
    me: UserId,
    page: &[StoredText],
    load_more: bool,
) -> Result<(), ErrorCode> {
    let thread = request.thread_id;
    let seq = match page.last() {
        Some(last) => last.seq,
        None => match head_up_to(cx, request, me).await? {
            Some(head) => head,
            // Something came up meanwhile. The client will be told, behind what was delivered before.
            None => return Ok(()),
        },
    };
    cx.hold_pushes();
    cx.delivery.texts.serve(cx.session(), thread, seq, !load_more);
    Ok(())
}

/// The number of the conversation's last text, if it is none behind the one that the client has.
async fn head_up_to(cx: &Context<ChatApp>, request: &LoadHistoryRequest, me: UserId) -> Result<Option<i64>, ErrorCode> {
    let conversations = &cx.stores.conversations;
    let standings = conversations.standings(me, &[request.thread_id]).await;
    let standings = standings.map_err(unavailable("reading where a user stands"))?;
    let newer = conversations.history(request.thread_id, request.after, 1).await;
    let newer = newer.map_err(unavailable("reading texts"))?;
    Ok(standings.first().map(|standing| standing.head).filter(|_| newer.is_empty()))
}
