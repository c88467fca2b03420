//! P1: a chat server is stopped for 5 s (30 s in long runs) while its COMMIT is on the way, its users log in elsewhere, and
//! it comes back believing that it still has them.

use std::time::{Duration, Instant};

use rand::RngExt;
use serde_json::{Value, json};
use tokio::time::sleep;
use uschat_examples::oracle::Journal;

use crate::harness::{Friends, Plan, World, behind::Behind, speaker::Speaker};
use crate::support::{Chat, RawClient, User, processes, until};

/// Other conversations are acknowledged within this, asserted with three times as much; and so are the others here.
const OTHERS: Duration = Duration::from_secs(1);
/// The conversation that the stopped server has locked.
const LOCKED: Duration = Duration::from_secs(5);
/// A user whose server has stopped is in elsewhere.
const ELSEWHERE: Duration = Duration::from_secs(5);
/// Shorter than a lease lives, and longer.
const SHORT: Duration = Duration::from_secs(5);
const LONG: Duration = Duration::from_secs(30);
const WINDOW: usize = 5;
/// Texts in a talk of two seconds.
const TALK: usize = 40;

mod real_server {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_stopped_server_holds_nobody_up_and_is_not_believed() {
        let mut stop = Stop::prepare().await;
        signal(&stop.first, "STOP").await;
        let stopped = Instant::now();
        // It will read these when she has long said them elsewhere.
        stop.ada.send_many(&stop.ben.user, "locked", WINDOW).await;
        stop.others_go_on(stopped).await;
        stop.judge("P1 stopped").await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_server_stopped_before_its_commit_holds_one_conversation_up_and_not_for_long() {
        let mut stop = Stop::prepare().await;
        let hold = stop.behind.proxy.hold("text locked-1");
        stop.ada.send_many(&stop.ben.user, "locked", WINDOW).await;
        // The rows are locked and written.
        let held = hold.reached().await;
        signal(&stop.first, "STOP").await;
        stop.others_go_on(Instant::now()).await;
        held.forward();
        stop.judge("P1 stopped before COMMIT").await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_login_that_was_stopped_half_way_ends_no_later_session() {
        let mut stop = Stop::prepare().await;
        let Stop { behind, ada, ben, first, second, .. } = &mut stop;
        let fence = async || -> i64 {
            let query = format!("SELECT fence FROM user_fence WHERE uid = {}", ada.user.uid);
            behind.backends.rows(&query).await[0].parse().unwrap()
        };
        let before = fence().await;
        // Long enough to stop the server between taking the fence and learning which.
        behind.proxy.delay(Duration::from_millis(200));
        let mut half_way = RawClient::connect(&first.tcp).await;
        half_way.send(1005, &json!({ "uid": ada.user.uid, "token": ada.user.token })).await;
        until("the fence is taken", async || fence().await > before).await;
        signal(first, "STOP").await;
        behind.proxy.delay(Duration::ZERO);

        let replaced = ada.log_in_again(&second.tcp).await;
        let taken = lease(behind, &ada.user).await;
        signal(first, "CONT").await;
        let answer = half_way.recv_or_cut().await;
        assert!(answer.as_ref().is_none_or(|frame| frame.body["error"] != 0), "it is in: {answer:?}");
        drop(replaced);
        assert_eq!(lease(behind, &ada.user).await, taken);
        let of_ada = ada.user.clone();
        ben.say(&of_ada, "after").await;
        ada.hears("after").await;
        ada.client.assert_alive().await;
    }

    /// One after the other, while everybody talks.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn servers_are_stopped_under_load() {
        let behind = Behind::start().await;
        let plan = Plan::new("P1 under load").members(6, Friends::Ring).restless(1);
        let rounds = plan.rounds;
        let mut world = World::start(plan, &behind.topology.gate(), behind.store()).await;
        world.talk();
        for round in 1..=rounds {
            world.acknowledged(10).await;
            let somebody = world.random.random_range(0..world.plan.members);
            let is_theirs = |chat: &Chat| world.members_at(&chat.tcp).contains(&somebody);
            let Some(stopped) = behind.chats().into_iter().find(is_theirs) else { panic!("everybody is back") };
            let there = world.members_at(&stopped.tcp);
            signal(&stopped, "STOP").await;
            let since = Instant::now();
            sleep(if round == 1 { length() } else { SHORT }).await;
            let elsewhere = (0..world.plan.members).filter(|member| !there.contains(member));
            let silences = elsewhere.map(|member| world.members[member].story().longest_silence(since, Instant::now()));
            let silence = silences.max().unwrap_or_default();
            signal(&stopped, "CONT").await;
            println!("P1 round {round}: {} members there, the others waited {silence:?} at most", there.len());
            // Their friends may be in conversations that the stopped server had locked.
            assert!(silence < 3 * LOCKED, "{silence:?}");
            world.recovered(&format!("P1 round {round}"), Instant::now(), ELSEWHERE, &[]).await;
        }
        world.finish().await;
        behind.topology.assert_no_panic();
    }
}

/// Ada and cat on the server that will stop, the others on the other one.
struct Stop {
    behind: Behind,
    journal: Journal,
    first: Chat,
    second: Chat,
    ada: Speaker,
    ben: Speaker,
    cat: Speaker,
    dan: Speaker,
    eve: Speaker,
    /// Not logged in.
    fay: User,
    /// Ada's session on the stopped server, and how long it took until her texts were stored elsewhere.
    stale: Option<(RawClient, Duration)>,
}

impl Stop {
    async fn prepare() -> Self {
        let (behind, journal) = (Behind::start().await, Journal::in_memory());
        let [first, second] = behind.chats();
        let (ada, ben) = behind.topology.sign_up_friends("ada", "ben").await;
        let (cat, dan) = behind.topology.sign_up_friends("cat", "dan").await;
        let (eve, fay) = behind.topology.sign_up_friends("eve", "fay").await;
        let mut ada = Speaker::log_in(&first.tcp, &ada, &journal).await;
        let cat = Speaker::log_in(&first.tcp, &cat, &journal).await;
        let mut ben = Speaker::log_in(&second.tcp, &ben, &journal).await;
        let dan = Speaker::log_in(&second.tcp, &dan, &journal).await;
        let eve = Speaker::log_in(&second.tcp, &eve, &journal).await;
        ben.say(&ada.user, "before").await;
        ada.hears("before").await;
        Self { behind, journal, first, second, ada, ben, cat, dan, eve, fay, stale: None }
    }

    /// While the first server stands still.
    async fn others_go_on(&mut self, stopped: Instant) {
        let Self { behind, ada, ben, cat, dan, eve, fay, first, second, .. } = self;
        // It will read this when it is no longer ada's to say.
        ada.client.send(3005, &everything(behind, &ada.user).await).await;
        let of_ada = ada.user.clone();
        let logging_in = async {
            let begin = Instant::now();
            (ada.log_in_again(&second.tcp).await, begin.elapsed())
        };
        let (locked, with_stopped, without, (stale, elsewhere)) = tokio::join!(
            ben.say(&of_ada, "meanwhile"),
            talk(dan, &cat.user, "to the stopped server"),
            talk(eve, fay, "elsewhere"),
            logging_in,
        );
        ada.all_answered().await;
        ada.hears("meanwhile").await;
        let moved = stopped.elapsed();
        println!(
            "P1: acknowledged within {with_stopped:?} to its users, {without:?} to others, {locked:?} to hers; in elsewhere \
             after {elsewhere:?}; her texts are stored {moved:?} after the stop"
        );
        assert!(with_stopped.max(without) < 3 * OTHERS, "{with_stopped:?}, {without:?}");
        assert!(locked < 3 * LOCKED, "{locked:?}");
        assert!(elsewhere < 3 * ELSEWHERE, "{elsewhere:?}");
        sleep(length().saturating_sub(stopped.elapsed())).await;
        let taken = lease(behind, &ada.user).await;
        assert_eq!(taken["server"], second.name);
        signal(first, "CONT").await;
        self.stale = Some((stale, moved));
    }

    /// The first server goes on: what it thinks of ada changes nothing.
    async fn judge(self, id: &'static str) {
        let Self { behind, journal, second, mut ada, mut ben, mut cat, stale, .. } = self;
        let (woken, (mut stale, moved)) = (Instant::now(), stale.unwrap());
        while stale.recv_or_cut().await.is_some() {}
        println!("P1: the stale session was closed {:?} after the server went on", woken.elapsed());
        let of_ada = ada.user.clone();
        ben.say(&of_ada, "after").await;
        ada.hears("after").await;
        ada.say(&ben.user, "here I am").await;
        ben.hears("here I am").await;
        assert_eq!(lease(&behind, &ada.user).await["server"], second.name);
        let shadow: Option<String> = behind.backends.redis(&["GET", &format!("uip_{}", ada.user.uid)]).await;
        assert_eq!(shadow.as_deref(), Some(&*second.name));

        // Cat never left: she hears all that was said meanwhile.
        cat.hears(&format!("to the stopped server {TALK}")).await;
        cat.client.send(3005, &everything(&behind, &cat.user).await).await;
        until("what cat has got is stored", async || !progress(&behind, &cat.user).await.is_empty()).await;
        // By now her server has written what it had to say about ada.
        assert_eq!(progress(&behind, &ada.user).await, <[String; 0]>::default());
        behind.holds(id, &journal, vec![moved]).await;
    }
}

/// How long a server is stopped.
fn length() -> Duration {
    let long = std::env::var("USCHAT_BATTERY_ROUNDS").is_ok_and(|rounds| rounds != "1");
    if long { LONG } else { SHORT }
}

async fn signal(chat: &Chat, name: &str) {
    processes::signal(chat.pid, name).await;
}

/// Says one text after another for two seconds; the longest wait for an acknowledgement.
async fn talk(speaker: &mut Speaker, to: &User, name: &str) -> Duration {
    let mut longest = Duration::ZERO;
    for number in 1..=TALK {
        longest = longest.max(speaker.say(to, &format!("{name} {number}")).await);
        sleep(Duration::from_millis(50)).await;
    }
    longest
}

async fn lease(behind: &Behind, user: &User) -> Value {
    let lease: String = behind.backends.redis(&["GET", &format!("uschat:lease:{}", user.uid)]).await;
    serde_json::from_str(&lease).unwrap()
}

/// A claim to have got and read everything in the only conversation.
async fn everything(behind: &Behind, user: &User) -> Value {
    let mine = format!("SELECT thread_id FROM private_chat WHERE {0} IN (user1_id, user2_id)", user.uid);
    let thread: i64 = behind.backends.rows(&mine).await[0].parse().unwrap();
    let marks = json!([{ "thread_id": thread, "seq": 1_000 }]);
    json!({ "delivered": marks, "read": marks })
}

/// What is stored of how far a user has got.
async fn progress(behind: &Behind, user: &User) -> Vec<String> {
    let moved = format!(
        "SELECT delivered_seq, read_seq FROM thread_progress WHERE user_id = {} AND delivered_seq + read_seq > 0",
        user.uid
    );
    behind.backends.rows(&moved).await
}
