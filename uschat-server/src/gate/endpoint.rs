//! From HTTP to a typed request and back: what the JSON routes have in common.

use std::{future::Future, sync::Arc};

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::StreamExt;
use hyper::body::Body as _;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use tokio::time::timeout;
use tracing::warn;
use uschat_proto::{
    ErrorCode,
    chat::{LoginReply, RegisterReply, ResetPasswordReply, VerifyCodeReply},
};

use super::{Inner, connection::Caller};

/// What a handler answers with.
pub(super) trait Reply: Serialize {
    fn error(&self) -> ErrorCode;
}

macro_rules! reply {
    ($($reply:ty),*) => {
        $(impl Reply for $reply {
            fn error(&self) -> ErrorCode {
                self.error
            }
        })*
    };
}
reply!(LoginReply, RegisterReply, ResetPasswordReply, VerifyCodeReply);

/// Reads a request, has it handled within the deadline, writes and counts the outcome.
pub(super) async fn endpoint<T, R, F>(
    route: &'static str,
    gate: Arc<Inner>,
    request: Request,
    handle: impl FnOnce(Arc<Inner>, Caller, T) -> F,
) -> Response
where
    T: DeserializeOwned,
    R: Reply,
    F: Future<Output = Result<R, ErrorCode>>,
{
    let (error, response) = match read(&gate, request).await {
        Err(status) => (ErrorCode::INVALID_PAYLOAD, refuse_body(status)),
        Ok((caller, request)) => {
            let deadline = gate.config.request_deadline;
            let outcome = timeout(deadline, handle(gate, caller, request)).await.unwrap_or_else(|_| {
                warn!(route, ?deadline, "a request took too long");
                Err(ErrorCode::UNAVAILABLE)
            });
            match outcome {
                Ok(reply) => (reply.error(), json(StatusCode::OK, &reply)),
                Err(error) => (error, refuse(StatusCode::OK, error)),
            }
        }
    };
    metrics::counter!("uschat_gate_requests_total", "route" => route, "error" => label(error)).increment(1);
    response
}

/// A JSON body in the type the existing clients get.
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    // Our bodies are structures of text and numbers, which always have a JSON form.
    let body = serde_json::to_vec(body).unwrap_or_default();
    let content_type = (header::CONTENT_TYPE, HeaderValue::from_static("text/json"));
    let cache = (header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    (status, [content_type, cache], body).into_response()
}

fn refuse(status: StatusCode, error: ErrorCode) -> Response {
    json(status, &serde_json::json!({ "error": error }))
}

/// Answers a body that was not understood; one that was not read to its end also ends the connection.
fn refuse_body(status: StatusCode) -> Response {
    let mut response = refuse(status, ErrorCode::INVALID_PAYLOAD);
    if status != StatusCode::OK {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

async fn read<T: DeserializeOwned>(gate: &Inner, request: Request) -> Result<(Caller, T), StatusCode> {
    let (parts, body) = request.into_parts();
    // Set on every request by the connection.
    let caller = parts.extensions.get::<Caller>().copied().ok_or(StatusCode::INTERNAL_SERVER_ERROR)?;
    let reading = read_body(body, gate.config.max_body_bytes);
    let body = timeout(gate.config.body_deadline, reading).await.unwrap_or(Err(StatusCode::REQUEST_TIMEOUT))?;
    parse(&body).map(|request| (caller, request)).ok_or(StatusCode::OK)
}

async fn read_body(body: Body, max: usize) -> Result<Vec<u8>, StatusCode> {
    if body.size_hint().lower() > max as u64 {
        return Err(StatusCode::PAYLOAD_TOO_LARGE);
    }
    let mut chunks = body.into_data_stream();
    let mut bytes = Vec::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| StatusCode::BAD_REQUEST)?;
        if bytes.len() + chunk.len() > max {
            return Err(StatusCode::PAYLOAD_TOO_LARGE);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// By way of a JSON object, because serde would also take an array for a structure, and would not look into the values of
/// unknown keys: too deep a nesting or a broken text there is refused like anywhere else.
fn parse<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    let object: Map<String, Value> = serde_json::from_slice(body).ok()?;
    T::deserialize(Value::Object(object)).ok()
}

/// The codes a gate answers with by name; a foreign verification service may invent others.
fn label(error: ErrorCode) -> &'static str {
    match error.0 {
        0 => "0",
        1 => "1",
        2 => "2",
        1001 => "1001",
        1002 => "1002",
        1003 => "1003",
        1004 => "1004",
        1005 => "1005",
        1006 => "1006",
        1007 => "1007",
        1008 => "1008",
        1009 => "1009",
        3007 => "3007",
        3101 => "3101",
        3102 => "3102",
        3103 => "3103",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::StatusCode;
    use uschat_proto::chat::{LoginRequest, VerifyCodeRequest};

    use super::{parse, read_body};

    #[test]
    fn only_a_json_object_with_the_right_keys_is_understood() {
        let understood = |body: &[u8]| parse::<VerifyCodeRequest>(body).map(|request| request.email);
        assert_eq!(understood(br#"{"email":"a@b","other":[1]}"#).as_deref(), Some("a@b"));
        let deep = format!(r#"{{"email":"a@b","x":{}}}"#, "[".repeat(20_000));
        let deep_closed = format!(r#"{{"email":"a@b","x":{}{}}}"#, "[".repeat(500), "]".repeat(500));
        let bad: [&[u8]; 12] = [
            b"",
            b"null",
            b"{}",
            br#"["a@b"]"#,
            br#""a@b""#,
            br#"{"email":7}"#,
            br#"{"email":null}"#,
            br#"{"email":"a@b"} x"#,
            b"{\"email\":\"\xff\"}",
            b"{\"email\":\"a@b\",\"x\":\"\xff\"}",
            deep.as_bytes(),
            deep_closed.as_bytes(),
        ];
        for body in bad {
            assert_eq!(understood(body), None, "{}", String::from_utf8_lossy(&body[..body.len().min(60)]));
        }
    }

    #[test]
    fn a_login_needs_a_password_of_the_right_type() {
        assert!(parse::<LoginRequest>(br#"{"user":"a@b","passwd":"x"}"#).is_some());
        assert!(parse::<LoginRequest>(br#"{"email":"a@b","passwd":1}"#).is_none());
        assert!(parse::<LoginRequest>(br#"{"email":"a@b"}"#).is_none());
    }

    #[tokio::test]
    async fn a_body_may_be_as_long_as_the_limit() {
        assert_eq!(read_body(Body::from("12345678"), 8).await.map(|body| body.len()), Ok(8));
        assert_eq!(read_body(Body::from("123456789"), 8).await, Err(StatusCode::PAYLOAD_TOO_LARGE));
        let streamed = futures_util::stream::iter(["12345", "6789"].map(Ok::<_, std::io::Error>));
        assert_eq!(read_body(Body::from_stream(streamed), 8).await, Err(StatusCode::PAYLOAD_TOO_LARGE));
    }
}
