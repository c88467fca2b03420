//! A server that is told to stop keeps what it acknowledged, says good-bye, and ends (PROTOCOL.md, "Drain").

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::sync::Barrier;

use crate::support::{Frame, RawClient, Topology, User, ids_of, numbers_of, texts};

const PAIRS: usize = 10;
const UNDER_WAY: usize = 32;
const DRAIN: Duration = Duration::from_secs(10);

#[tokio::test]
async fn twenty_sessions_in_full_flow() {
    let topology = Topology::start(&[]).await;
    let pairs =
        (0..PAIRS).map(async |number| topology.sign_up_friends(&format!("ada{number}"), &format!("bob{number}")).await);
    let mut pairs = join_all(pairs).await;
    let mut sessions = Vec::new();
    for (ada, bob) in &pairs {
        for (user, friend) in [(ada, bob), (bob, ada)] {
            let client = RawClient::log_in_coalesced(user).await;
            sessions.push((client, friend.clone()));
        }
    }
    // Strangers are told too.
    let mut stranger = RawClient::connect(&topology.ready.chats[0].tcp).await;

    let flowing = Barrier::new(sessions.len() + 1);
    let talking = join_all(sessions.into_iter().map(|(client, friend)| talk_to_the_end(client, friend, &flowing)));
    let stopping = async {
        flowing.wait().await;
        let begin = Instant::now();
        let directory = topology.stop().await;
        assert!(begin.elapsed() < DRAIN, "{:?}", begin.elapsed());
        directory
    };
    let stranger = async {
        assert_eq!(stranger.expect(3002).await, json!({ "error": 0 }));
        stranger.expect_clean_end().await;
    };
    let (acknowledged, directory, ()) = tokio::join!(talking, stopping, stranger);

    let topology = Topology::start_in(directory, &[], &[]).await;
    let checks = pairs.iter_mut().zip(acknowledged.chunks(2)).map(async |((ada, bob), said)| {
        topology.log_in_at_gate(ada).await;
        topology.log_in_at_gate(bob).await;
        let mut all = still_there(ada, bob, &said[0]).await;
        all.extend(still_there(bob, ada, &said[1]).await);
        all
    });
    let numbers = join_all(checks).await;
    for mut numbers in numbers {
        // Number 1 is the line that they are friends. Nothing was stored that was not acknowledged, too.
        numbers.sort_unstable();
        assert!(numbers.len() >= 2 * UNDER_WAY);
        assert_eq!(numbers, (2..).take(numbers.len()).collect::<Vec<_>>());
    }
    topology.assert_no_panic();
}

/// Keeps texts under way until the server says good-bye and closes; returns what was acknowledged.
async fn talk_to_the_end(mut client: RawClient, friend: User, flowing: &Barrier) -> Vec<Value> {
    let mut acknowledged: Vec<Value> = Vec::new();
    let mut sent = UNDER_WAY;
    let frame = |number: usize| {
        let id = format!("c{number}");
        Frame::bytes(1017, texts(friend.uid, &[(&id, "hello")]).to_string().as_bytes())
    };
    client.send_bytes(&(0..sent).flat_map(frame).collect::<Vec<u8>>()).await;
    loop {
        let Frame { id, body } = client.recv().await.expect("3002 before the end");
        match id {
            1018 => {
                assert_eq!(body["error"], 0, "{body}");
                assert_eq!(ids_of(&body), [format!("c{}", acknowledged.len())]);
                acknowledged.push(body);
                // Who stops reading at the good-bye may find the connection closed under its last requests.
                if client.try_send_bytes(&frame(sent)).await {
                    sent += 1;
                }
                if acknowledged.len() == UNDER_WAY {
                    flowing.wait().await;
                }
            }
            1019 => {}
            3002 => break assert_eq!(body, json!({ "error": 0 })),
            other => panic!("{other}: {body}"),
        }
    }
    client.expect_clean_end().await;
    acknowledged
}

/// That every acknowledged text gets its first result again; returns their numbers.
async fn still_there(user: &User, friend: &User, acknowledged: &[Value]) -> Vec<i64> {
    let mut client = RawClient::log_in_coalesced(user).await;
    let mut numbers = Vec::new();
    for first in acknowledged {
        let id = ids_of(first)[0];
        assert_eq!(client.say(friend, id, "hello").await, *first);
        numbers.extend(numbers_of(first));
    }
    numbers
}
