use std::{pin::pin, time::Duration};

use tokio::time::{sleep, timeout};
use uschat_proto::chat::ThreadId;

use super::{
    agenda::{Agenda, Job},
    text_push::by_push,
    texts::{TextDelivery, Way},
};
use crate::{chat::app::ChatApp, session::Session, store::StoreError};

/// Texts read at once.
const PAGE: usize = 128;
/// How long the store may take, and how long is waited until it is asked again.
const ANSWER: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_secs(1);
/// How long own texts under way may take; they have a shorter deadline themselves.
const OWN_TEXTS: Duration = Duration::from_secs(10);

impl TextDelivery {
    /// Asks the store for what a session is to be told, one thing after another and no faster than its client reads, until
    /// nothing is missing or the session has ended.
    pub(super) async fn fill(self, session: Session<ChatApp>) {
        while session.room().await {
            let Some(job) = session.state().texts.lock().next_job() else { return };
            let done = match &job {
                Job::Standings(threads) => self.fill_standings(&session, threads).await,
                Job::Waiting(after) => self.fill_waiting(&session, *after).await,
                Job::Texts(thread, answered) => self.fill_texts(&session, *thread, *answered).await,
            };
            if let Err(error) = done {
                tracing::debug!(session = session.id().0, %error, "cannot read what a session is to be told; asking again");
                session.state().texts.lock().retry(&job);
                sleep(PAUSE).await;
            }
        }
    }

    async fn fill_standings(&self, session: &Session<ChatApp>, threads: &[ThreadId]) -> Result<(), StoreError> {
        let Some(&me) = session.user() else { return Ok(()) };
        let standings = ask(self.0.conversations.standings(me, threads)).await?;
        session.state().texts.lock().stand(threads, &standings);
        Ok(())
    }

    async fn fill_waiting(&self, session: &Session<ChatApp>, after: ThreadId) -> Result<(), StoreError> {
        let Some(&me) = session.user() else { return Ok(()) };
        let standings = ask(self.0.conversations.waiting(me, after, Agenda::BATCH)).await?;
        session.state().texts.lock().wait(&standings);
        Ok(())
    }

    /// One page, so that conversations take turns.
    async fn fill_texts(&self, session: &Session<ChatApp>, thread: ThreadId, answered: u64) -> Result<(), StoreError> {
        let texts = &session.state().texts;
        wait_for_answers(session, answered).await;
        let gap = {
            let mut ledger = texts.lock();
            let (next, gap) = ledger.release(thread);
            self.push(session, &mut ledger, thread, next, Way::Hint);
            gap
        };
        let Some(gap) = gap else { return Ok(()) };
        let page = ask(self.0.conversations.texts_after(thread, gap.after, PAGE)).await?;
        let last = page.len() < PAGE;
        let answered = texts.lock().may_be_answered(thread, &page);
        if let Some(answered) = answered {
            wait_for_answers(session, answered).await;
        }
        for part in by_push(page) {
            if !session.room().await {
                return Ok(());
            }
            let mut ledger = texts.lock();
            let next = ledger.page(thread, part);
            self.push(session, &mut ledger, thread, next, Way::Store);
        }
        texts.lock().end_page(thread, gap, last);
        self.0.gaps_filled.increment(1);
        tracing::debug!(session = session.id().0, %thread, after = gap.after, last, "told from the store");
        Ok(())
    }
}

async fn wait_for_answers(session: &Session<ChatApp>, requests: u64) {
    let texts = &session.state().texts;
    let answered = async {
        loop {
            let mut answer = pin!(texts.answered.notified());
            // Registered before the look, so that an answer in between is not missed.
            answer.as_mut().enable();
            if texts.lock().is_answered(requests) {
                return;
            }
            answer.await;
        }
    };
    // Without an answer they are told as if they had come from elsewhere.
    let _ = timeout(OWN_TEXTS, answered).await;
}

async fn ask<T>(answer: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    timeout(ANSWER, answer).await.unwrap_or_else(|_| Err(StoreError::unavailable("no answer in time")))
}
