//! 1005 to 1006, on a connection that nobody else uses yet. PROTOCOL.md, "Log in".

use std::collections::VecDeque;

use bytes::BytesMut;
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use uschat_proto::chat::{ChatLoginRequest, ChatLoginResponse, FriendListPart};
use uschat_proto::{ErrorCode, Message, MessageId};
use uschat_wire::{Frame, FrameDecoder, Limits, MAX_BODY_LEN};

use crate::config::{ChatConfig, declared_features};
use crate::error::{ConnectError, DisconnectReason};
use crate::ticket::Ticket;

/// What was received and is not used up yet.
#[derive(Debug)]
pub(super) struct Received {
    decoder: FrameDecoder,
    pub(super) bytes: BytesMut,
    /// Frames that came between 1006 and the last part of the friend list.
    early: VecDeque<Frame>,
}

impl Received {
    fn new() -> Self {
        let decoder = FrameDecoder::new(Limits::default().max_body(MAX_BODY_LEN));
        Self { decoder, bytes: BytesMut::new(), early: VecDeque::new() }
    }

    /// The next complete frame, oldest first.
    pub(super) fn next_frame(&mut self) -> Result<Option<Frame>, DisconnectReason> {
        if let Some(frame) = self.early.pop_front() {
            return Ok(Some(frame));
        }
        self.decoder.decode(&mut self.bytes).map_err(DisconnectReason::InvalidFrame)
    }
}

/// Logs in and collects the whole friend list. The caller sets the deadline.
pub(super) async fn log_in<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    ticket: &Ticket,
    config: &ChatConfig,
) -> Result<(ChatLoginResponse, Received), ConnectError> {
    send_request(stream, ticket, config).await?;
    let mut received = Received::new();
    let mut login = loop {
        let frame = read_frame(stream, &mut received).await?;
        if MessageId(frame.id) == MessageId::CHAT_LOGIN_RESPONSE {
            break read_response(&frame)?;
        }
    };
    // The parts are small and few, but other frames may come between them.
    let mut early = VecDeque::new();
    let mut cut = login.friend_list_cut;
    while cut {
        let frame = read_frame(stream, &mut received).await?;
        if MessageId(frame.id) == MessageId::FRIEND_LIST_PART {
            let part = FriendListPart::from_body(&frame.body)
                .map_err(|_| ConnectError::InvalidReply("a part of the friend list is malformed"))?;
            login.friend_list.extend(part.friend_list);
            cut = !part.last;
        } else if early.len() < config.event_capacity {
            early.push_back(frame);
        } else {
            return Err(ConnectError::InvalidReply("the friend list does not end"));
        }
    }
    received.early = early;
    Ok((login, received))
}

async fn send_request<S: AsyncWrite + Unpin>(
    stream: &mut S,
    ticket: &Ticket,
    config: &ChatConfig,
) -> Result<(), ConnectError> {
    let request = ChatLoginRequest {
        uid: ticket.uid,
        token: ticket.token().into(),
        client: Some(config.client.clone()),
        features: declared_features(config),
    };
    let mut out = BytesMut::new();
    uschat_wire::encode_with(ChatLoginRequest::ID.0, &mut out, |body| request.encode(body))
        .map_err(|_| ConnectError::TokenTooLong)?;
    stream.write_all(&out).await.map_err(disconnected)?;
    stream.flush().await.map_err(disconnected)
}

async fn read_frame<S: AsyncRead + Unpin>(stream: &mut S, received: &mut Received) -> Result<Frame, ConnectError> {
    loop {
        if let Some(frame) = received.next_frame().map_err(ConnectError::Disconnected)? {
            return Ok(frame);
        }
        if stream.read_buf(&mut received.bytes).await.map_err(disconnected)? == 0 {
            return Err(ConnectError::Disconnected(DisconnectReason::ClosedByServer));
        }
    }
}

fn read_response(frame: &Frame) -> Result<ChatLoginResponse, ConnectError> {
    #[derive(Deserialize)]
    struct ReplyStatus {
        error: ErrorCode,
    }
    // The causes are left out: they may quote the token.
    let ReplyStatus { error } =
        serde_json::from_slice(&frame.body).map_err(|_| ConnectError::InvalidReply("it has no error code"))?;
    if !error.is_success() {
        return Err(ConnectError::Refused(error));
    }
    ChatLoginResponse::from_body(&frame.body)
        .map_err(|_| ConnectError::InvalidReply("a key is missing or has the wrong type"))
}

fn disconnected(error: std::io::Error) -> ConnectError {
    ConnectError::Disconnected(error.into())
}
