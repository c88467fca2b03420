//! A sound frame never ends a session, whatever its id and body are; encodings other than JSON have the same rights.

use bytes::{Bytes, BytesMut};
use uschat_server::{
    Reply,
    proto::{Encoding, ErrorCode, Message, MessageId, PayloadError, Request},
    session::{CloseReason, SessionConfig},
    testing,
};

use crate::app::*;

/// Bodies of exactly two bytes, and a refusal of one.
struct Binary;

#[derive(Debug, PartialEq)]
struct Halve(u16);
#[derive(Debug, PartialEq)]
struct Halved(u16);

impl Encoding<Halve> for Binary {
    fn encode(message: &Halve, out: &mut BytesMut) -> Result<(), PayloadError> {
        out.extend_from_slice(&message.0.to_be_bytes());
        Ok(())
    }
    fn decode(body: &Bytes) -> Result<Halve, PayloadError> {
        let bytes = <[u8; 2]>::try_from(&body[..]).map_err(PayloadError::new)?;
        Ok(Halve(u16::from_be_bytes(bytes)))
    }
}

impl Encoding<Halved> for Binary {
    fn encode(message: &Halved, out: &mut BytesMut) -> Result<(), PayloadError> {
        match message.0 {
            // Stands for a value that has no form, and one whose form is too long.
            13 => Err(PayloadError::new("unlucky")),
            14 => {
                out.resize(70_000, 0);
                Ok(())
            }
            number => {
                out.extend_from_slice(&number.to_be_bytes());
                Ok(())
            }
        }
    }
    fn decode(body: &Bytes) -> Result<Halved, PayloadError> {
        let bytes = <[u8; 2]>::try_from(&body[..]).map_err(PayloadError::new)?;
        Ok(Halved(u16::from_be_bytes(bytes)))
    }
    fn encode_refusal(code: ErrorCode, out: &mut BytesMut) -> bool {
        out.extend_from_slice(&[code.0 as u8]);
        true
    }
}

impl Message for Halve {
    const ID: MessageId = MessageId(200);
    type Encoding = Binary;
}
impl Message for Halved {
    const ID: MessageId = MessageId(201);
    type Encoding = Binary;
}
impl Request for Halve {
    type Response = Halved;
}

async fn halve(_: Cx, Halve(number): Halve) -> Answer<Halved> {
    if number % 2 == 1 { Err(ErrorCode(77)) } else { Ok(Reply::Now(Halved(number / 2))) }
}

fn fixture() -> Fixture {
    serve_handlers(handlers().on(halve).without_login_guard(), SessionConfig::default())
}

#[tokio::test(start_paused = true)]
async fn an_unknown_id_is_ignored() {
    let fixture = fixture();
    let mut client = testing::connect(&fixture.server);
    for id in [0, 999, 0x8003, u16::MAX] {
        client.send_frame(id, b"{}").await;
    }
    client.send(&Echo(1)).await;
    assert_eq!(client.receive::<Echoed>().await, Echoed(1));
}

#[tokio::test(start_paused = true)]
async fn a_wrong_body_is_refused_under_the_id_of_the_response() {
    let fixture = fixture();
    let mut client = testing::connect(&fixture.server);
    let deep = "[".repeat(30_000);
    for body in ["", "{", "\"one\"", "-1", "99999999999999999999", "\u{0}", &deep] {
        client.send_frame(Echo::ID.0, body.as_bytes()).await;
        let answer = client.receive_frame().await.unwrap();
        assert_eq!(answer, refusal(Echoed::ID, ErrorCode::INVALID_PAYLOAD), "{body:.20}");
    }
    client.send_frame(Echo::ID.0, b"\"\xff\xfe\"").await;
    assert_eq!(client.receive_frame().await.unwrap(), refusal(Echoed::ID, ErrorCode::INVALID_PAYLOAD));
    // Nothing answers a message, a wrong one neither.
    client.send_frame(Tell::ID.0, b"nonsense").await;
    client.send(&Echo(1)).await;
    assert_eq!(client.receive::<Echoed>().await, Echoed(1));
    assert_eq!(fixture.app.journal(), ["echo 1"]);
}

#[tokio::test(start_paused = true)]
async fn any_encoding_will_do() {
    let fixture = fixture();
    let mut client = testing::connect(&fixture.server);
    client.send(&Halve(600)).await;
    assert_eq!(client.receive::<Halved>().await, Halved(300));
    client.send(&Halve(3)).await;
    assert_eq!(&client.receive_frame().await.unwrap().body[..], [77]);
    client.send_frame(Halve::ID.0, b"three").await;
    assert_eq!(&client.receive_frame().await.unwrap().body[..], [ErrorCode::INVALID_PAYLOAD.0 as u8]);
}

#[tokio::test(start_paused = true)]
async fn a_response_without_a_form_is_refused_instead() {
    let fixture = fixture();
    let mut client = testing::connect(&fixture.server);
    for number in [26, 28] {
        client.send(&Halve(number)).await;
        let answer = client.receive_frame().await.unwrap();
        assert_eq!((answer.id, &answer.body[..]), (Halved::ID.0, &[ErrorCode::UNAVAILABLE.0 as u8][..]));
    }
}

#[tokio::test(start_paused = true)]
async fn a_length_above_the_limit_closes() {
    let fixture = fixture();
    let mut client = testing::connect(&fixture.server);
    client.send(&Echo(1)).await;
    client.send_bytes(&[0, 3, 0x80, 0x00]).await;
    assert_eq!(client.receive::<Echoed>().await, Echoed(1));
    assert!(client.receive_frame().await.is_none());
    assert!(matches!(client.closed().await, CloseReason::Framing(_)));
    fixture.assert_nothing_left();
}

#[tokio::test(start_paused = true)]
async fn frames_may_come_in_single_bytes_or_all_at_once() {
    let fixture = fixture();
    let mut client = testing::connect(&fixture.server);
    for byte in bytes_of(&Echo(70_000)) {
        client.send_bytes(&[byte]).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(client.receive::<Echoed>().await, Echoed(70_000));
    let fifty: Vec<u8> = (0..50).flat_map(|number| bytes_of(&Echo(number))).collect();
    client.send_bytes(&fifty).await;
    for number in 0..50 {
        assert_eq!(client.receive::<Echoed>().await, Echoed(number));
    }
}
