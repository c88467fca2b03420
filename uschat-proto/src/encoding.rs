use std::{error::Error, io};

use bytes::{Bytes, BytesMut};
use serde::{Serialize, de::DeserializeOwned};

use crate::ErrorCode;

/// How bodies of type `T` are written and read. [`Json`] fits every serde type; implement this for any other.
pub trait Encoding<T> {
    /// Appends `message` to `out`.
    ///
    /// # Errors
    /// When the value has no such form.
    fn encode(message: &T, out: &mut BytesMut) -> Result<(), PayloadError>;

    /// Reads a body. The slice may be kept without a copy by cloning the [`Bytes`].
    ///
    /// # Errors
    /// When the bytes are no such body. Must not panic: the bytes come from the network.
    fn decode(body: &Bytes) -> Result<T, PayloadError>;

    /// Appends a body that says no more than "refused, for this reason", and returns true; or returns false where the
    /// encoding has no such form, and the peer is then left without an answer.
    fn encode_refusal(code: ErrorCode, out: &mut BytesMut) -> bool {
        let _ = (code, out);
        false
    }
}

/// Bodies that are one JSON value; a refusal is `{"error":CODE}`.
#[derive(Debug, Clone, Copy)]
pub struct Json;

impl<T: Serialize + DeserializeOwned> Encoding<T> for Json {
    fn encode(message: &T, out: &mut BytesMut) -> Result<(), PayloadError> {
        serde_json::to_writer(Appending(out), message).map_err(PayloadError::new)
    }

    fn decode(body: &Bytes) -> Result<T, PayloadError> {
        serde_json::from_slice(body).map_err(PayloadError::new)
    }

    fn encode_refusal(code: ErrorCode, out: &mut BytesMut) -> bool {
        out.extend_from_slice(format!("{{\"error\":{code}}}").as_bytes());
        true
    }
}

/// JSON comes in pieces of a few bytes, and `BufMut::writer` looks for room more than once for each: writing an answer was a
/// seventh of what a chat server did for a text.
struct Appending<'a>(&'a mut BytesMut);

impl io::Write for Appending<'_> {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(piece);
        Ok(piece.len())
    }

    fn write_all(&mut self, piece: &[u8]) -> io::Result<()> {
        self.0.extend_from_slice(piece);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Bodies that are one JSON object, for messages that are structs; a refusal is `{"error":CODE}`.
///
/// Stricter than [`Json`], which would also take an array for a struct, and would not look into keys it does not know: here
/// the whole body must be UTF-8.
#[derive(Debug, Clone, Copy)]
pub struct JsonObject;

impl<T: Serialize + DeserializeOwned> Encoding<T> for JsonObject {
    fn encode(message: &T, out: &mut BytesMut) -> Result<(), PayloadError> {
        Json::encode(message, out)
    }

    fn decode(body: &Bytes) -> Result<T, PayloadError> {
        let text = std::str::from_utf8(body).map_err(PayloadError::new)?;
        if !text.trim_ascii_start().starts_with('{') {
            return Err(PayloadError::new("not a JSON object"));
        }
        serde_json::from_str(text).map_err(PayloadError::new)
    }

    fn encode_refusal(code: ErrorCode, out: &mut BytesMut) -> bool {
        <Json as Encoding<T>>::encode_refusal(code, out)
    }
}

/// A body that could not be written or read. Whoever made the bytes is at fault; a retry does not help, and the
/// connection survives because the frame around the body was sound.
#[derive(Debug, thiserror::Error)]
#[error("the body does not fit the message: {0}")]
pub struct PayloadError(#[source] Box<dyn Error + Send + Sync>);

impl PayloadError {
    /// Wraps the cause, or a plain text.
    pub fn new(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}

#[cfg(test)]
mod tests {
    use bytes::{Bytes, BytesMut};

    use super::{Encoding, Json, JsonObject};
    use crate::ErrorCode;

    #[test]
    fn deep_nesting_is_an_error_not_a_stack_overflow() {
        let body = Bytes::from("[".repeat(30_000));
        assert!(<Json as Encoding<serde_json::Value>>::decode(&body).is_err());
    }

    #[test]
    fn an_object_is_no_array_and_is_utf8_throughout() {
        #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        struct Named {
            #[serde(default)]
            name: String,
        }
        let decode = |body: &'static [u8]| <JsonObject as Encoding<Named>>::decode(&Bytes::from_static(body));
        assert_eq!(decode(b" {\n\"name\": \"x\"\n}\n").unwrap().name, "x");
        assert_eq!(decode(b"{}").unwrap().name, "");
        for body in [&b"[]"[..], b"[\"x\"]", b"", b"7", b"{\"other\":\"\xff\"}", b"{} {}"] {
            assert!(decode(body).is_err(), "{body:?}");
        }
    }

    #[test]
    fn a_refusal_is_an_error_number() {
        let mut out = BytesMut::new();
        assert!(<Json as Encoding<u8>>::encode_refusal(ErrorCode(1010), &mut out));
        assert_eq!(&out[..], br#"{"error":1010}"#);
    }
}
