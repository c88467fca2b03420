//! 1023/1024. PROTOCOL.md, "Heartbeat".

use uschat_proto::{
    ErrorCode,
    chat::{HeartbeatRequest, HeartbeatResponse},
};

use super::{app::ChatApp, service::own_uid};
use crate::{Context, Reply};

pub(super) async fn heartbeat(
    cx: Context<ChatApp>,
    request: HeartbeatRequest,
) -> Result<Reply<HeartbeatResponse>, ErrorCode> {
    own_uid(&cx, request.from)?;
    cx.session().watch_idle();
    Ok(Reply::Now(HeartbeatResponse { error: ErrorCode::SUCCESS }))
}
