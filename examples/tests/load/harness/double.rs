use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinSet,
};

/// What goes wrong with one of ten texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    /// Acknowledged, and the receiver is not told.
    Lose,
    /// The receiver is told twice.
    Double,
    /// The receiver is told behind the next text.
    Swap,
    Refuse,
    /// The connection of the sender ends instead of an answer.
    Close,
}

/// A gate and a chat server that know everybody and store nothing. Both end with it.
#[derive(Debug)]
pub struct Double {
    pub gate: String,
    _tasks: JoinSet<()>,
}

struct Chat {
    fault: Fault,
    /// Where to write to each user.
    users: Mutex<HashMap<i64, mpsc::Sender<Vec<u8>>>>,
}

impl Double {
    pub async fn start(fault: Fault) -> Self {
        let chats = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let gates = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let chat_address = chats.local_addr().unwrap();
        let gate = format!("http://{}", gates.local_addr().unwrap());
        let chat = Arc::new(Chat { fault, users: Mutex::default() });
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut sessions = JoinSet::new();
            while let Ok((stream, _)) = chats.accept().await {
                sessions.spawn(serve(stream, Arc::clone(&chat)));
            }
        });
        tasks.spawn(async move {
            let mut requests = JoinSet::new();
            while let Ok((stream, _)) = gates.accept().await {
                requests.spawn(admit(stream, chat_address));
            }
        });
        Self { gate, _tasks: tasks }
    }
}

/// Answers one login at the gate. The uid is the number in the name.
async fn admit(mut stream: TcpStream, chat: SocketAddr) {
    let (reader, mut writer) = stream.split();
    let mut reader = BufReader::new(reader);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).await.unwrap();
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).await.unwrap();
    let login: Value = serde_json::from_slice(&body).unwrap();
    let number = login["email"].as_str().unwrap().split(['-', '@']).nth(1).unwrap();
    let (host, port) = (chat.ip().to_string(), chat.port().to_string());
    let uid = number.parse::<i64>().unwrap() + 1;
    let reply = json!({
        "error": 0, "email": login["email"], "uid": uid, "token": "t", "host": host, "port": port,
        "chathost": host, "chatport": port, "reshost": host, "resport": "1",
    });
    let reply = reply.to_string();
    let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", reply.len());
    writer.write_all((head + &reply).as_bytes()).await.unwrap();
}

async fn serve(stream: TcpStream, chat: Arc<Chat>) {
    let (mut reader, mut writer) = stream.into_split();
    let (frames, mut waiting) = mpsc::channel::<Vec<u8>>(10_000);
    let mut writing = JoinSet::new();
    writing.spawn(async move {
        while let Some(frame) = waiting.recv().await {
            if writer.write_all(&frame).await.is_err() {
                return;
            }
        }
    });
    let (mut own, mut seq, mut held) = (0, 0, None);
    loop {
        let Ok(header) = reader.read_u32().await else { return };
        let mut body = vec![0; usize::try_from(header & 0xffff).unwrap()];
        reader.read_exact(&mut body).await.unwrap();
        let request: Value = serde_json::from_slice(&body).unwrap();
        if header >> 16 == 1005 {
            own = request["uid"].as_i64().unwrap();
            chat.users.lock().unwrap().insert(own, frames.clone());
            // Everybody is a friend of everybody.
            let friends: Vec<_> = (1..=20).map(|uid| json!({ "uid": uid })).collect();
            let profile = json!({ "error": 0, "uid": own, "apply_list": [], "friend_list": friends });
            frames.send(encode(1006, &profile)).await.unwrap();
            continue;
        }
        assert_eq!(header >> 16, 1017);
        let item = &request["text_array"][0];
        seq += 1;
        let told = json!({
            "error": 0, "fromuid": own, "touid": request["touid"], "thread_id": 1,
            "chat_datas": [{ "message_id": seq, "unique_id": item["unique_id"], "content": item["content"], "status": 2,
                "chat_time": "2026-01-01 00:00:00", "seq": seq }],
        });
        let receiver = chat.users.lock().unwrap()[&request["touid"].as_i64().unwrap()].clone();
        let fault = if seq % 10 == 0 { chat.fault } else { Fault::None };
        match fault {
            Fault::Refuse => {
                frames.send(encode(1018, &json!({ "error": 3103, "text_array": [] }))).await.unwrap();
                continue;
            }
            Fault::Close => return,
            _ => frames.send(encode(1018, &told)).await.unwrap(),
        }
        let notices = match fault {
            Fault::Lose => 0,
            Fault::Double => 2,
            _ => 1,
        };
        if fault == Fault::Swap {
            held = Some(told);
            continue;
        }
        for _ in 0..notices {
            let _ = receiver.send(encode(1019, &told)).await;
        }
        if let Some(told) = held.take() {
            let _ = receiver.send(encode(1019, &told)).await;
        }
    }
}

fn encode(id: u16, body: &Value) -> Vec<u8> {
    let body = body.to_string();
    [&id.to_be_bytes()[..], &u16::try_from(body.len()).unwrap().to_be_bytes(), body.as_bytes()].concat()
}
