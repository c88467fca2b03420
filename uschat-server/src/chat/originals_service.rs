//! `message.ChatService` for originals of every generation: two dialects under the same paths.
//!
//! Which one a caller speaks shows in the bytes: see [`Said::decode`].

use std::{
    convert::Infallible,
    task::{Context, Poll},
};

use bytes::{Buf, BufMut, Bytes};
use prost::{DecodeError, Message};
use tonic::{
    Request, Response, Status,
    body::Body,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    codegen::{BoxFuture, Service, http},
    server::{Grpc, NamedService, UnaryService},
};
use uschat_proto::grpc::{m, m::chat_service_server::ChatServiceServer, s1};

use super::originals::Originals;
use crate::grpc_server::MAX_MESSAGE_BYTES;

/// Texts from one user to another, in the dialect of the server that says so.
#[derive(Debug, PartialEq)]
pub(super) enum Said {
    FirstSeason(s1::TextChatMsgReq),
    Later(m::TextChatMsgReq),
}

impl Said {
    /// Field 3 is a text in the first season and the number of the conversation later, so neither reads as the other. Only
    /// without texts, or without that number, both may read it; then the one that finds texts is right.
    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let first_season = s1::TextChatMsgReq::decode(bytes);
        if let Ok(said) = &first_season
            && !said.textmsgs.is_empty()
        {
            return first_season.map(Self::FirstSeason);
        }
        match m::TextChatMsgReq::decode(bytes) {
            Ok(said) if !said.textmsgs.is_empty() || first_season.is_err() => Ok(Self::Later(said)),
            _ => first_season.map(Self::FirstSeason),
        }
    }
}

/// The generated service of the later dialect, which the first season shares but for texts.
#[derive(Clone)]
pub(super) struct OriginalsService {
    originals: Originals,
    later: ChatServiceServer<Originals>,
}

impl OriginalsService {
    pub(super) fn new(originals: Originals) -> Self {
        let later = ChatServiceServer::new(originals.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES);
        Self { originals, later }
    }
}

impl NamedService for OriginalsService {
    const NAME: &'static str = "message.ChatService";
}

impl Service<http::Request<Body>> for OriginalsService {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        if request.uri().path() != "/message.ChatService/NotifyTextChatMsg" {
            return self.later.call(request);
        }
        let texts = Texts(self.originals.clone());
        let mut grpc = Grpc::new(Undecoded).max_decoding_message_size(MAX_MESSAGE_BYTES);
        Box::pin(async move { Ok(grpc.unary(texts, request).await) })
    }
}

struct Texts(Originals);

impl UnaryService<Bytes> for Texts {
    type Response = Bytes;
    type Future = BoxFuture<Response<Bytes>, Status>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let originals = self.0.clone();
        Box::pin(async move {
            let said = Said::decode(request.get_ref());
            let said = said.map_err(|_| Status::invalid_argument("these are no texts of any generation"))?;
            let response = match said {
                Said::FirstSeason(said) => originals.said(said).await.encode_to_vec(),
                Said::Later(said) => originals.said_later(said).await.encode_to_vec(),
            };
            Ok(Response::new(response.into()))
        })
    }
}

/// Messages as the bytes they are.
#[derive(Clone, Copy)]
struct Undecoded;

impl Codec for Undecoded {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Undecoded {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(message);
        Ok(())
    }
}

impl Decoder for Undecoded {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dialect_is_known_by_its_bytes() {
        let first = |texts| s1::TextChatMsgReq { fromuid: 1, touid: 2, textmsgs: vec![Default::default(); texts] };
        let later = |thread_id, texts| m::TextChatMsgReq {
            fromuid: 1,
            touid: 2,
            thread_id,
            textmsgs: vec![m::TextChatData { msg_id: 3, ..Default::default() }; texts],
        };
        for texts in [0, 1, 2] {
            let said = first(texts);
            assert_eq!(Said::decode(&said.encode_to_vec()), Ok(Said::FirstSeason(said)));
        }
        for (thread, texts) in [(7, 0), (7, 1), (7, 2), (0, 1), (0, 2), (-1, 1)] {
            let said = later(thread, texts);
            assert_eq!(Said::decode(&said.encode_to_vec()), Ok(Said::Later(said)), "{thread} {texts}");
        }
        assert!(Said::decode(b"\xff").is_err());
    }
}
