//! Whole sessions of original clients, every byte that they send and get written out, while the friend they talk with uses the SDK
//! on the other server of the cluster (PROTOCOL.md, "Generations", "Texts", "Conversations and history", "Delivery").
//!
//! A new installation has nothing to leave to chance but tokens and times: users count from 1001, conversations and texts from 1.

use std::io;

use serde_json::json;
use tokio::net::TcpStream;
use uschat_client::{
    Cursors, EndReason, Gate, GateError, Inbox, Incoming, IncomingText, MessageKey, Messenger, MessengerConfig,
    Network, Sent, Text, ThreadId, Ticket, UserId,
};

use crate::support::{Frame, RawClient, Topology, User, in_time};

const ADA: UserId = UserId(1001);
const BEN: UserId = UserId(1002);
const THEIRS: ThreadId = ThreadId(1);
/// Stands below for the token, which is as long.
const TOKEN: &str = "0151354d-63aa-48c3-98ec-1c2e02ffe94e";
/// Stands below for each time.
const TIME: &str = "9999-99-99 99:99:99";

#[tokio::test]
async fn an_m_client_loads_what_an_sdk_client_said_on_the_other_server_and_talks_with_it() {
    let (topology, ada, mut ben) = friends_on_two_servers().await;
    // Ada is away.
    ben.say("b-1", "are you there?", 2).await;
    ben.say("b-2", "你好, \"Ada\"", 3).await;

    let mut ada = Original::log_in(&topology, ada).await;
    ada.send(1025, r#"{"thread_id":0,"uid":1001}"#).await;
    ada.expect(
        1026,
        134,
        r#"{"error":0,"uid":1001,"load_more":false,"next_last_id":1,
            "threads":[{"thread_id":1,"type":"private","user1_id":1001,"user2_id":1002}]}"#,
    )
    .await;
    // Said between two of her requests, it comes once all the same: with the history, and by no notice of its own.
    ben.say("b-3", "I see you", 4).await;
    ada.send(1029, r#"{"message_id":0,"thread_id":1}"#).await;
    ada.expect(
        1030,
        763,
        r#"{"error":0,"thread_id":1,"last_message_id":4,"load_more":false,"chat_datas":[
            {"sender":1002,"receiver":1001,"msg_id":1,"thread_id":1,"unique_id":0,
                "msg_content":"We are friends now, let's chat!",
                "chat_time":"9999-99-99 99:99:99","status":2,"msg_type":0,"seq":1},
            {"sender":1002,"receiver":1001,"msg_id":2,"thread_id":1,"unique_id":0,"msg_content":"are you there?",
                "chat_time":"9999-99-99 99:99:99","status":2,"msg_type":0,"seq":2},
            {"sender":1002,"receiver":1001,"msg_id":3,"thread_id":1,"unique_id":0,"msg_content":"你好, \"Ada\"",
                "chat_time":"9999-99-99 99:99:99","status":2,"msg_type":0,"seq":3},
            {"sender":1002,"receiver":1001,"msg_id":4,"thread_id":1,"unique_id":0,"msg_content":"I see you",
                "chat_time":"9999-99-99 99:99:99","status":2,"msg_type":0,"seq":4}]}"#,
    )
    .await;

    ada.send(
        1017,
        r#"{"fromuid":1001,"text_array":[{"content":"我 \"loaded\" it",
            "unique_id":"{0f3b12f4-7e86-4b0f-9c5e-5a3c0d6a1e11}"}],"thread_id":1,"touid":1002}"#,
    )
    .await;
    ada.expect(
        1018,
        317,
        r#"{"error":0,"fromuid":1001,"touid":1002,"thread_id":1,
            "text_array":[{"content":"我 \"loaded\" it","msgid":"{0f3b12f4-7e86-4b0f-9c5e-5a3c0d6a1e11}"}],
            "chat_datas":[{"message_id":5,"unique_id":"{0f3b12f4-7e86-4b0f-9c5e-5a3c0d6a1e11}",
                "content":"我 \"loaded\" it","status":2,"chat_time":"9999-99-99 99:99:99","seq":5}]}"#,
    )
    .await;
    ben.hears("{0f3b12f4-7e86-4b0f-9c5e-5a3c0d6a1e11}", "我 \"loaded\" it", 5).await;

    ben.say("b-4", "so we talk", 6).await;
    ada.expect(
        1019,
        233,
        r#"{"error":0,"fromuid":1002,"touid":1001,"thread_id":1,
            "text_array":[{"content":"so we talk","msgid":"b-4"}],
            "chat_datas":[{"message_id":6,"unique_id":"b-4",
                "content":"so we talk","status":2,"chat_time":"9999-99-99 99:99:99","seq":6}]}"#,
    )
    .await;
    ada.send(1023, r#"{"fromuid":1001}"#).await;
    ada.expect(1024, 11, r#"{"error":0}"#).await;
    ada.end().await;
    ben.end().await;
    topology.assert_no_panic();
}

#[tokio::test]
async fn an_s1_client_is_told_what_an_sdk_client_said_on_the_other_server_and_talks_with_it() {
    let (topology, ada, mut ben) = friends_on_two_servers().await;
    // Ada is away.
    ben.say("b-1", "are you there?", 2).await;
    ben.say("b-2", "你好, \"Ada\"", 3).await;

    // She asks for nothing after her login, and is told. Of a text she reads `content` and `msgid` in `text_array`; like
    // every client she ignores keys that she does not know.
    let mut ada = Original::log_in(&topology, ada).await;
    ada.expect(
        1019,
        401,
        r#"{"error":0,"fromuid":1002,"touid":1001,"thread_id":1,
            "text_array":[{"content":"are you there?","msgid":"b-1"},{"content":"你好, \"Ada\"","msgid":"b-2"}],
            "chat_datas":[{"message_id":2,"unique_id":"b-1",
                "content":"are you there?","status":2,"chat_time":"9999-99-99 99:99:99","seq":2},
            {"message_id":3,"unique_id":"b-2",
                "content":"你好, \"Ada\"","status":2,"chat_time":"9999-99-99 99:99:99","seq":3}]}"#,
    )
    .await;

    ada.send(
        1017,
        r#"{"fromuid":1001,"text_array":[{"content":"我 \"heard\" it",
            "msgid":"{0f3b12f4-7e86-4b0f-9c5e-5a3c0d6a1e11}"}],"touid":1002}"#,
    )
    .await;
    ada.expect(
        1018,
        315,
        r#"{"error":0,"fromuid":1001,"touid":1002,"thread_id":1,
            "text_array":[{"content":"我 \"heard\" it","msgid":"{0f3b12f4-7e86-4b0f-9c5e-5a3c0d6a1e11}"}],
            "chat_datas":[{"message_id":4,"unique_id":"{0f3b12f4-7e86-4b0f-9c5e-5a3c0d6a1e11}",
                "content":"我 \"heard\" it","status":2,"chat_time":"9999-99-99 99:99:99","seq":4}]}"#,
    )
    .await;
    // The end of her message box. It is no text: Ben is told nothing, and the next number is 5.
    ada.send(1017, r#"{"fromuid":1001,"text_array":[],"touid":1002}"#).await;
    ada.expect(1018, 71, r#"{"error":0,"fromuid":1001,"touid":1002,"text_array":[],"chat_datas":[]}"#).await;
    ben.hears("{0f3b12f4-7e86-4b0f-9c5e-5a3c0d6a1e11}", "我 \"heard\" it", 4).await;

    ben.say("b-3", "so we talk", 5).await;
    ada.expect(
        1019,
        233,
        r#"{"error":0,"fromuid":1002,"touid":1001,"thread_id":1,
            "text_array":[{"content":"so we talk","msgid":"b-3"}],
            "chat_datas":[{"message_id":5,"unique_id":"b-3",
                "content":"so we talk","status":2,"chat_time":"9999-99-99 99:99:99","seq":5}]}"#,
    )
    .await;
    ada.end().await;
    ben.end().await;
    topology.assert_no_panic();
}

/// A cluster of two servers, Ada, who is away, and Ben, whose program runs on the second one and has approved her application.
/// Nobody has said anything; the line that they are friends is number 1.
async fn friends_on_two_servers() -> (Topology, User, Sdk) {
    let topology = Topology::start(&["--chats", "2"]).await;
    let (ada, ben) = (topology.sign_up("ada").await, topology.sign_up("ben").await);
    assert_eq!((ada.uid, ben.uid), (ADA.0.into(), BEN.0.into()));
    let (mut applying, _) = RawClient::log_in(&ada).await;
    assert_eq!(applying.ask(1009, &json!({ "touid": ben.uid })).await, json!({ "error": 0 }));
    applying.shut_down().await;
    applying.expect_clean_end().await;
    let ben = Sdk::start(&topology, ben).await;
    ben.approve().await;
    (topology, ada, ben)
}

/// An original client on the first server.
struct Original {
    raw: RawClient,
    token: String,
}

impl Original {
    /// Logs in as those of M and S1 do, who write alike and get the same.
    async fn log_in(topology: &Topology, ada: User) -> Self {
        let raw = RawClient::connect(&topology.ready.chats[0].tcp).await;
        let mut original = Self { raw, token: ada.token };
        // The only request that they indent.
        let login = format!("{{\n    \"token\": \"{}\",\n    \"uid\": 1001\n}}\n", original.token);
        original.raw.send_bytes(&Frame::bytes(1005, login.as_bytes())).await;
        original
            .expect(
                1006,
                290,
                r#"{"error":0,"token":"0151354d-63aa-48c3-98ec-1c2e02ffe94e","email":"ada@example.org",
                    "uid":1001,"name":"ada","nick":"ada","desc":"","sex":0,"icon":":/res/head_1.jpg","apply_list":[],
                    "friend_list":[{"uid":1002,"name":"ben","nick":"ben","desc":"","sex":0,
                        "icon":":/res/head_1.jpg","back":""}]}"#,
            )
            .await;
        original
    }

    /// Sends a frame with this body, which may be written in several lines.
    async fn send(&mut self, id: u16, body: &str) {
        self.raw.send_bytes(&Frame::bytes(id, in_one_line(body).as_bytes())).await;
    }

    /// Takes the next frame, which must be this one to the byte, except for its times and the token.
    async fn expect(&mut self, id: u16, length: u16, body: &str) {
        let body = in_one_line(body);
        let frame = self.raw.recv_bytes().await.unwrap_or_else(|| panic!("closed, {id} was expected: {body}"));
        let (header, told) = frame.split_at(4);
        let told = mask_times(&str::from_utf8(told).unwrap().replace(&self.token, TOKEN));
        assert_eq!(told, body, "{header:?}");
        assert_eq!(header, [id.to_be_bytes(), length.to_be_bytes()].concat(), "{} bytes: {body}", body.len());
        // Or the test, not the server, is wrong.
        assert_eq!(body.len(), usize::from(length), "{body}");
    }

    /// Closes the connection; nothing more must come until the server does.
    async fn end(mut self) {
        self.raw.shut_down().await;
        self.raw.expect_clean_end().await;
    }
}

/// Without the breaks between lines and the blanks at their beginnings.
fn in_one_line(body: &str) -> String {
    body.lines().map(str::trim_start).collect()
}

/// With [`TIME`] in place of each time.
fn mask_times(body: &str) -> String {
    let mut parts = body.split("\"chat_time\":\"");
    let mut masked = parts.next().unwrap().to_owned();
    for part in parts {
        let (time, rest) = part.split_at(TIME.len());
        assert_is_time(time);
        masked.extend(["\"chat_time\":\"", TIME, rest]);
    }
    masked
}

fn assert_is_time(time: &str) {
    let shape: String = time.chars().map(|c| if c.is_ascii_digit() { '9' } else { c }).collect();
    assert_eq!(shape, TIME, "{time}");
}

/// Ben's program.
struct Sdk {
    messenger: Messenger,
    inbox: Inbox,
}

impl Sdk {
    /// Logs in on the second server.
    async fn start(topology: &Topology, user: User) -> Self {
        let [first, second] = topology.ready.chats.as_slice() else { panic!("two servers: {:?}", topology.ready) };
        assert_ne!(first.tcp, second.tcp);
        let gate = Gate::new(&topology.ready.gate).unwrap();
        let network = OnServer { gate, user, server: second.tcp.clone() };
        let starting = Messenger::start_over(network, MessengerConfig::default(), Cursors::default());
        let (messenger, inbox) = in_time("a login", starting).await.unwrap();
        let mut sdk = Self { messenger, inbox };
        match sdk.next().await {
            Incoming::Connected { server, reconnects: 0 } => assert_eq!(server, second.tcp),
            other => panic!("{other:?}"),
        }
        sdk
    }

    /// Becomes a friend of Ada.
    async fn approve(&self) {
        let chat = self.messenger.chat().unwrap();
        let friend = in_time("an answer", chat.approve_friend(ADA, "")).await.unwrap();
        let numbers: Vec<_> = friend.greetings.iter().map(|greeting| greeting.seq).collect();
        assert_eq!((friend.profile.uid, numbers), (ADA, vec![1]));
    }

    /// Says something to Ada, which must be stored as this number of their conversation, and of all texts.
    async fn say(&self, client_id: &str, content: &str, seq: i64) {
        let text = Text { client_id: client_id.into(), content: content.into() };
        let saying = async { self.messenger.submit(ADA, vec![text]).await.unwrap().await };
        let stored = in_time("an acknowledgement", saying).await.unwrap();
        assert_eq!(stored, [Sent { message_id: MessageKey(seq), seq, thread_id: THEIRS }]);
    }

    /// That the next thing which the application learns is this text of Ada.
    async fn hears(&mut self, client_id: &str, content: &str, seq: i64) {
        let Incoming::Text(text) = self.next().await else { panic!("{content} was expected") };
        assert_is_time(&text.sent_at);
        let expected = IncomingText {
            from: ADA,
            to: BEN,
            thread_id: THEIRS,
            message_id: MessageKey(seq),
            seq,
            client_id: Some(client_id.into()),
            content: content.into(),
            sent_at: text.sent_at.clone(),
        };
        assert_eq!(text, expected);
    }

    async fn next(&mut self) -> Incoming {
        in_time("something for the application", self.inbox.next()).await.unwrap()
    }

    /// Says good-bye; nothing was told that was not expected, and no session ended before.
    async fn end(mut self) {
        in_time("a good-bye", self.messenger.close()).await;
        let last = in_time("the end of the inbox", self.inbox.next()).await;
        assert!(matches!(last, Some(Incoming::Ended { reason: EndReason::Closed })), "{last:?}");
    }
}

/// Tickets of the gate, but for this server, wherever the gate sends the user.
struct OnServer {
    gate: Gate,
    user: User,
    server: String,
}

impl Network for OnServer {
    type Stream = TcpStream;

    async fn ticket(&mut self) -> Result<Ticket, GateError> {
        let ticket = self.gate.log_in(&self.user.email, &self.user.password).await?;
        let (host, port) = self.server.rsplit_once(':').unwrap();
        Ok(Ticket::new(ticket.uid, ticket.token(), host, port.parse().unwrap()))
    }

    async fn open(&mut self, ticket: &Ticket) -> io::Result<TcpStream> {
        let stream = TcpStream::connect((&*ticket.chat_host, ticket.chat_port)).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}
