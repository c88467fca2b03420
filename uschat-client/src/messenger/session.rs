//! One session of a messenger, from its first text to its end.

use std::collections::VecDeque;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};
use uschat_proto::chat::{ChatData, ProgressRequest, ProgressResponse, TextChatResponse, UserId};
use uschat_proto::{ErrorCode, Message};

use super::config::MessengerConfig;
use super::error::SendError;
use super::hand_out::TooManyHeld;
use super::inbox::{Incoming, IncomingText};
use super::ledger::Urgency;
use super::shared::Shared;
use crate::chat::Chat;
use crate::connection::{Command, Waiting};
use crate::error::{DisconnectReason, RequestError};
use crate::event::{Event, Events};

/// How long news of the application's progress wait for others.
const PROGRESS_DELAY: Duration = Duration::from_millis(200);
/// How long they wait after the server did not take them.
const PROGRESS_PAUSE: Duration = Duration::from_secs(1);

pub(super) struct Session<'a> {
    shared: &'a Shared,
    config: &'a MessengerConfig,
    inbox: &'a mpsc::Sender<Incoming>,
    chat: Chat,
    events: Events,
    /// Requests that were sent in this session, in order, as their answers come (PROTOCOL.md, "Answers").
    answers: VecDeque<Answer>,
    progress: Option<Progress>,
    progress_at: Option<Instant>,
    /// Not before.
    progress_from: Instant,
    /// Since when the application takes what comes. Before that we did not read, so nobody was late.
    reading_since: Instant,
    was_of_use: bool,
}

struct Answer {
    id: u64,
    sent_at: Instant,
    body: oneshot::Receiver<Bytes>,
}

type Progress = Pin<Box<dyn Future<Output = (ProgressRequest, Result<ProgressResponse, RequestError>)> + Send>>;

/// How a session ended.
pub(super) enum Over {
    /// The messenger is closing, and everything is done.
    Finished,
    Lost {
        reason: DisconnectReason,
        was_of_use: bool,
    },
}

impl<'a> Session<'a> {
    pub(super) fn new(
        shared: &'a Shared,
        config: &'a MessengerConfig,
        inbox: &'a mpsc::Sender<Incoming>,
        chat: Chat,
        events: Events,
    ) -> Self {
        let now = Instant::now();
        Self {
            shared,
            config,
            inbox,
            chat,
            events,
            answers: VecDeque::new(),
            progress: None,
            progress_at: None,
            progress_from: now,
            reading_since: now,
            was_of_use: false,
        }
    }

    /// Serves until the session ends, or, while the messenger is closing, until everything is done. The caller sets the
    /// deadline for that.
    pub(super) async fn run(&mut self) -> Over {
        let reason = match self.serve().await {
            Ok(()) => {
                self.chat.close().await;
                return Over::Finished;
            }
            Err(reason) => reason,
        };
        self.chat.abort();
        // What has come is as good as ever.
        let mut said = None;
        while let Some(event) = self.events.next().await {
            match event {
                Event::Disconnected { reason } => said = Some(reason),
                // Texts beyond the bound come again.
                event => drop(self.accept(event)),
            }
        }
        while let Some(mut answer) = self.answers.pop_front() {
            // Every answer that came is there by now. Awaiting the others would be for ever: a command that was sent while the
            // connection ended keeps its sender in a queue that nobody reads.
            if let Ok(body) = answer.body.try_recv() {
                // Which refusal ended the session is known already, or the session ended before.
                drop(self.answered(answer.id, &body));
            }
        }
        let lost_otherwise = matches!(reason, DisconnectReason::Closed);
        Over::Lost { reason: said.filter(|_| lost_otherwise).unwrap_or(reason), was_of_use: self.was_of_use }
    }

    /// `Err(Closed)` stands for the reason that the connection tells itself.
    async fn serve(&mut self) -> Result<(), DisconnectReason> {
        let closing = self.shared.closing.clone();
        let commands = self.chat.link().commands.clone();
        let mut ended = self.chat.link().ended.clone();
        loop {
            let (unsent, nothing_outgoing) = {
                let outbox = self.shared.outbox();
                (outbox.has_unsent(), outbox.is_empty())
            };
            self.plan_progress(closing.is_cancelled());
            let nothing_to_tell = self.progress.is_none() && self.progress_at.is_none();
            if closing.is_cancelled() && nothing_outgoing && nothing_to_tell {
                return Ok(());
            }
            let (has_ready, stuck_since) = {
                let hand_out = self.shared.hand_out();
                (hand_out.has_ready(), hand_out.stuck_since())
            };
            let overdue = self.overdue(stuck_since).filter(|_| !has_ready);
            tokio::select! {
                () = closing.cancelled(), if !closing.is_cancelled() => {}
                body = next_answer(&mut self.answers), if !self.answers.is_empty() => {
                    if let (Some(answer), Some(body)) = (self.answers.pop_front(), body) {
                        self.answered(answer.id, &body)?;
                    }
                }
                room = self.inbox.reserve(), if has_ready => self.hand_over(room.ok()),
                _ = ended.wait_for(Option::is_some), if has_ready => return Err(DisconnectReason::Closed),
                event = self.events.next(), if !has_ready => match event {
                    Some(Event::Disconnected { .. }) | None => {
                        return Err(match event {
                            Some(Event::Disconnected { reason }) => reason,
                            _ => DisconnectReason::Closed,
                        });
                    }
                    Some(event) => self.accept(event).map_err(|TooManyHeld| DisconnectReason::TextMissing)?,
                },
                room = commands.reserve(), if unsent => match room {
                    Ok(room) => if let Some(command) = self.next_command() { room.send(command) },
                    Err(_) => return Err(DisconnectReason::Closed),
                },
                (request, result) = finished(&mut self.progress), if self.progress.is_some() => {
                    self.progress = None;
                    self.told(&request, result);
                }
                () = until(self.progress_at), if self.progress_at.is_some() => self.tell(),
                () = until(overdue.as_ref().map(|(at, _)| *at)), if overdue.is_some() => {
                    return Err(overdue.map_or(DisconnectReason::AnswerMissing, |(_, reason)| reason));
                }
                () = self.shared.changed.notified() => {}
            }
        }
    }

    /// What is late first, and when.
    fn overdue(&self, stuck_since: Option<Instant>) -> Option<(Instant, DisconnectReason)> {
        let late = |since: Instant, after| since.max(self.reading_since) + after;
        let answer = self.answers.front().map(|answer| late(answer.sent_at, self.config.chat.request_deadline));
        let text = stuck_since.map(|since| late(since, self.config.gap_deadline));
        let answer = answer.map(|at| (at, DisconnectReason::AnswerMissing));
        let text = text.map(|at| (at, DisconnectReason::TextMissing));
        [answer, text].into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    fn hand_over(&mut self, room: Option<mpsc::Permit<'_, Incoming>>) {
        let mut hand_out = self.shared.hand_out();
        match room {
            Some(room) => {
                if let Some(incoming) = hand_out.take() {
                    room.send(incoming);
                }
            }
            // The application dropped its end: it wants none of them.
            None => hand_out.discard(),
        }
        if !hand_out.has_ready() {
            self.reading_since = Instant::now();
        }
    }

    fn next_command(&mut self) -> Option<Command> {
        let (answer, body) = oneshot::channel();
        let mut outbox = self.shared.outbox();
        let (id, first_client_id, submitted) = outbox.send_next()?;
        self.answers.push_back(Answer { id, sent_at: Instant::now(), body });
        let waiting = Waiting { client_id: Some(first_client_id.into()), answer };
        Some(Command { frame: submitted.frame.clone(), response: TextChatResponse::ID, waiting })
    }

    /// A 1018.
    fn answered(&mut self, id: u64, body: &[u8]) -> Result<(), DisconnectReason> {
        #[derive(Deserialize)]
        struct ReplyStatus {
            error: ErrorCode,
        }
        let error = serde_json::from_slice(body).map_or(ErrorCode::SUCCESS, |ReplyStatus { error }| error);
        if error.is_retryable() {
            // The server refuses everything behind it too, so that nothing overtakes it.
            return Err(DisconnectReason::Refused(error));
        }
        if !error.is_success() {
            let request = self.shared.outbox().remove(id);
            if let Some((_, submitted)) = request {
                let _ = submitted.answer.send(Err(SendError::Refused(error)));
            }
            return Ok(());
        }
        self.was_of_use = true;
        let stored = stored_texts(body);
        let request = self.shared.outbox().remove(id);
        let Some((client_ids, submitted)) = request else {
            // It was given up or came back before: so it is shown, unless it was seen.
            let shown = stored.into_iter().try_for_each(|text| self.shared.hand_out().text(text, Instant::now()));
            return shown.map_err(|TooManyHeld| DisconnectReason::TextMissing);
        };
        for text in &stored {
            self.shared.acknowledged(text.thread_id, text.seq, text.fingerprint());
        }
        let place =
            |id: &String| stored.iter().find(|text| text.client_id.as_ref() == Some(id)).map(IncomingText::place);
        let places: Option<Vec<_>> = client_ids.iter().map(place).collect();
        let _ = submitted.answer.send(places.ok_or(SendError::InvalidReply));
        Ok(())
    }

    fn accept(&mut self, event: Event) -> Result<(), TooManyHeld> {
        match event {
            Event::Text { from, to, thread_id, message_id, seq, client_id, content, sent_at } => {
                self.was_of_use = true;
                let text = IncomingText { from, to, thread_id, message_id, seq, client_id, content, sent_at };
                if from == self.uid() && self.comes_back(&text) {
                    return Ok(());
                }
                return self.shared.hand_out().text(text, Instant::now());
            }
            Event::FriendApplied { applicant } => {
                self.shared.hand_out().push(Incoming::FriendApplied { applicant });
            }
            Event::FriendApproved { mut friend } => {
                let mut hand_out = self.shared.hand_out();
                hand_out.greet(self.uid(), &mut friend);
                let thread = friend.thread_id;
                hand_out.push(Incoming::FriendApproved { friend });
                if let Some(thread) = thread {
                    hand_out.release(thread, Instant::now());
                }
            }
            // The end of the session says the same.
            Event::Replaced | Event::Disconnected { .. } => {}
        }
        Ok(())
    }

    /// Whether this is a text whose acknowledgement is still awaited: then it is that acknowledgement.
    fn comes_back(&mut self, text: &IncomingText) -> bool {
        let Some(client_id) = &text.client_id else { return false };
        let (awaited, complete) = self.shared.outbox().stored(text.to, client_id, &text.content, text.place());
        if awaited {
            self.shared.acknowledged(text.thread_id, text.seq, text.fingerprint());
        }
        for (sent, submitted) in complete {
            let _ = submitted.answer.send(Ok(sent));
        }
        awaited
    }

    fn plan_progress(&mut self, closing: bool) {
        let soonest = Instant::now().max(self.progress_from);
        self.progress_at = match self.shared.urgency() {
            _ if self.progress.is_some() => None,
            Urgency::Nothing => None,
            _ if closing => Some(soonest),
            Urgency::Now => Some(self.progress_at.map_or(soonest, |at| at.min(soonest))),
            Urgency::Soon => self.progress_at.or(Some(soonest + PROGRESS_DELAY)),
        };
    }

    fn tell(&mut self) {
        self.progress_at = None;
        let request = self.shared.ledger().request();
        self.progress = request.map(|request| {
            let chat = self.chat.clone();
            let tell = async move {
                let result = chat.call(&request, None).await;
                (request, result)
            };
            Box::pin(tell) as Progress
        });
    }

    fn told(&mut self, request: &ProgressRequest, result: Result<ProgressResponse, RequestError>) {
        match result {
            Ok(_) => self.shared.ledger().told(request),
            Err(RequestError::Refused(code)) if !code.is_retryable() => {
                // Nothing is lost by it: what was not told as delivered comes again where there is no cursor.
                tracing::debug!(%code, "the server does not take how far the application is");
                self.shared.ledger().told(request);
            }
            Err(_) => self.progress_from = Instant::now() + PROGRESS_PAUSE,
        }
    }

    fn uid(&self) -> UserId {
        self.chat.profile().uid
    }
}

/// The texts of a 1018.
fn stored_texts(body: &[u8]) -> Vec<IncomingText> {
    let response: Option<TextChatResponse> = serde_json::from_slice(body).ok();
    let Some(TextChatResponse { from, to, thread_id: Some(thread_id), chat_datas: Some(texts), .. }) = response else {
        return Vec::new();
    };
    let text = |text: ChatData| {
        let ChatData { message_id, unique_id, content, chat_time: sent_at, seq, .. } = text;
        let client_id = Some(unique_id).filter(|id| !id.is_empty());
        IncomingText { from, to, thread_id, message_id, seq, client_id, content, sent_at }
    };
    texts.into_iter().map(text).collect()
}

/// The answer to the oldest request; nothing if the connection ended without it.
async fn next_answer(answers: &mut VecDeque<Answer>) -> Option<Bytes> {
    match answers.front_mut() {
        Some(answer) => (&mut answer.body).await.ok(),
        None => std::future::pending().await,
    }
}

async fn finished(progress: &mut Option<Progress>) -> (ProgressRequest, Result<ProgressResponse, RequestError>) {
    match progress {
        Some(progress) => progress.await,
        None => std::future::pending().await,
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
