//! 3003–3006. PROTOCOL.md, "Sync".

use uschat_proto::{
    ErrorCode,
    chat::{ProgressRequest, ProgressResponse, SyncRequest, SyncResponse},
};

use super::{app::ChatApp, service::own_uid};
use crate::{Context, Reply};

/// Deferred, so that it sees every text this session sent before. Texts follow the answer to the last part.
///
/// Refused with 3007 to a client that did not declare [`SYNC`](uschat_proto::chat::features::SYNC), after the last part, and
/// when a field is out of its range; with 3005 beyond 256 cursors a part or 4,096 a session. A part that was refused may be
/// sent again.
pub(super) async fn sync(cx: Context<ChatApp>, request: SyncRequest) -> Result<Reply<SyncResponse>, ErrorCode> {
    let me = own_uid(&cx, None)?;
    Ok(Reply::later(async move {
        let texts = &cx.delivery.texts;
        let response = texts.take_cursors(cx.session(), me, &request).await?;
        if !request.more {
            cx.hold_pushes();
            texts.go_live(cx.session());
        }
        Ok(response)
    }))
}

/// Refused with 3007 to a client that did not declare [`SYNC`](uschat_proto::chat::features::SYNC), before the answer to its
/// last 3003, and when a field is out of its range; with 3005 beyond 256 marks. Numbers above what this session was told
/// count once it is told, and conversations that the user is not in are passed over.
pub(super) async fn progress(
    cx: Context<ChatApp>,
    request: ProgressRequest,
) -> Result<Reply<ProgressResponse>, ErrorCode> {
    let me = own_uid(&cx, None)?;
    cx.delivery.texts.take_marks(cx.session(), me, &request).await?;
    Ok(Reply::Now(ProgressResponse { error: ErrorCode::SUCCESS }))
}
