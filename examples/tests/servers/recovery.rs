//! Redis and MariaDB end and come back while four users text each other through both chat servers: what was acknowledged is
//! stored once, nobody is thrown out, and everything goes on (PROTOCOL.md, "Texts").

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{MissedTickBehavior, interval},
};

use crate::support::{
    Backends, RawClient, Topology, User, ids_of, in_time, mariadb::MariaDb, numbers_of, processes, redis::RedisServer,
    texts, until,
};

/// Between two texts of one user.
const GAP: Duration = Duration::from_millis(20);
/// After a restart everything is to flow again within this; asserted with three times as much.
const RECOVERED: Duration = Duration::from_secs(5);
/// 3101 and 3103, the refusals worth a retry.
const RETRY: [i64; 2] = [3101, 3103];

mod real_server {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn texts_outlive_restarts_of_redis_and_of_mariadb() {
        let (mut redis, mut mariadb) = tokio::join!(RedisServer::start(), MariaDb::start(&[]));
        let backends = Backends::on(&redis, &mariadb).await;
        let topology = Topology::start(&backends.processes()).await;
        let (users, talkers) = talk(&topology).await;
        every(&talkers, "has begun", |now, _| now.acknowledged > 10 && now.heard > 10).await;

        // Redis holds nothing that a text needs to be stored.
        redis.kill();
        every(&talkers, "is acknowledged without Redis", |now, then| now.acknowledged > then.acknowledged + 50).await;
        redis.restart().await;
        let ready = Instant::now();
        until("who is where is known again", async || known_again(&backends, &users).await).await;
        let known = ready.elapsed();
        every(&talkers, "hears others again", |now, then| now.heard > then.heard + 10).await;
        println!("Redis: recovered after {} ms, texts are heard after {} ms", ms(known), ms(ready.elapsed()));
        assert!(known < 3 * RECOVERED, "{known:?}");
        topology.until_a_newcomer_gets_in("eve").await;
        println!("Redis: newcomers are in after {} ms", ms(ready.elapsed()));
        // It has forgotten who may log in; they are about to need that, and no gate serves them without MariaDB.
        for user in &users {
            backends.redis::<String>(&["SET", &format!("utoken_{}", user.uid), &user.token]).await;
        }

        mariadb.kill9();
        // Until it has been away for longer than a text may wait, so that refused ones, stored or not, are said again.
        every(&talkers, "is refused", |now, then| now.refused > then.refused).await;
        let before = mark(&talkers);
        let mariadb = mariadb.restart().await;
        let ready = Instant::now();
        until("somebody is acknowledged again", async || {
            talkers
                .iter()
                .zip(&before)
                .any(|(talker, before)| talker.progress.borrow().acknowledged > before.acknowledged)
        })
        .await;
        let first = ready.elapsed();
        every(&talkers, "is acknowledged again", |now, then| now.acknowledged > then.acknowledged + 10).await;
        println!("MariaDB: recovered after {} ms, all after {} ms", ms(first), ms(ready.elapsed()));
        assert!(first < 3 * RECOVERED, "{first:?}");
        topology.until_a_newcomer_gets_in("fay").await;
        every(&talkers, "hears others again", |now, then| now.heard > then.heard + 10).await;

        let mut acknowledged = BTreeMap::new();
        for (talker, user) in talkers.into_iter().zip(&users) {
            for (id, number) in talker.finish().await {
                acknowledged.insert((user.uid, id), number);
            }
        }
        stored_once(&backends, &acknowledged).await;
        topology.assert_no_panic();
        topology.stop().await;
        drop(mariadb);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn servers_that_end_while_redis_is_away_come_back_with_it() {
        let (mut redis, mariadb) = tokio::join!(RedisServer::start(), MariaDb::start(&[]));
        let backends = Backends::on(&redis, &mariadb).await;
        let topology = Topology::start(&backends.processes()).await;
        let mut ada = topology.sign_up("ada").await;
        let servers = processes::children_of(topology.pid());
        redis.kill();
        for &server in &servers {
            processes::signal(server, "KILL").await;
        }
        until("they are tried again", async || topology.log().matches("does not start, trying again").count() >= 5)
            .await;
        redis.restart().await;
        let ready = Instant::now();
        until("both chat servers are back", async || {
            topology.ready_now().chats.iter().all(|chat| !servers.contains(&chat.pid))
        })
        .await;
        topology.until_a_newcomer_gets_in("eve").await;
        println!("five servers: back after {} ms", ms(ready.elapsed()));
        assert!(ready.elapsed() < 3 * RECOVERED, "{:?}", ready.elapsed());
        // Redis has forgotten her token; the gate gives her another.
        topology.log_in_at_gate(&mut ada).await;
        RawClient::log_in(&ada).await.0.assert_alive().await;
        topology.assert_no_panic();
        topology.stop().await;
    }
}

/// Two pairs of friends, everyone's friend being on the other server, all of them talking.
async fn talk(topology: &Topology) -> (Vec<User>, Vec<Talker>) {
    let [first, second] = &topology.ready.chats[..] else { panic!("two") };
    let (mut users, mut talkers) = (Vec::new(), Vec::new());
    for (one, other) in [("ada", "ben"), ("cat", "dan")] {
        let (one, other) = topology.sign_up_friends(one, other).await;
        for (user, friend, chat) in [(&one, &other, first), (&other, &one, second)] {
            let (client, _) = RawClient::log_in_at(&chat.tcp, user, &["coalesced"]).await;
            let home = Home { chat: chat.tcp.clone(), user: user.clone(), friend: friend.uid };
            talkers.push(Talker::start(client, home));
        }
        users.extend([one, other]);
    }
    (users, talkers)
}

/// Whether the keys that a restart of Redis takes away are back.
async fn known_again(backends: &Backends, users: &[User]) -> bool {
    for user in users {
        let keys = [format!("uip_{}", user.uid), format!("usession_{}", user.uid)];
        if backends.redis::<usize>(&["EXISTS", &keys[0], &keys[1]]).await < 2 {
            return false;
        }
    }
    backends.redis::<Vec<Option<String>>>(&["HMGET", "logincount", "chatserver1", "chatserver2"]).await
        == [Some("2".to_owned()), Some("2".to_owned())]
}

/// That there is exactly one row of each acknowledged text, under its number, no row more, and no number missing.
async fn stored_once(backends: &Backends, acknowledged: &BTreeMap<(i64, String), i64>) {
    let texts = "SELECT sender_id, client_id, seq FROM chat_message WHERE content = CONCAT('text ', client_id)";
    let stored = backends.rows(texts).await;
    let mut stored: Vec<_> = stored.iter().map(String::as_str).collect();
    let mut expected: Vec<_> = acknowledged.iter().map(|((uid, id), number)| format!("{uid}|{id}|{number}")).collect();
    stored.sort_unstable();
    expected.sort_unstable();
    assert!(stored == expected, "{} rows of {} acknowledged texts", stored.len(), expected.len());
    println!("{} texts", expected.len());
    let heads = "SELECT COUNT(*) = MAX(m.seq) AND MIN(m.seq) = 1 AND MAX(m.seq) = h.seq
                 AND COUNT(m.client_id) = COUNT(*) - 1
                 FROM chat_message m JOIN thread_head h USING (thread_id) GROUP BY thread_id, h.seq";
    assert_eq!(backends.rows(heads).await, ["1", "1"], "numbers without gaps");
}

fn ms(time: Duration) -> u128 {
    time.as_millis()
}

/// Somebody who says something every 20 ms until told to finish.
struct Talker {
    progress: watch::Receiver<Progress>,
    finish: watch::Sender<bool>,
    task: JoinHandle<HashMap<String, i64>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    acknowledged: usize,
    heard: usize,
    refused: usize,
}

impl Talker {
    fn start(client: RawClient, home: Home) -> Self {
        let (sender, progress) = watch::channel(Progress::default());
        let (finish, finishing) = watch::channel(false);
        Self { progress, finish, task: tokio::spawn(say_and_listen(client, home, sender, finishing)) }
    }

    /// Says nothing new, and returns the numbers of all texts when the last one is acknowledged.
    async fn finish(self) -> HashMap<String, i64> {
        self.finish.send_replace(true);
        in_time("the last acknowledgement", self.task).await.unwrap()
    }
}

/// Where a talker logs in, and whom they talk to.
struct Home {
    chat: String,
    user: User,
    friend: i64,
}

impl Home {
    /// A session as soon as there can be one again.
    async fn back(&self) -> RawClient {
        loop {
            let mut client = RawClient::connect(&self.chat).await;
            if client.log_in_declaring(&self.user, &["coalesced"]).await["error"] == 0 {
                return client;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

async fn say_and_listen(
    mut client: RawClient,
    home: Home,
    progress: watch::Sender<Progress>,
    finishing: watch::Receiver<bool>,
) -> HashMap<String, i64> {
    let (mut next, mut unanswered, mut refused) = (0, VecDeque::<String>::new(), false);
    let mut numbers = HashMap::new();
    let mut tick = interval(GAP);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tick.tick() => {
                if *finishing.borrow() {
                    if unanswered.is_empty() {
                        return numbers;
                    }
                } else if !refused {
                    next += 1;
                    unanswered.push_back(next.to_string());
                    say(&mut client, &home, &next.to_string()).await;
                }
            }
            frame = client.recv_or_cut() => {
                let Some(frame) = frame else {
                    // The server refused what it could not store, and everything behind it: all of it again, in order.
                    assert!(refused, "nobody is thrown out for nothing");
                    refused = false;
                    client = home.back().await;
                    for id in &unanswered {
                        say(&mut client, &home, id).await;
                    }
                    continue;
                };
                match frame.id {
                    1018 => match answer(&frame.body) {
                        Ok((id, number)) => {
                            assert_eq!(unanswered.pop_front().as_ref(), Some(&id), "answered in order");
                            assert_eq!(numbers.insert(id, number), None, "answered once");
                        }
                        Err(_) => {
                            refused = true;
                            progress.send_modify(|progress| progress.refused += 1);
                        }
                    },
                    1019 => progress.send_modify(|progress| progress.heard += numbers_of(&frame.body).len()),
                    other => panic!("{other}: {}", frame.body),
                }
            }
        }
        progress.send_modify(|progress| progress.acknowledged = numbers.len());
    }
}

async fn say(client: &mut RawClient, home: &Home, id: &str) {
    client.send(1017, &texts(home.friend, &[(id, &format!("text {id}"))])).await;
}

/// The number of a text, or its id if it is to be said again.
fn answer(body: &Value) -> Result<(String, i64), String> {
    let error = body["error"].as_i64().unwrap();
    if error == 0 {
        return Ok((ids_of(body)[0].to_owned(), numbers_of(body)[0]));
    }
    assert!(RETRY.contains(&error), "{body}");
    Err(body["text_array"][0]["msgid"].as_str().unwrap().to_owned())
}

fn mark(talkers: &[Talker]) -> Vec<Progress> {
    talkers.iter().map(|talker| *talker.progress.borrow()).collect()
}

/// Waits until each talker is so, compared with what it was.
async fn every(talkers: &[Talker], what: &str, so: impl Fn(&Progress, &Progress) -> bool) {
    for (talker, then) in talkers.iter().zip(mark(talkers)) {
        let mut progress = talker.progress.clone();
        let reached = in_time(what, progress.wait_for(|now| so(now, &then))).await;
        reached.unwrap_or_else(|_| panic!("{what}: a session has ended"));
    }
}
