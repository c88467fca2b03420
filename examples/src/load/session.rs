//! A connection to a chat server, logged in.

use std::{fmt, future::Future, io, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::AsyncWriteExt,
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    time::timeout,
};
use uschat_client::Ticket;
use uschat_proto::{
    ErrorCode, MessageId,
    chat::{UserId, features},
};
use uschat_wire::{FrameReader, Limits, encode};

/// How long a connection or an answer may take. Many logins at a time on a busy machine take their time.
const DEADLINE: Duration = Duration::from_secs(30);

/// Both halves, and what the login said.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) reader: FrameReader<OwnedReadHalf>,
    pub(super) writer: OwnedWriteHalf,
    pub(super) friends: Vec<UserId>,
}

/// Why a session cannot begin, cannot go on, or ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// Refused with this code.
    Refused(ErrorCode),
    TimedOut,
    /// The server closed the connection.
    Closed,
    /// A newer login took its place.
    Replaced,
    /// The server said that it is about to stop.
    Draining,
    Broken(String),
}

impl Session {
    /// Logs in as a client of our days does: it reads several frames from one segment, and one array of texts is enough.
    pub(super) async fn log_in(address: &str, ticket: &Ticket) -> Result<Self, Ended> {
        let stream = in_time(TcpStream::connect(address)).await?;
        stream.set_nodelay(true)?;
        let (reader, writer) = stream.into_split();
        let mut session =
            Self { reader: FrameReader::new(reader, Limits::unrestricted()), writer, friends: Vec::new() };
        let login = json!({
            "uid": ticket.uid, "token": ticket.token(), "client": "load",
            "features": [features::COALESCED, features::CHAT_DATAS],
        });
        let profile = session.ask(MessageId::CHAT_LOGIN_REQUEST, &login).await?;
        let friends = profile["friend_list"].as_array().into_iter().flatten();
        session.friends =
            friends.filter_map(|friend| i32::try_from(friend["uid"].as_i64()?).ok().map(UserId)).collect();
        Ok(session)
    }

    /// Sends a request and returns its answer, which has the next id; what comes before it is dropped.
    pub(super) async fn ask(&mut self, id: MessageId, request: &Value) -> Result<Value, Ended> {
        let mut frame = Vec::new();
        encode(id.0, request.to_string().as_bytes(), &mut frame).map_err(|error| Ended::Broken(error.to_string()))?;
        in_time(self.writer.write_all(&frame)).await?;
        let answering = async {
            while let Some(frame) = self.reader.next().await.map_err(|error| Ended::Broken(error.to_string()))? {
                if frame.id == id.0 + 1 {
                    return serde_json::from_slice::<Value>(frame.body)
                        .map_err(|_| Ended::Broken("an answer is not JSON".to_owned()));
                }
                notice_of_end(frame.id)?;
            }
            Err(Ended::Closed)
        };
        let answer = timeout(DEADLINE, answering).await.map_err(|_| Ended::TimedOut)??;
        match answer["error"].as_i64().map(i32::try_from) {
            Some(Ok(0)) => Ok(answer),
            Some(Ok(code)) => Err(Ended::Refused(ErrorCode(code))),
            _ => Err(Ended::Broken("an answer has no error code".to_owned())),
        }
    }
}

/// What a frame says that the server sends before it closes.
pub(super) fn notice_of_end(id: u16) -> Result<(), Ended> {
    match MessageId(id) {
        MessageId::KICK_NOTICE => Err(Ended::Replaced),
        MessageId::DRAIN_NOTICE => Err(Ended::Draining),
        _ => Ok(()),
    }
}

async fn in_time<T>(work: impl Future<Output = io::Result<T>>) -> Result<T, Ended> {
    Ok(timeout(DEADLINE, work).await.map_err(|_| Ended::TimedOut)??)
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(code) => write!(f, "refused with code {}", code.0),
            Self::TimedOut => write!(f, "no answer within {} s", DEADLINE.as_secs()),
            Self::Closed => f.write_str("closed by the server"),
            Self::Replaced => f.write_str("replaced by a newer login; does another load with the same --seed run?"),
            Self::Draining => f.write_str("the server is stopping"),
            Self::Broken(how) => f.write_str(how),
        }
    }
}
