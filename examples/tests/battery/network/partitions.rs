//! P2, P3 and R2: chat servers that cannot reach each other, Redis or the database, and a Redis that answers late or takes
//! nothing more.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::time::{interval, sleep};

use super::{
    installation::Installation,
    outage::Outage,
    pair::{Pair, Told},
};

use crate::support::{Frame, RawClient, ids_of, numbers_of, servers::redis_commands, texts, until, xor_password};

/// How often a server looks for texts that no hint told it of.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// A text whose database answers is acknowledged within this.
const ANSWERED: Duration = Duration::from_secs(1);
/// How long leases are good for without Redis.
const LEASE: Duration = Duration::from_secs(10);
/// How long a text may wait for the database.
const SEND_DEADLINE: Duration = Duration::from_secs(5);
/// From a return of the database until texts are stored again.
const RECOVERED: Duration = Duration::from_secs(5);

mod real_server {
    use super::*;

    #[tokio::test]
    async fn p2_texts_to_a_server_that_its_peer_cannot_reach_come_within_the_heartbeat_interval() {
        let installation = Installation::start(2).await;
        let mut across = Pair::log_in(installation.friends("ada", "bob").await).await;
        say("all is well", across.tell_each_other(10).await);
        let [first, second] = &installation.chats;
        for outage in Outage::BOTH {
            for (name, unreachable) in [("one way", &[second][..]), ("both ways", &[first, second])] {
                let before = first.counted().await;
                for node in unreachable {
                    outage.begin(&node.peers).await;
                }
                let told = across.tell_each_other(10).await;
                say(&format!("{outage:?} {name}"), told);
                assert!(told.heard < 3 * HEARTBEAT, "{outage:?} {name}: {told:?}");
                let lost = "uschat_peer_events_lost_total";
                until("the loss is counted", async || first.counted().await.since(&before, lost, "") > 0).await;
                for node in unreachable {
                    outage.end(&node.peers).await;
                }
                let told = across.tell_each_other(10).await;
                assert!(told.heard < 3 * HEARTBEAT, "{outage:?} {name} healed: {told:?}");
            }
        }
        let [missed, hears] = ["a peer misses events", "a peer that missed events hears again"];
        println!("logged: {} outages, {} ends", first.logged(missed), first.logged(hears));
        across.assert_alive().await;
        installation.assert_no_panic();
    }

    #[tokio::test]
    async fn p3_without_redis_chat_goes_on() {
        let installation = Installation::start(3).await;
        let mut local = Pair::log_in(installation.friends_at(0, "cat", "dan").await).await;
        let mut across = Pair::log_in(installation.friends("ada", "bob").await).await;
        let cut_off = &installation.chats[0];
        // Once longer than a lease: by the end the others take its users for offline.
        for (outage, time) in [(Outage::Silence, LEASE + HEARTBEAT), (Outage::Refusal, HEARTBEAT)] {
            outage.begin(&cut_off.redis).await;
            let (local, across) = goes_on(&mut local, &mut across, time).await;
            println!("{outage:?}: {local:?} on the server without Redis, {across:?} from and to the other");
            outage.end(&cut_off.redis).await;
            let begin = Instant::now();
            until("its users are known again", async || {
                let commands: Vec<_> =
                    ["uschat:lease:1001", "uschat:lease:1002"].iter().map(|key| format!("EXISTS {key}")).collect();
                let commands: Vec<_> = commands.iter().map(String::as_str).collect();
                redis_commands(&format!("{}/0", installation.redis.url()), &commands).await.matches(":1").count() == 2
            })
            .await;
            println!("{outage:?}: known again after {:?}", begin.elapsed());
            assert!(begin.elapsed() < 3 * LEASE);
        }
        cut_off.logged("cannot announce this server");
        println!("logged: {} lookups that failed", cut_off.logged("cannot ask who holds a user"));
        local.assert_alive().await;
        across.assert_alive().await;
        installation.assert_no_panic();
    }

    #[tokio::test]
    async fn r2_chat_goes_on_while_redis_is_slow_or_full() {
        let installation = Installation::start(4).await;
        let mut local = Pair::log_in(installation.friends_at(0, "cat", "dan").await).await;
        let mut across = Pair::log_in(installation.friends("ada", "bob").await).await;
        let redis = format!("{}/0", installation.redis.url());
        let slow = async {
            for _ in 0..2 {
                redis_commands(&redis, &["DEBUG SLEEP 3"]).await;
            }
        };
        let ((local_told, across_told), ()) = tokio::join!(goes_on(&mut local, &mut across, LEASE / 2), slow);
        println!("slow: {local_told:?} on one server, {across_told:?} on two");
        redis_commands(&redis, &["CONFIG SET maxmemory-policy noeviction", "CONFIG SET maxmemory 1"]).await;
        let (local_told, across_told) = goes_on(&mut local, &mut across, LEASE + HEARTBEAT).await;
        println!("full: {local_told:?} on one server, {across_told:?} on two");
        redis_commands(&redis, &["CONFIG SET maxmemory 0"]).await;
        // The status server took the chat servers for gone; each says again that it lives.
        let begin = Instant::now();
        let login = json!({ "email": local.users[0].email, "passwd": xor_password(&local.users[0].password) });
        until("logins are taken again", async || installation.gate.post("/user_login", &login).await["error"] == 0)
            .await;
        println!("full: logins again after {:?}", begin.elapsed());
        assert!(begin.elapsed() < 3 * RECOVERED, "{:?}", begin.elapsed());
        let eve = installation.gate.sign_up("eve").await;
        RawClient::log_in(&eve).await.0.assert_alive().await;
        installation.chats[0].logged("cannot announce this server");
        local.assert_alive().await;
        across.assert_alive().await;
        installation.assert_no_panic();
    }

    #[tokio::test]
    async fn p3_without_the_database_texts_wait_and_then_are_refused_in_order() {
        let installation = Installation::start(5).await;
        let mut pair = Pair::log_in(installation.friends_at(0, "ada", "bob").await).await;
        let mut others = Pair::log_in(installation.friends_at(1, "cat", "dan").await).await;
        let node = &installation.chats[0];
        for (round, outage) in Outage::BOTH.into_iter().enumerate() {
            // An outage that is shorter than the deadline is not seen.
            outage.begin(&node.sql).await;
            let (told, ()) = tokio::join!(pair.tell(0, 10), async {
                sleep(SEND_DEADLINE / 3).await;
                outage.end(&node.sql).await;
            });
            println!("{outage:?}, short: {told:?}");

            outage.begin(&node.sql).await;
            let begin = Instant::now();
            let ids: Vec<_> = (0..20).map(|number| format!("round-{round}-{number:02}")).collect();
            let frame =
                |id: &String| Frame::bytes(1017, texts(pair.users[1].uid, &[(id, "hello")]).to_string().as_bytes());
            let frames: Vec<u8> = ids.iter().flat_map(frame).collect();
            pair.clients[0].send_bytes(&frames).await;
            let (refused, others_told) =
                tokio::join!(refused_in_order(&mut pair.clients[0]), others.tell_each_other(10));
            let took = begin.elapsed();
            println!(
                "{outage:?}, long: {} of {} refused after {took:?}; elsewhere {others_told:?}",
                refused.len(),
                ids.len()
            );
            assert!(took < 3 * SEND_DEADLINE, "{took:?}");
            assert!(!refused.is_empty() && ids.starts_with(&refused), "in order: {refused:?}");
            outage.end(&node.sql).await;
            let healed = Instant::now();

            // In a new session, in their order, with their ids.
            pair.clients[0] = until_logged_in(&pair).await;
            pair.clients[0].send_bytes(&frames).await;
            let mut numbers = Vec::new();
            for id in &ids {
                let answer = pair.clients[0].skip_to(1018).await;
                assert_eq!(ids_of(&answer), [id]);
                numbers.extend(numbers_of(&answer));
            }
            println!("{outage:?}: stored again after {:?}", healed.elapsed());
            assert!(healed.elapsed() < 3 * RECOVERED, "{:?}", healed.elapsed());
            let expected: Vec<_> = (pair.head + 1..=pair.head + 20).collect();
            assert_eq!(numbers, expected, "each once, in the order of sending");
            pair.head += 20;
            pair.tell(1, 5).await;
            let count = format!("SELECT COUNT(*) FROM chat_message WHERE client_id LIKE 'round-{round}-%'");
            assert_eq!(installation.rows(&count).await, ["20"]);
        }
        node.logged("storing texts");
        installation.assert_no_panic();
    }
}

/// Both pairs text each other, four texts a turn, for so long; the slowest turn of each.
async fn goes_on(local: &mut Pair, across: &mut Pair, time: Duration) -> (Told, Told) {
    let begin = Instant::now();
    let talk = async |pair: &mut Pair| {
        let mut ticks = interval(Duration::from_millis(100));
        let mut slowest = Told { acknowledged: Duration::ZERO, heard: Duration::ZERO };
        let mut turns = 0;
        while begin.elapsed() < time {
            ticks.tick().await;
            turns += 1;
            let told = pair.tell_each_other(2).await;
            slowest.acknowledged = slowest.acknowledged.max(told.acknowledged);
            slowest.heard = slowest.heard.max(told.heard);
        }
        println!("{turns} turns in {:?}", begin.elapsed());
        slowest
    };
    let (local, across) = tokio::join!(talk(local), talk(across));
    // Redis has no part in it.
    assert!(local.acknowledged < 3 * ANSWERED && across.acknowledged < 3 * ANSWERED, "{local:?} {across:?}");
    // Who cannot be found by a lease is found by the next look at the database.
    assert!(local.heard < 3 * HEARTBEAT && across.heard < 3 * HEARTBEAT, "{local:?} {across:?}");
    (local, across)
}

/// The ids of refused texts until the server closes; nothing must be acknowledged behind a refusal.
async fn refused_in_order(client: &mut RawClient) -> Vec<String> {
    let mut refused = Vec::new();
    while let Some(frame) = client.recv_or_cut().await {
        if frame.id != 1018 {
            continue;
        }
        let error = frame.body["error"].as_i64().unwrap();
        assert!([3101, 3103].contains(&error), "worth a retry: {}", frame.body);
        refused.push(frame.body["text_array"][0]["msgid"].as_str().unwrap().to_owned());
    }
    refused
}

/// A new session of the first of them, as soon as the server can ask the database again.
async fn until_logged_in(pair: &Pair) -> RawClient {
    let mut session = None;
    until("a login", async || {
        let mut client = RawClient::connect(&pair.users[0].chat_address()).await;
        let reply: Value = client.log_in_declaring(&pair.users[0], &["coalesced"]).await;
        let done = reply["error"] == 0;
        assert!(done || reply["error"] == 3101, "{reply}");
        session = Some(client);
        done
    })
    .await;
    session.unwrap()
}

fn say(what: &str, told: Told) {
    println!("{what}: acknowledged after {:?}, heard after {:?}", told.acknowledged, told.heard);
}
