//! A store of texts without any cleverness, and a random mix of requests that the real one must answer alike.

use std::{collections::HashMap, fmt::Debug};

use futures_util::future::join_all;
use uschat_proto::chat::{MessageKey, ThreadId, UserId};
use uschat_server::store::{NewTexts, Progress, Standing, StoredTexts, SubmitError};

use super::{Stores, texts};

/// What both must agree on: for each text its conversation, number and content, and how many were new; or the refusal.
type Outcome = Result<(Vec<(ThreadId, i64, String)>, usize), &'static str>;

struct Text {
    sender: UserId,
    receiver: UserId,
    id: Option<String>,
    thread: ThreadId,
    seq: i64,
    content: String,
}

struct Model {
    /// Pairs of friends in both orders, with their conversation.
    friends: Vec<(UserId, UserId, ThreadId)>,
    texts: Vec<Text>,
}

impl Model {
    fn submit(&mut self, request: &NewTexts) -> Outcome {
        let stored = |model: &Self, id: &Option<String>| {
            let is_it = |text: &Text| text.sender == request.sender && text.id == *id;
            id.as_ref().and_then(|_| model.texts.iter().position(is_it))
        };
        let mut all_stored = true;
        for (n, new) in request.texts.iter().enumerate() {
            let twice = |other: &uschat_server::store::NewText| {
                other.client_id == new.client_id && other.content != new.content
            };
            if new.client_id.is_some() && request.texts[..n].iter().any(twice) {
                return Err("reused");
            }
            match stored(self, &new.client_id).map(|at| &self.texts[at]) {
                Some(text) if text.content != new.content || text.receiver != request.receiver => return Err("reused"),
                Some(_) => {}
                None => all_stored = false,
            }
        }
        let friends = self.friends.iter().find(|(one, other, _)| (*one, *other) == (request.sender, request.receiver));
        let thread = friends.map(|&(_, _, thread)| thread);
        if !all_stored {
            if request.thread.is_some() && request.thread != thread {
                return Err("not a member");
            }
            if thread.is_none() {
                return Err("not friends");
            }
        }
        let mut outcome = Vec::new();
        let mut fresh = 0;
        for new in &request.texts {
            let at = stored(self, &new.client_id).unwrap_or_else(|| {
                let thread = thread.unwrap();
                // The greeting is number 1.
                let seq = 2 + self.texts.iter().filter(|text| text.thread == thread).count() as i64;
                let (id, content) = (new.client_id.clone(), new.content.clone());
                self.texts.push(Text { sender: request.sender, receiver: request.receiver, id, thread, seq, content });
                fresh += 1;
                self.texts.len() - 1
            });
            let text = &self.texts[at];
            outcome.push((text.thread, text.seq, text.content.clone()));
        }
        Ok((outcome, fresh))
    }
}

fn comparable(outcome: Result<StoredTexts, SubmitError>) -> Outcome {
    match outcome {
        Ok(stored) => {
            Ok((stored.texts.into_iter().map(|text| (text.thread, text.seq, text.content)).collect(), stored.fresh))
        }
        Err(SubmitError::ClientIdReused) => Err("reused"),
        Err(SubmitError::NotAMember) => Err("not a member"),
        Err(SubmitError::NotFriends) => Err("not friends"),
        Err(other) => panic!("{other}"),
    }
}

/// xorshift64*: the same mix every time.
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32) % sides
    }

    fn pick<'a, T: Debug>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.throw(from.len() as u64) as usize]
    }
}

pub async fn random_requests_agree(stores: Stores) {
    let mut users = Vec::new();
    for name in ["ada", "bob", "cy", "dan"] {
        users.push(stores.user(name).await);
    }
    let mut model = Model { friends: Vec::new(), texts: Vec::new() };
    for (one, other) in [(0, 1), (1, 2), (3, 0)] {
        let thread = stores.befriend(users[one], users[other]).await.thread_id;
        model.friends.extend([(users[one], users[other], thread), (users[other], users[one], thread)]);
    }
    let threads: Vec<_> = model.friends.iter().map(|&(_, _, thread)| thread).collect();

    let mut dice = Dice(0x5EED);
    let mut refused = 0;
    for window in 0..60 {
        // Few ids and contents, so that retries and clashes are common, also inside one commit.
        let ids: Vec<String> = (window / 3..window / 3 + 8).map(|n| format!("id{n}")).collect();
        let requests: Vec<NewTexts> = (0..dice.throw(40) + 1)
            .map(|_| {
                let new: Vec<(String, &str)> = (0..dice.throw(4) + 1)
                    .map(|_| {
                        let id = if dice.throw(3) == 0 { String::new() } else { dice.pick(&ids).clone() };
                        (id, *dice.pick(&["same", "same", "same", "other"]))
                    })
                    .collect();
                let new: Vec<_> = new.iter().map(|(id, content)| (id.as_str(), *content)).collect();
                let thread = (dice.throw(4) == 0).then(|| *dice.pick(&threads));
                let (sender, receiver) = (*dice.pick(&users), *dice.pick(&users));
                NewTexts { thread, ..texts(sender, receiver, &new) }
            })
            .collect();
        let receipts: Vec<_> = requests.iter().map(|request| stores.conversations.submit(request.clone())).collect();
        for (request, outcome) in requests.iter().zip(join_all(receipts).await) {
            let expected = model.submit(request);
            refused += usize::from(expected.is_err());
            assert_eq!(comparable(outcome), expected, "window {window}: {request:?}");
        }
    }
    assert!(refused > 100 && model.texts.len() > 100, "the mix is one-sided: {refused} refused, {}", model.texts.len());

    for thread in threads {
        let stored: Vec<_> =
            stores.all(thread).await.into_iter().skip(1).map(|it| (it.sender, it.seq, it.content)).collect();
        let expected = model.texts.iter().filter(|text| text.thread == thread);
        let expected: Vec<_> = expected.map(|text| (text.sender, text.seq, text.content.clone())).collect();
        assert_eq!(stored, expected);
    }
}

/// How far everybody has got, kept without any cleverness.
#[derive(Default)]
struct Ledger {
    /// Each conversation's users and the number given last, the one that moved last at the end.
    threads: Vec<(ThreadId, [UserId; 2], i64)>,
    fences: HashMap<UserId, i64>,
    /// What was delivered to, and read by, whom.
    progress: HashMap<(UserId, ThreadId), (i64, i64)>,
}

impl Ledger {
    fn says(&mut self, thread: ThreadId, count: i64) {
        let at = self.threads.iter().position(|(it, ..)| *it == thread).unwrap();
        let (thread, users, head) = self.threads.remove(at);
        self.threads.push((thread, users, head + count));
    }

    fn record(&mut self, news: &Progress) {
        let Some(&(_, users, head)) = self.threads.iter().find(|(thread, ..)| *thread == news.thread) else { return };
        if users.contains(&news.uid) && self.fences.get(&news.uid) == Some(&news.fence) {
            let (delivered, read) = self.progress.entry((news.uid, news.thread)).or_default();
            *delivered = (*delivered).max(news.delivered.min(head));
            *read = (*read).max(news.read.min(head));
        }
    }

    /// By conversation.
    fn standings(&self, uid: UserId) -> Vec<Standing> {
        let own = self.threads.iter().filter(|(_, users, _)| users.contains(&uid));
        let mut standings: Vec<_> = own
            .map(|&(thread, users, head)| {
                let (delivered, read) = self.progress.get(&(uid, thread)).copied().unwrap_or_default();
                let peer = if users[0] == uid { users[1] } else { users[0] };
                Standing { thread, peer, head, delivered, read }
            })
            .collect();
        standings.sort_by_key(|standing| standing.thread);
        standings
    }

    async fn agrees(&self, stores: &Stores, users: &[UserId]) {
        let all: Vec<_> = self.threads.iter().map(|(thread, ..)| *thread).collect();
        for &uid in users {
            let expected = self.standings(uid);
            let mut standings = stores.conversations.standings(uid, &all).await.unwrap();
            standings.sort_by_key(|standing| standing.thread);
            assert_eq!(standings, expected, "of {uid}");
            let waiting = stores.conversations.waiting(uid, ThreadId(0), usize::MAX).await.unwrap();
            let expected: Vec<_> = expected.into_iter().filter(|it| it.head > it.delivered).collect();
            assert_eq!(waiting, expected, "what waits for {uid}");
        }
        let heads = stores.conversations.heads_after(MessageKey(0), usize::MAX).await.unwrap();
        let heads: Vec<_> = heads.into_iter().map(|head| (head.thread, head.users, head.seq)).collect();
        assert_eq!(heads, self.threads);
    }
}

pub async fn random_progress_agrees(stores: Stores) {
    let mut users = Vec::new();
    for name in ["ada", "bob", "cy", "dan"] {
        users.push(stores.user(name).await);
    }
    let mut ledger = Ledger::default();
    for (one, other) in [(0, 1), (1, 2), (3, 0), (2, 3)] {
        let thread = stores.befriend(users[one], users[other]).await.thread_id;
        ledger.threads.push((thread, [users[one.min(other)], users[one.max(other)]], 1));
    }
    let threads: Vec<_> = ledger.threads.iter().map(|(thread, ..)| *thread).collect();

    let mut dice = Dice(0xFEED);
    for step in 0..200 {
        match dice.throw(8) {
            0 => {
                let uid = *dice.pick(&users);
                ledger.fences.insert(uid, stores.accounts.next_fence(uid).await.unwrap());
            }
            1..4 => {
                let &(thread, [one, other], _) = dice.pick(&ledger.threads);
                let count = dice.throw(4) + 1;
                let new = vec![("", "text"); count as usize];
                stores.conversations.submit(texts(one, other, &new)).await.unwrap();
                ledger.says(thread, count as i64);
            }
            _ => {
                let mut news = Vec::new();
                for _ in 0..dice.throw(6) {
                    let (uid, thread) = (*dice.pick(&users), *dice.pick(&threads));
                    // One in five comes from a session that is not the last one.
                    let fence = ledger.fences.get(&uid).copied().unwrap_or(0) + i64::from(dice.throw(5) == 0);
                    let [delivered, read] = [(); 2].map(|()| dice.throw(60) as i64 - 5);
                    news.push(Progress { uid, fence, thread, delivered, read });
                }
                stores.conversations.record_progress(&news).await.unwrap();
                news.iter().for_each(|news| ledger.record(news));
            }
        }
        if step % 10 == 9 {
            ledger.agrees(&stores, &users).await;
        }
    }
    let moved = ledger.progress.values().filter(|(delivered, read)| delivered != read).count();
    assert!(moved > 5 && users.iter().any(|&uid| ledger.standings(uid).iter().any(|it| it.head > it.delivered)));
}
