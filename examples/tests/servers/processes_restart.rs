//! A server's process that ends unasked comes back, and nothing else notices (`topology --processes`).

use std::{
    collections::BTreeSet,
    fs::File,
    io::Read,
    net::TcpListener,
    os::unix::fs::MetadataExt,
    time::{Duration, Instant},
};

use serde_json::json;
use tokio::{
    net::TcpStream,
    time::{sleep, timeout},
};

use crate::support::{Backends, Frame, RawClient, Ready, Topology, User, ids_of, processes, texts, until};

/// Within this a server is to be back; asserted with three times as much.
const BACK: Duration = Duration::from_secs(1);

/// Texts on their way when their server is killed.
const BURST: usize = 100;

mod real_server {
    use super::*;

    #[tokio::test]
    async fn a_killed_chat_server_comes_back_and_the_other_does_not_notice() {
        let backends = Backends::shared().await;
        let topology = Topology::start(&backends.processes()).await;
        let [first, second] = &topology.ready.chats[..] else { panic!("two") };
        let (ada, ben) = topology.sign_up_friends("ada", "ben").await;
        let cat = topology.sign_up("cat").await;
        topology.befriend(&cat, &ben).await;
        let (mut on_first, _) = RawClient::log_in_at(&first.tcp, &ada, &[]).await;
        let (mut one, _) = RawClient::log_in_at(&second.tcp, &ben, &[]).await;
        let (mut other, _) = RawClient::log_in_at(&second.tcp, &cat, &[]).await;
        pass(&mut on_first, &ben, &mut one, "before").await;

        let reader = topology.watch_ready_file();
        let mut opened_before = File::open(topology.ready_file()).unwrap();
        let burst: Vec<_> = (0..BURST).map(|number| texts(ben.uid, &[(&format!("burst {number}"), "quick")])).collect();
        let frames = burst.iter().flat_map(|text| Frame::bytes(1017, text.to_string().as_bytes()));
        on_first.send_bytes(&frames.collect::<Vec<_>>()).await;
        let mut acknowledged = vec![on_first.skip_to(1018).await];
        processes::signal(first.pid, "KILL").await;
        let killed = Instant::now();
        pass(&mut one, &cat, &mut other, "meanwhile").await;
        pass(&mut other, &ben, &mut one, "meanwhile").await;
        until("it accepts again", async || TcpStream::connect(&first.tcp).await.is_ok()).await;
        let accepts = killed.elapsed();
        while let Some(frame) = on_first.recv_or_cut().await {
            acknowledged.push(frame.body);
        }

        let (mut again, reply) = RawClient::log_in_at(&first.tcp, &ada, &[]).await;
        let logged_in = killed.elapsed();
        println!("a killed chat server: accepts after {accepts:?}, login after {logged_in:?}");
        assert!(logged_in < 3 * BACK, "{logged_in:?}");
        assert_eq!(reply["token"], ada.token.as_str());
        assert_eq!(reply["friend_list"][0]["uid"], ben.uid, "{reply}");
        pass(&mut again, &ben, &mut one, "after").await;
        let heard = until_heard(&mut one, &ada, &mut again, "again").await;
        println!("a killed chat server: hears the other {heard:?} after the login");
        assert!(heard < 3 * BACK, "{heard:?}");
        // Nobody knows which of those without an acknowledgement are stored. Said again, all are, and once.
        for (number, text) in burst.iter().enumerate() {
            let stored = again.ask(1017, text).await;
            assert_eq!(stored["error"], 0, "{stored}");
            assert!(acknowledged.get(number).is_none_or(|first| *first == stored), "{acknowledged:?} {stored}");
        }
        let gaps = "SELECT MIN(seq), MAX(seq) - COUNT(*) FROM chat_message GROUP BY thread_id";
        assert_eq!(backends.rows(gaps).await, ["1|0", "1|0"], "numbered without gaps");
        let stored = "SELECT COUNT(*) FROM chat_message WHERE client_id LIKE 'burst %'";
        assert_eq!(backends.rows(stored).await, [BURST.to_string()]);
        assert_answers(&mut one).await;
        assert_answers(&mut other).await;

        let seen = reader.until(|ready| ready.chats[0].pid != first.pid).await;
        let mut expected = topology.ready.clone();
        expected.chats[0].pid = seen.last().unwrap().chats[0].pid;
        assert_eq!(seen, [topology.ready.clone(), expected], "nothing but the one process changed");
        // Who had opened it before still reads the whole of the old one: it was replaced, not written over.
        let mut old = String::new();
        opened_before.read_to_string(&mut old).unwrap();
        assert_eq!(serde_json::from_str::<Ready>(&old).unwrap(), topology.ready);
        let id = |metadata: std::io::Result<std::fs::Metadata>| metadata.unwrap().ino();
        assert_ne!(id(opened_before.metadata()), id(topology.ready_file().metadata()));
        topology.assert_no_panic();
        topology.stop().await;
    }

    #[tokio::test]
    async fn gate_status_and_verify_come_back_and_newcomers_are_let_in() {
        let backends = Backends::shared().await;
        let topology = Topology::start(&backends.processes()).await;
        let (ada, ben) = topology.sign_up_friends("ada", "ben").await;
        let (mut one, _) = RawClient::log_in(&ada).await;
        let (mut other, _) = RawClient::log_in(&ben).await;
        let chats: BTreeSet<_> = topology.ready.chats.iter().map(|chat| chat.pid).collect();
        let others = &processes::children_of(topology.pid()) - &chats;
        assert_eq!(others.len(), 3);
        for process in others {
            processes::signal(process, "KILL").await;
            let killed = Instant::now();
            pass(&mut one, &ben, &mut other, &format!("without {process}")).await;
            until("another process", async || {
                let children = processes::children_of(topology.pid());
                children.len() == 5 && !children.contains(&process)
            })
            .await;
            topology.until_a_newcomer_gets_in(&format!("after{process}x")).await;
            let took = killed.elapsed();
            println!("killed one of gate, status, verify: a newcomer was in after {took:?}");
            assert!(took < 3 * BACK, "{took:?}: {}", topology.log());
        }
        for name in ["gate", "status", "verify"] {
            let log = topology.log();
            assert!(log.lines().any(|line| line.contains("starting it again") && line.contains(name)), "{name}: {log}");
        }
        assert_eq!(topology.ready_now(), topology.ready, "the same ports, and no chat server was touched");
        assert_answers(&mut one).await;
        topology.assert_no_panic();
        topology.stop().await;
    }

    #[tokio::test]
    async fn one_that_is_told_to_end_drains_and_comes_back_when_its_port_is_free() {
        let backends = Backends::shared().await;
        let topology = Topology::start(&backends.processes()).await;
        let [first, second] = &topology.ready.chats[..] else { panic!("two") };
        let (ada, ben) = topology.sign_up_friends("ada", "ben").await;
        let (mut on_first, _) = RawClient::log_in_at(&first.tcp, &ada, &[]).await;
        let (mut on_second, _) = RawClient::log_in_at(&second.tcp, &ben, &[]).await;

        // Told to end: good-bye, and back.
        let reader = topology.watch_ready_file();
        processes::signal(first.pid, "TERM").await;
        assert_eq!(on_first.expect(3002).await, json!({ "error": 0 }));
        on_first.expect_clean_end().await;
        let seen = reader.until(|ready| ready.chats[0].pid != first.pid).await;
        let mut now = seen.last().unwrap().chats[0].pid;
        let (mut on_first, _) = RawClient::log_in_at(&first.tcp, &ada, &[]).await;

        // Frozen for longer than a heartbeat: that is no end.
        until_heard(&mut on_second, &ada, &mut on_first, "back").await;
        let before = processes::children_of(topology.pid());
        processes::signal(now, "STOP").await;
        for text in 0..12 {
            assert_eq!(on_second.say(&ada, &format!("frozen {text}"), "wake up").await["error"], 0);
            sleep(Duration::from_millis(200)).await;
        }
        processes::signal(now, "CONT").await;
        assert_answers(&mut on_first).await;
        pass(&mut on_first, &ben, &mut on_second, "awake").await;
        until_heard(&mut on_second, &ada, &mut on_first, "thawed").await;
        assert_eq!(processes::children_of(topology.pid()), before);
        assert_eq!(topology.ready_now().chats[0].pid, now);

        // Somebody else has its port: it is tried until that has gone.
        let taken = loop {
            processes::signal(now, "KILL").await;
            let mut taken = None;
            until("its port is taken, by us or by the next process", async || {
                taken = taken.take().or_else(|| TcpListener::bind(&first.tcp).ok());
                taken.is_some() || topology.ready_now().chats[0].pid != now
            })
            .await;
            match taken {
                Some(taken) => break taken,
                None => now = topology.ready_now().chats[0].pid,
            }
        };
        until("it has tried twice", async || topology.log().matches("does not start, trying again").count() >= 2).await;
        assert!(topology.log().contains("is in use"), "{}", topology.log());
        assert_eq!(on_second.say(&ada, "meanwhile", "are you there?").await["error"], 0);
        let reader = topology.watch_ready_file();
        drop(taken);
        let freed = Instant::now();
        reader.until(|ready| ready.chats[0].pid != now).await;
        // At most a second between two attempts.
        assert!(freed.elapsed() < 3 * (BACK + Duration::from_secs(1)), "{:?}", freed.elapsed());
        RawClient::log_in_at(&first.tcp, &ada, &[]).await;
        assert_answers(&mut on_second).await;
        topology.assert_no_panic();
        topology.stop().await;
    }
}

/// One text, acknowledged and heard.
async fn pass(sender: &mut RawClient, to: &User, receiver: &mut RawClient, id: &str) {
    let stored = sender.say(to, id, "a text").await;
    assert_eq!(stored["error"], 0, "{stored}");
    hear(receiver, id).await;
}

/// Waits for the text with this id; others may come before it.
async fn hear(receiver: &mut RawClient, id: &str) {
    while !ids_of(&receiver.skip_to(1019).await).contains(&id) {}
}

/// Says something until it is heard; returns how long that took. What is said to a server that just came back may be stored
/// and not heard.
async fn until_heard(sender: &mut RawClient, to: &User, receiver: &mut RawClient, id: &str) -> Duration {
    let begin = Instant::now();
    for text in 0.. {
        let id = format!("{id} {text}");
        let stored = sender.say(to, &id, "?").await;
        assert_eq!(stored["error"], 0, "{stored}");
        if timeout(Duration::from_millis(100), hear(receiver, &id)).await.is_ok() {
            break;
        }
    }
    begin.elapsed()
}

/// That the session answers; texts may come before that.
async fn assert_answers(client: &mut RawClient) {
    client.send(1023, &json!({})).await;
    assert_eq!(client.skip_to(1024).await, json!({ "error": 0 }));
}
