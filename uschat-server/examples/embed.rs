//! A protocol of our own, its bodies plain text: 1 is "my name is …", answered by 2; the others get a 2 about it, too.
//! `cargo run -p uschat-server --example embed`, then in one terminal: (printf '\0\1\0\3ann'; cat) | nc 127.0.0.1 7000
//! and in another one: (printf '\0\1\0\3bob'; cat) | nc 127.0.0.1 7000. Ann reads "welcome, ann" and "bob is here".
use uschat_server::prelude::*;

pub(crate) struct Room;
impl Application for Room {
    type User = String;
    type Session = ();
}
pub(crate) struct Text<const ID: u16>(String);
impl<const ID: u16> Message for Text<ID> {
    const ID: MessageId = MessageId(ID);
    type Encoding = Self;
}
impl<const ID: u16> Encoding<Self> for Text<ID> {
    fn encode(text: &Self, out: &mut BytesMut) -> Result<(), PayloadError> {
        out.extend_from_slice(text.0.as_bytes());
        Ok(())
    }
    fn decode(body: &Bytes) -> Result<Self, PayloadError> {
        String::from_utf8(body.to_vec()).map(Self).map_err(PayloadError::new)
    }
}
impl Request for Text<1> {
    type Response = Text<2>;
}
pub(crate) async fn join(cx: Context<Room>, Text(name): Text<1>) -> Result<Reply<Text<2>>, ErrorCode> {
    cx.log_in(name.clone())?.inspect(|older| older.close(CloseReason::Application("joined again")));
    for (_, other) in cx.sessions().users().into_iter().filter(|(user, _)| *user != name) {
        let _ = other.push(&Text::<2>(format!("{name} is here")));
    }
    Ok(Reply::Now(Text(format!("welcome, {name}"))))
}
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = Server::new(Room, LogicSystem::builder().on_open(join).build()?, SessionConfig::default());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:7000").await?;
    Ok(server.listen_until(listener, tokio::signal::ctrl_c()).await?)
}
