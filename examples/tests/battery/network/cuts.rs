//! N2: the connection is cut after each byte of a text and of its acknowledgement.

use serde_json::json;
use tokio_util::sync::CancellationToken;
use uschat_examples::{
    chaos::{Chaos, ChaosConfig, Direction, End, Fault},
    oracle::{History, Journal},
};
use uschat_proto::chat::{ThreadId, UserId};

use crate::{
    harness::Store,
    support::{Frame, RawClient, Topology, User, ids_of, numbers_of, rows_of, texts},
};

const ENDS: [End; 2] = [End::Fin, End::Reset];

/// Everything is as the guarantee says at each offset; where the sender tries again, it gets the first result.
#[tokio::test]
async fn n2_a_cut_after_any_byte_of_a_text_or_its_acknowledgement_loses_and_doubles_nothing() {
    let topology = Topology::start(&[]).await;
    let [home, elsewhere] = &topology.ready.chats[..] else { panic!("two") };
    let (ada, bob) = topology.sign_up_friends("ada", "bob").await;
    let chaos = ChaosConfig::to(home.tcp.parse().unwrap());
    let chaos = Chaos::start(chaos, CancellationToken::new()).await.unwrap();
    println!("seed {}", chaos.seed());
    let journal = Journal::create(topology.directory().join("run.jsonl")).unwrap();
    let witness = RawClient::log_in_at(&elsewhere.tcp, &bob, &["coalesced"]).await.0;
    let witness = tokio::spawn(see_everything(witness, journal.history(uid(&bob))));
    let sender =
        Sender { address: chaos.address().to_string(), user: &ada, to: &bob, history: journal.history(uid(&ada)) };

    let (mut in_vain, mut unknown, mut acknowledged) = (0, 0, 0);
    for end in ENDS {
        // The text's way: what did not arrive as a whole is not there.
        let whole = sender.frame(&id("s", end, 0)).len();
        for offset in 0..=whole {
            let id = id("s", end, offset);
            let connection = sender.connect().await;
            cut(&chaos, Direction::ToServer, connection.sent + offset, end);
            assert_eq!(sender.send(connection, &id).await, None, "cut at {offset} of {whole}");
            chaos.heal();
            match offset {
                _ if offset < whole => in_vain += 1,
                _ => unknown += 1,
            }
            if offset % 2 == 0 {
                acknowledged += 1;
                sender.send_again(&id, None).await;
            }
        }
        // The acknowledgement's way, until all of it passes.
        for offset in 0.. {
            let id = id("a", end, offset);
            let connection = sender.connect().await;
            cut(&chaos, Direction::ToClient, connection.received + offset, end);
            let number = sender.send(connection, &id).await;
            chaos.heal();
            unknown += 1;
            if number.is_some() || offset % 2 == 0 {
                acknowledged += 1;
                sender.send_again(&id, number).await;
            }
            if number.is_some() {
                break;
            }
        }
    }
    println!("{in_vain} never arrived, {unknown} may have, {acknowledged} acknowledged");
    let last = sender.send_again(LAST, None).await;
    assert_eq!(witness.await.unwrap(), last);
    topology.assert_no_panic();
    let directory = topology.stop().await;

    Store::Sqlite(directory.path().join("data/uschat.db")).dump(&journal).await;
    let verdict = journal.evidence().unwrap().judge(10).unwrap();
    assert!(verdict.holds(), "{verdict}");
    assert_eq!(verdict.counts.acknowledged, acknowledged + 1);
    // A text that was cut off and not tried again can only be stored if the server had all of it.
    let (least, most) = (acknowledged + 1, 1 + (acknowledged + unknown));
    assert!((least..=most).contains(&(verdict.counts.stored - 1)), "{least} {most} {verdict}");
    assert!(verdict.counts.stored - 1 > acknowledged + 1, "some were stored though nobody was told");
}

const LAST: &str = "the last of all";

/// Ids of one length, so that the frames have one too.
fn id(way: &str, end: End, offset: usize) -> String {
    let end = if end == End::Fin { "f" } else { "r" };
    format!("{way}{end}-{offset:06}")
}

fn uid(user: &User) -> UserId {
    UserId(i32::try_from(user.uid).unwrap())
}

fn cut(chaos: &Chaos, direction: Direction, after: usize, end: End) {
    chaos.set(direction, [Fault::Cut { after: after.try_into().unwrap(), end }]);
}

/// Somebody who logs in for each text.
struct Sender<'a> {
    address: String,
    user: &'a User,
    to: &'a User,
    history: History,
}

/// A session, and the bytes of its login.
struct Connection {
    client: RawClient,
    sent: usize,
    received: usize,
}

impl Sender<'_> {
    async fn connect(&self) -> Connection {
        let mut client = RawClient::connect(&self.address).await;
        let login = json!({ "uid": self.user.uid, "token": self.user.token, "features": ["coalesced"] });
        let login = Frame::bytes(1005, login.to_string().as_bytes());
        client.send_bytes(&login).await;
        let reply = client.expect(1006).await;
        assert_eq!(reply["error"], 0, "{reply}");
        self.history.connected();
        Connection { sent: login.len(), received: client.take_read_sizes().into_iter().sum(), client }
    }

    fn frame(&self, id: &str) -> Vec<u8> {
        Frame::bytes(1017, texts(self.to.uid, &[(id, &content(id))]).to_string().as_bytes())
    }

    /// The text's number; `None` if the connection ended first.
    async fn send(&self, connection: Connection, id: &str) -> Option<i64> {
        let mut client = connection.client;
        self.history.sent(id, None, &content(id));
        client.try_send_bytes(&self.frame(id)).await;
        let Frame { id: 1018, body } = client.recv_or_cut().await? else { panic!("only the answer was expected") };
        assert_eq!(ids_of(&body), [id]);
        let (thread, number) = (body["thread_id"].as_i64().unwrap(), numbers_of(&body)[0]);
        self.history.acknowledged(id, Some(ThreadId(thread)), number);
        Some(number)
    }

    /// In a new session, which nothing befalls. With the number of the first attempt, if it was told.
    async fn send_again(&self, id: &str, told: Option<i64>) -> i64 {
        let connection = self.connect().await;
        let number = self.send(connection, id).await.expect("nothing is cut");
        assert!(told.is_none_or(|told| told == number), "{id}: {told:?} and then {number}");
        number
    }
}

fn content(id: &str) -> String {
    format!("text {id}")
}

/// Reads up to the last text of all, whose number is returned.
async fn see_everything(mut client: RawClient, history: History) -> i64 {
    history.connected();
    loop {
        let body = client.expect(1019).await;
        let thread = ThreadId(body["thread_id"].as_i64().unwrap());
        let from = UserId(i32::try_from(body["fromuid"].as_i64().unwrap()).unwrap());
        for row in rows_of(&body) {
            let (number, id) = (row["seq"].as_i64().unwrap(), row["unique_id"].as_str().unwrap());
            history.received(thread, number, id, from, row["content"].as_str().unwrap());
            if id == LAST {
                return number;
            }
        }
    }
}
