use bytes::{Bytes, BytesMut};

use crate::{Encoding, MessageId, PayloadError};

/// Bytes a new body has room for: a text and its answer fit without moving.
const USUAL_BODY: usize = 512;

/// A typed body with the id it travels under.
///
/// One line says that the body is JSON: `type Encoding = Json;`.
pub trait Message: Sized + Send + 'static {
    /// The id in the frame header.
    const ID: MessageId;
    /// How the body is written and read.
    type Encoding: Encoding<Self>;

    /// Appends the body to `out`.
    ///
    /// # Errors
    /// When the value cannot be written in its encoding; `out` may then hold a part of it.
    fn encode(&self, out: &mut BytesMut) -> Result<(), PayloadError> {
        Self::Encoding::encode(self, out)
    }

    /// The body as bytes of its own.
    ///
    /// # Errors
    /// As [`Message::encode`].
    fn to_body(&self) -> Result<Bytes, PayloadError> {
        let mut out = BytesMut::with_capacity(USUAL_BODY);
        self.encode(&mut out)?;
        Ok(out.freeze())
    }

    /// Reads a body.
    ///
    /// # Errors
    /// When the bytes are not such a body: the peer is at fault, a retry does not help, the connection may go on.
    fn from_body(body: &Bytes) -> Result<Self, PayloadError> {
        Self::Encoding::decode(body)
    }
}

/// A message that is answered by exactly one response.
pub trait Request: Message {
    /// What answers it, also when it is refused.
    type Response: Message;

    /// Whether every answer to it, refusals included, leaves in the order of such requests.
    ///
    /// Deferred answers always leave in request order. A protocol sets this where an immediate answer must not overtake
    /// the deferred one of an earlier request: say, texts in a conversation.
    const ORDERED: bool = false;
}
