//! A receiver who does not read costs nobody else anything (PROTOCOL.md, "The chat connection").

use std::{
    fs,
    time::{Duration, Instant},
};

use tokio::sync::watch;

use crate::support::{Frame, RawClient, Topology, User, in_time, numbers_of, texts};

const TEXTS: usize = 3_000;
const WINDOW: usize = 32;
const MOST_GROWTH_KIB: u64 = 64 * 1024;

#[tokio::test]
async fn the_sender_the_others_and_the_memory_notice_nothing() {
    for (server, name) in [(0, "on the sender's server"), (1, "on another server")] {
        let topology = Topology::start(&[]).await;
        let (ada, bob) = topology.sign_up_friends("ada", "bob").await;
        let (cleo, dora) = topology.sign_up_friends("cleo", "dora").await;
        let chats = &topology.ready.chats;
        let (mut sender, _) = RawClient::log_in_at(&chats[0].tcp, &ada, &["coalesced"]).await;
        // Both arrays, so that twice the bytes wait, and a small buffer, so that they wait in the server.
        let mut lazy = RawClient::connect_with_buffer(&chats[server].tcp, 16 * 1024).await;
        assert_eq!(lazy.log_in_declaring(&bob, &["coalesced"]).await["error"], 0);
        let (mut one, _) = RawClient::log_in_at(&chats[0].tcp, &cleo, &["coalesced"]).await;
        let (mut other, _) = RawClient::log_in_at(&chats[server].tcp, &dora, &["coalesced"]).await;

        let before = resident_kib(topology.pid());
        let (done, mut is_done) = watch::channel(false);
        let flood = async {
            flood(&mut sender, &bob).await;
            done.send_replace(true);
        };
        let pair = async {
            let mut took = Vec::new();
            while !*is_done.borrow_and_update() {
                let begin = Instant::now();
                one.say(&dora, "", "still there?").await;
                other.expect(1019).await;
                took.push(begin.elapsed());
            }
            took.sort_unstable();
            (took[took.len() / 2], took[took.len() - 1])
        };
        let ((), (median, worst)) = tokio::join!(flood, pair);
        assert!(median < Duration::from_millis(500) && worst < Duration::from_secs(5), "{name}: {median:?} {worst:?}");
        let growth = resident_kib(topology.pid()).saturating_sub(before);
        assert!(growth < MOST_GROWTH_KIB, "{name}: {growth} KiB");

        // What waited for them waited in the database.
        let told = in_time("the lazy one reads at last", told(&mut lazy, TEXTS)).await;
        assert!(told.iter().copied().eq(2..2 + i64::try_from(TEXTS).unwrap()), "{name}: {told:?}");
        sender.say(&bob, "", "welcome back").await;
        assert_eq!(numbers_of(&lazy.expect(1019).await), [i64::try_from(TEXTS).unwrap() + 2]);
        topology.assert_no_panic();
    }
}

/// Sends all texts, a window at a time; each must be acknowledged, in order.
async fn flood(sender: &mut RawClient, to: &User) {
    let content = "x".repeat(2_048);
    let mut number = 2;
    for _ in 0..TEXTS.div_ceil(WINDOW) {
        let count = WINDOW.min(TEXTS + 2 - number);
        let frame = |number: usize| {
            let id = format!("c{number}");
            Frame::bytes(1017, texts(to.uid, &[(&id, &content)]).to_string().as_bytes())
        };
        let window: Vec<u8> = (number..number + count).flat_map(frame).collect();
        sender.send_bytes(&window).await;
        for _ in 0..count {
            assert_eq!(numbers_of(&sender.expect(1018).await), [i64::try_from(number).unwrap()]);
            number += 1;
        }
    }
}

/// The numbers of the next so many texts.
async fn told(client: &mut RawClient, texts: usize) -> Vec<i64> {
    let mut numbers = Vec::new();
    while numbers.len() < texts {
        numbers.extend(numbers_of(&client.expect(1019).await));
    }
    numbers
}

/// What the process has in memory; 0 where the system does not tell.
fn resident_kib(pid: u32) -> u64 {
    let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status")) else { return 0 };
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
