//! The README's five minutes with a process for each server, and what that leaves in Redis and MariaDB: the keys and rows
//! that the original servers know.

use serde_json::Value;

use crate::support::{Backends, Topology, processes, tour, until};

mod real_server {
    use super::*;

    #[tokio::test]
    async fn the_tour_with_a_process_for_each_server() {
        let backends = Backends::shared().await;
        let mut topology = Topology::start(&backends.processes()).await;
        each_server_has_a_process(&topology);
        let (mut ada, ben) = tour(&topology).await;
        assert_eq!(ada.ask("search ben").await, "ok search 1002 ben");

        let places = places(&backends).await;
        keys(&backends, &places).await;
        rows(&backends).await;

        assert_eq!(ada.finish().await, (Some(0), vec![]));
        let left = until("the keys of who left are gone", async || {
            backends.redis::<usize>(&["EXISTS", "uip_1001", "usession_1001", "uschat:lease:1001"]).await == 0
        });
        println!("the keys of who left were gone after {} ms", left.await.as_millis());
        assert_eq!(backends.redis::<usize>(&["EXISTS", "uip_1002", "usession_1002", "utoken_1001"]).await, 3);

        let children = processes::children_of(topology.pid());
        topology.signal("TERM").await;
        assert_eq!(topology.wait().await, Some(0), "{}", topology.log());
        assert_eq!(processes::living_of(&children), [].into());
        assert!(!topology.ready_file().exists());
        assert_eq!(backends.redis::<usize>(&["EXISTS", "logincount", "uip_1002", "usession_1002"]).await, 0);
        let (_, last) = ben.finish().await;
        assert!(last[0].starts_with("disconnected: "), "{last:?}");
        topology.assert_no_panic();
    }
}

#[track_caller]
fn each_server_has_a_process(topology: &Topology) {
    let chats = &topology.ready.chats;
    let names: Vec<_> = chats.iter().map(|chat| chat.name.as_str()).collect();
    assert_eq!(names, ["chatserver1", "chatserver2"]);
    assert_ne!(chats[0].pid, chats[1].pid);
    let children = processes::children_of(topology.pid());
    assert_eq!(children.len(), 5, "gate, verify, status and two chat servers");
    assert!(chats.iter().all(|chat| children.contains(&chat.pid)), "{chats:?} {children:?}");
}

/// The chat server that each of the two is on.
async fn places(backends: &Backends) -> [String; 2] {
    let places: Vec<String> = backends.redis(&["MGET", "uip_1001", "uip_1002"]).await;
    let mut sorted = places.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, ["chatserver1", "chatserver2"], "not both on one server");
    places.try_into().unwrap()
}

async fn keys(backends: &Backends, places: &[String; 2]) {
    // Servers count their sessions every two seconds.
    until("both servers count one session", async || {
        let count: Vec<String> = backends.redis(&["HMGET", "logincount", &places[0], &places[1]]).await;
        count == ["1", "1"]
    })
    .await;
    let mut all: Vec<String> = backends.redis(&["KEYS", "*"]).await;
    all.retain(|key| !key.starts_with("uschat:"));
    all.sort_unstable();
    let expected = [
        "logincount",
        "nameinfo_ada",
        "nameinfo_ben",
        "ubaseinfo_1001",
        "ubaseinfo_1002",
        "uip_1001",
        "uip_1002",
        "usession_1001",
        "usession_1002",
        "utoken_1001",
        "utoken_1002",
    ];
    assert_eq!(all, expected, "no code_ that was spent, no lock: that was released");

    for (uid, name) in [("1001", "ada"), ("1002", "ben")] {
        for key in [format!("ubaseinfo_{uid}"), format!("nameinfo_{name}")] {
            let text: String = backends.redis(&["GET", &key]).await;
            let profile: Value = serde_json::from_str(&text).unwrap();
            assert_eq!((profile["uid"].to_string().as_str(), profile["name"].as_str()), (uid, Some(name)), "{profile}");
            assert_eq!(profile.get("pwd"), None, "{profile}");
        }
        let token: String = backends.redis(&["GET", &format!("utoken_{uid}")]).await;
        let shape: String = token.chars().map(|c| if c.is_ascii_hexdigit() { 'x' } else { c }).collect();
        assert_eq!(shape, "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx");
        assert_ne!(backends.redis::<String>(&["GET", &format!("usession_{uid}")]).await, "");
    }
}

async fn rows(backends: &Backends) {
    let users = "SELECT uid, name, email, nick, `desc`, sex, icon <> '', pwd LIKE '$argon2id$%' FROM user ORDER BY uid";
    assert_eq!(
        backends.rows(users).await,
        ["1001|ada|ada@example.org|ada||0|1|1", "1002|ben|ben@example.org|ben||0|1|1"]
    );
    assert_eq!(backends.rows("SELECT id FROM user_id").await, ["1002"]);
    let friends = "SELECT self_id, friend_id, back FROM friend ORDER BY self_id";
    assert_eq!(backends.rows(friends).await, ["1001|1002|Benny", "1002|1001|"]);
    let applications = "SELECT from_uid, to_uid, status, descs, back_name FROM friend_apply";
    assert_eq!(backends.rows(applications).await, ["1002|1001|1|It is me, Ben|"]);
    assert_eq!(backends.rows("SELECT id, type FROM chat_thread").await, ["1|private"]);
    let pair = "SELECT thread_id, LEAST(user1_id, user2_id), GREATEST(user1_id, user2_id) FROM private_chat";
    assert_eq!(backends.rows(pair).await, ["1|1001|1002"]);
    assert_eq!(backends.rows("SELECT thread_id, seq FROM thread_head").await, ["1|4"]);
    // The clients choose ids for what they say; the texts a friendship begins with have none.
    let texts =
        "SELECT seq, message_id, thread_id, sender_id, recv_id, content, client_id IS NULL, status FROM chat_message
                 ORDER BY seq";
    assert_eq!(
        backends.rows(texts).await,
        [
            "1|1|1|1002|1001|It is me, Ben|1|2",
            "2|2|1|1001|1002|We are friends now, let's chat!|1|2",
            "3|3|1|1001|1002|hello, 你好|0|2",
            "4|4|1|1002|1001|hello, Countess|0|2",
        ]
    );
}
