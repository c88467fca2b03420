//! A user of the SDK whose tasks talk, listen and write everything into the journal.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;
use uschat_client::{Cursors, Gate, Messenger, MessengerConfig, SendError, Sent, Text};
use uschat_examples::oracle::{History, Journal};
use uschat_proto::chat::UserId;

use super::{
    listening::{Restless, listen},
    story::{Story, Telling},
    words::Words,
};

use crate::support::{User, in_time};

/// A member of a run.
#[derive(Debug)]
pub struct Member {
    pub user: User,
    pub uid: UserId,
    /// None for one who only listens.
    messenger: Option<Messenger>,
    history: History,
    telling: Arc<Telling>,
    listening: JoinHandle<()>,
    talking: Option<JoinHandle<()>>,
    leave: CancellationToken,
}

impl Member {
    /// Logs in, and listens from here on.
    pub async fn connect(gate: &str, user: User, journal: &Journal, config: &MessengerConfig) -> Self {
        let uid = uid_of(&user);
        let (email, password) = (&*user.email, &*user.password);
        let starting = Messenger::start(Gate::new(gate).unwrap(), email, password, config.clone(), Cursors::default());
        let (messenger, inbox) = in_time("a first login", starting).await.unwrap();
        let (history, telling) = (journal.history(uid), Arc::new(watch::Sender::new(Story::default())));
        let listening = tokio::spawn(listen(inbox, history.clone(), Arc::clone(&telling)));
        let (messenger, leave) = (Some(messenger), CancellationToken::new());
        Self { user, uid, messenger, history, telling, listening, talking: None, leave }
    }

    /// One who only listens, and whose program ends and starts again all the time until it is `calm`.
    pub(super) fn restless(
        gate: &str,
        user: User,
        journal: &Journal,
        config: &MessengerConfig,
        (seed, calm): (u64, CancellationToken),
    ) -> Self {
        let uid = uid_of(&user);
        let (history, telling) = (journal.history(uid), Arc::new(watch::Sender::new(Story::default())));
        let leave = CancellationToken::new();
        let restless = Restless {
            gate: gate.to_owned(),
            user: user.clone(),
            config: config.clone(),
            history: history.clone(),
            telling: Arc::clone(&telling),
            seed,
            calm,
            leave: leave.clone(),
        };
        let listening = tokio::spawn(restless.run());
        Self { user, uid, messenger: None, history, telling, listening, talking: None, leave }
    }

    /// Whether it talks; if not, it only listens.
    pub fn talks(&self) -> bool {
        self.messenger.is_some()
    }

    /// What happened to it so far. Do not keep: the member's tasks wait for the end of this look.
    pub fn story(&self) -> watch::Ref<'_, Story> {
        self.telling.borrow()
    }

    /// Waits until its story is so.
    ///
    /// # Panics
    /// When that takes longer than `bound`; says what the story was then.
    pub async fn until(&self, what: &str, bound: Duration, so: impl FnMut(&Story) -> bool) {
        let mut told = self.telling.subscribe();
        let waiting = tokio::time::timeout(bound, told.wait_for(so)).await.map(|story| drop(story.unwrap()));
        if waiting.is_err() {
            let story = self.story();
            panic!(
                "{what}: {} ({}) not within {bound:?}: {} unanswered, {} acknowledged, the last {:?} ago, {:?}, {:?}, {:?}",
                self.user.name,
                self.uid,
                story.unanswered,
                story.acknowledged.len(),
                story.acknowledged.last().map(Instant::elapsed),
                story.stretches.iter().rev().take(3).collect::<Vec<_>>(),
                story.refusals.last(),
                story.gave_up
            );
        }
    }

    /// Talks to these friends until told to stop; then waits for the answers that are missing.
    pub(super) fn talk(
        &mut self,
        friends: Vec<UserId>,
        words: Words,
        (window, pause): (usize, Duration),
        stop: CancellationToken,
    ) {
        let Some(messenger) = self.messenger.clone() else { return };
        let history = self.history.clone();
        let telling = Arc::clone(&self.telling);
        self.talking = Some(tokio::spawn(async move {
            talk(&messenger, &history, &telling, (friends, words), (window, pause), stop).await;
        }));
    }

    /// Waits until all is answered.
    pub(super) async fn fall_silent(&mut self, bound: Duration) {
        let Some(talking) = self.talking.take() else { return };
        self.until("all texts are answered", bound, |story| story.unanswered == 0).await;
        in_time("its task ends", talking).await.unwrap();
    }

    /// Says good-bye; what came until then is in the journal.
    pub(super) async fn close(self) {
        self.leave.cancel();
        if let Some(messenger) = self.messenger {
            in_time("a good-bye", messenger.close()).await;
        }
        in_time("the end of its inbox", self.listening).await.unwrap();
    }
}

async fn talk(
    messenger: &Messenger,
    history: &History,
    telling: &Telling,
    (friends, mut words): (Vec<UserId>, Words),
    (window, pause): (usize, Duration),
    stop: CancellationToken,
) {
    let mut pauses = interval(pause);
    pauses.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut under_way = FuturesUnordered::new();
    loop {
        tokio::select! {
            biased;
            Some(_) = under_way.next(), if !under_way.is_empty() => {}
            () = stop.cancelled() => break,
            _ = pauses.tick(), if under_way.len() < window => {
                let (friend, texts) = words.next(friends.len());
                under_way.push(send(messenger, history, telling, friends[friend], texts).await);
            }
        }
    }
    while under_way.next().await.is_some() {}
}

/// Hands texts to the SDK; resolves to the wait for their answer. Both are written down.
async fn send<'a>(
    messenger: &'a Messenger,
    history: &'a History,
    telling: &'a Telling,
    to: UserId,
    texts: Vec<Text>,
) -> impl Future<Output = Result<Vec<Sent>, SendError>> + 'a {
    for text in &texts {
        history.sent(&text.client_id, None, &text.content);
    }
    telling.send_modify(|story| story.unanswered += texts.len());
    let outgoing = messenger.submit(to, texts.clone()).await;
    async move {
        let outcome = match outgoing {
            Ok(outgoing) => outgoing.await,
            Err(error) => Err(error),
        };
        match &outcome {
            Ok(stored) => {
                assert_eq!(stored.len(), texts.len(), "{stored:?}");
                for (text, sent) in texts.iter().zip(stored) {
                    history.acknowledged(&text.client_id, Some(sent.thread_id), sent.seq);
                }
            }
            Err(error) => {
                for text in &texts {
                    history.refused(&text.client_id, code_of(error));
                }
            }
        }
        telling.send_modify(|story| {
            story.unanswered -= texts.len();
            match &outcome {
                Ok(_) => story.acknowledged.push(Instant::now()),
                Err(error) => story.refusals.push(error.to_string()),
            }
        });
        outcome
    }
}

fn uid_of(user: &User) -> UserId {
    UserId(i32::try_from(user.uid).unwrap())
}

/// The server's code, or 0 if the SDK refused by itself.
fn code_of(error: &SendError) -> i32 {
    match error {
        SendError::Refused(code) => code.0,
        _ => 0,
    }
}
