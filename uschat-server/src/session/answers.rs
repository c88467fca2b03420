use futures_util::future::BoxFuture;
use tokio::sync::mpsc;

use super::{CloseReason, Session};
use crate::{
    Application,
    logic::{Answer, catch_panic},
};

/// An answer that must leave in the order of requests.
pub(super) struct Deferred {
    pub(super) request: u64,
    pub(super) answer: BoxFuture<'static, Answer>,
}

/// Brings deferred answers to an end one after another, in the order of their requests, beside whatever the session's
/// later requests do. Ends when no more can come.
pub(super) async fn leave_in_order<A: Application>(session: &Session<A>, mut deferred: mpsc::Receiver<Deferred>) {
    while let Some(Deferred { request, answer }) = deferred.recv().await {
        let answer = catch_panic(answer).await.unwrap_or_else(Answer::Panicked);
        send_answer(session, request, answer).await;
    }
}

/// Sends what is ready to leave, and after it the pushes that waited for it.
pub(super) async fn send_answer<A: Application>(session: &Session<A>, request: u64, answer: Answer) {
    let frame = match answer {
        Answer::Frame(frame) => Some(frame),
        Answer::Refused(code, frame) => {
            metrics::counter!("uschat_requests_refused_total", "error" => code.to_string()).increment(1);
            frame
        }
        Answer::Panicked(text) => {
            metrics::counter!("uschat_handler_panics_total").increment(1);
            tracing::error!(session = session.id().0, panic = text, "a handler panicked");
            session.close(CloseReason::HandlerPanicked(text));
            None
        }
        Answer::UnknownId => {
            metrics::counter!("uschat_frames_unknown_total").increment(1);
            None
        }
        Answer::None => None,
    };
    if let Some(frame) = frame {
        // The session may have ended meanwhile; then nobody waits for the answer.
        session.outbound().send(frame).await;
    }
    session.outbound().release(request);
}
