//! The routes without a JSON request: for people, scripts and tests.

use std::{fmt::Write, sync::Arc};

use axum::{
    extract::Request,
    http::{HeaderName, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use form_urlencoded::parse;
use serde_json::json;
use tracing::warn;

use super::endpoint::json;
use crate::mail::ReadOutbox;

const TEXT: [(HeaderName, &str); 2] =
    [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];

/// `GET /get_test`: the query as the gate reads it, a numbered line for each parameter.
pub(super) async fn get_test(uri: Uri) -> Response {
    let mut text = "The gate is up.\n".to_owned();
    for (number, (key, value)) in (1..).zip(parse(query(&uri))) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{number}. {key} = {value}");
    }
    (TEXT, text).into_response()
}

/// `GET /dev/outbox?email=E`: the newest code mailed to an address.
pub(super) async fn newest_mail(outbox: Arc<dyn ReadOutbox>, request: Request) -> Response {
    let email = parse(query(request.uri())).find(|(key, _)| key == "email").map(|(_, email)| email.into_owned());
    let email = email.unwrap_or_default();
    match outbox.newest_code(&email).await {
        Ok(Some(code)) => json(StatusCode::OK, &json!({ "email": email, "code": code })),
        Ok(None) => json(StatusCode::NOT_FOUND, &json!({ "error": "no mail was sent to this address" })),
        Err(error) => {
            warn!(%error, "the outbox cannot be read");
            json(StatusCode::SERVICE_UNAVAILABLE, &json!({ "error": "the outbox cannot be read now" }))
        }
    }
}

/// Any other route, in the words of the original gate.
pub(super) async fn not_found() -> Response {
    (StatusCode::NOT_FOUND, [(header::CONTENT_TYPE, "text/plain")], "url not found\r\n").into_response()
}

fn query(uri: &Uri) -> &[u8] {
    uri.query().unwrap_or_default().as_bytes()
}
