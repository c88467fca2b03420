//! The application behind a member: it takes what comes, and writes it down.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::time::{Instant as Moment, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use uschat_client::{Cursors, EndReason, Gate, Inbox, Incoming, Messenger, MessengerConfig};
use uschat_examples::oracle::History;

use super::story::{Stretch, Telling};

use crate::support::User;

/// Between two attempts to start while servers are away.
const PAUSE: Duration = Duration::from_millis(50);

/// Writes down what comes, to the end.
pub async fn listen(mut inbox: Inbox, history: History, telling: Arc<Telling>) {
    while let Some(incoming) = inbox.next().await {
        note(incoming, &history, &telling);
    }
}

/// A program that is ended and started again all the time with the cursors that it kept, now by closing, now by a crash.
#[derive(Debug)]
pub struct Restless {
    pub gate: String,
    pub user: User,
    pub config: MessengerConfig,
    pub history: History,
    pub telling: Arc<Telling>,
    pub seed: u64,
    /// From here on it stays where it is.
    pub calm: CancellationToken,
    /// It says good-bye.
    pub leave: CancellationToken,
}

impl Restless {
    /// Runs until it is told to leave.
    pub async fn run(self) {
        let mut random = StdRng::seed_from_u64(self.seed);
        let mut cursors = Cursors::default();
        while !self.leave.is_cancelled() {
            let gate = Gate::new(&self.gate).unwrap();
            let (email, password) = (&*self.user.email, &*self.user.password);
            let starting = Messenger::start(gate, email, password, self.config.clone(), cursors.clone());
            match starting.await {
                Ok((messenger, inbox)) => {
                    let stay = Duration::from_millis(random.random_range(50..500));
                    cursors = self.stay((messenger, inbox), cursors, stay, random.random()).await;
                }
                Err(_) => sleep(PAUSE).await,
            }
        }
    }

    async fn stay(
        &self,
        (messenger, mut inbox): (Messenger, Inbox),
        mut cursors: Cursors,
        stay: Duration,
        crash: bool,
    ) -> Cursors {
        let end = Moment::now() + stay;
        loop {
            tokio::select! {
                incoming = inbox.next() => {
                    let Some(incoming) = incoming else { return cursors };
                    // What an application keeps in one transaction.
                    note(incoming, &self.history, &self.telling);
                    cursors = inbox.cursors();
                }
                () = sleep_until(end), if !self.calm.is_cancelled() => break,
                () = self.leave.cancelled() => break,
            }
        }
        if crash && !self.leave.is_cancelled() {
            return cursors;
        }
        messenger.close().await;
        while let Some(incoming) = inbox.next().await {
            note(incoming, &self.history, &self.telling);
        }
        inbox.cursors()
    }
}

fn note(incoming: Incoming, history: &History, telling: &Telling) {
    match incoming {
        Incoming::Text(text) => {
            let id = text.client_id.as_deref().unwrap_or_default();
            history.received(text.thread_id, text.seq, id, text.from, &text.content);
            telling.send_modify(|story| {
                let seen = story.seen.entry((text.thread_id, text.from)).or_default();
                *seen = text.seq.max(*seen);
            });
        }
        Incoming::Connected { server, .. } => {
            history.connected();
            telling.send_modify(|story| {
                story.stretches.push(Stretch { began: Instant::now(), server, ended: None });
            });
        }
        Incoming::Disconnected { reason } => telling.send_modify(|story| {
            if let Some(stretch) = story.stretches.last_mut() {
                stretch.ended = Some((Instant::now(), reason.to_string()));
            }
        }),
        Incoming::ConversationReplaced { thread_id, .. } => {
            telling.send_modify(|story| story.gave_up = Some(format!("conversation {thread_id} was replaced")));
        }
        Incoming::Ended { reason: EndReason::Closed } => {}
        Incoming::Ended { reason } => telling.send_modify(|story| story.gave_up = Some(reason.to_string())),
        _ => {}
    }
}
