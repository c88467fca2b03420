//! 1025–1028. PROTOCOL.md, "Conversations and history".

use uschat_proto::{
    ErrorCode,
    chat::{LoadThreadsRequest, LoadThreadsResponse, OpenThreadRequest, OpenThreadResponse, Thread},
};

use super::{
    app::{ChatApp, unavailable},
    service::own_uid,
};
use crate::{Context, Reply, store::OpenThreadError};

/// What existing clients expect of a page; they ask on until there is no more.
const PAGE: usize = 10;

/// Only conversations with friends: existing clients know nobody else.
pub(super) async fn load_threads(
    cx: Context<ChatApp>,
    request: LoadThreadsRequest,
) -> Result<Reply<LoadThreadsResponse>, ErrorCode> {
    let me = own_uid(&cx, request.from)?;
    cx.state().texts.load();
    Ok(Reply::later(async move {
        let threads = cx.stores.conversations.threads(me, request.after, PAGE + 1).await;
        let mut threads = threads.map_err(unavailable("reading conversations"))?;
        let load_more = threads.len() > PAGE;
        threads.truncate(PAGE);
        cx.hold_pushes();
        cx.state().texts.introduce(threads.iter().map(|own| own.thread));
        Ok(LoadThreadsResponse {
            error: ErrorCode::SUCCESS,
            uid: me,
            load_more,
            next_last_id: threads.last().map_or(request.after, |last| last.thread),
            threads: threads
                .into_iter()
                .map(|own| Thread {
                    thread_id: own.thread,
                    kind: "private".into(),
                    user1_id: me.min(own.friend),
                    user2_id: me.max(own.friend),
                })
                .collect(),
        })
    }))
}

pub(super) async fn open_thread(
    cx: Context<ChatApp>,
    request: OpenThreadRequest,
) -> Result<Reply<OpenThreadResponse>, ErrorCode> {
    let me = own_uid(&cx, request.from)?;
    Ok(Reply::later(async move {
        match cx.stores.conversations.open_private(me, request.other).await {
            Ok(thread_id) => {
                cx.hold_pushes();
                cx.state().texts.introduce([thread_id]);
                Ok(OpenThreadResponse { error: ErrorCode::SUCCESS, uid: me, other: request.other, thread_id })
            }
            Err(OpenThreadError::NotFriends) => Err(ErrorCode::NOT_FRIENDS),
            Err(OpenThreadError::Store(error)) => Err(unavailable("opening a conversation")(error)),
        }
    }))
}
