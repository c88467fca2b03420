//! That the relay of the battery does to a COMMIT what it is told, and nothing to anything else. The database here is the
//! other end of a socket.

use std::time::{Duration, Instant};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use crate::harness::{database_proxy::DatabaseProxy, packets::OK};
use crate::support::in_time;

const BEGIN: &[u8] = b"\x12\0\0\0\x03START TRANSACTION";
const SAY: &[u8] = b"\x08\0\0\0\x17 hello ";
const COMMIT: &[u8] = b"\x07\0\0\0\x03COMMIT";
/// Neither is a COMMIT: one is part of an answer, one has more to say, one is what somebody wrote.
const OTHERS: [&[u8]; 3] = [b"\x07\0\0\x02\x03COMMIT", b"\x0d\0\0\0\x03COMMIT CHAIN", b"\x0d\0\0\0\x17say \x03COMMIT "];
/// Long enough for what must not come.
const NEVER: Duration = Duration::from_millis(30);

#[tokio::test]
async fn a_commit_is_held_wherever_it_is_split() {
    for split in 0..=COMMIT.len() {
        let Ends { proxy, mut client, mut database } = connect().await;
        let hold = proxy.hold("hello");
        pass(&mut client, &mut database, &[BEGIN, SAY].concat()).await;
        let (first, second) = COMMIT.split_at(split);
        client.write_all(first).await.unwrap();
        tokio::task::yield_now().await;
        client.write_all(second).await.unwrap();
        let held = hold.reached().await;
        assert_silent(&mut database).await;
        held.forward();
        assert_eq!(read(&mut database, COMMIT.len()).await, COMMIT);
        pass(&mut database, &mut client, OK).await;
    }
}

#[tokio::test]
async fn only_the_transaction_with_these_words_is_held() {
    let Ends { proxy, mut client, mut database } = connect().await;
    let hold = proxy.hold("hello");
    for other in OTHERS {
        pass(&mut client, &mut database, other).await;
    }
    pass(&mut client, &mut database, &[BEGIN, COMMIT].concat()).await;
    pass(&mut client, &mut database, SAY).await;
    // What was said before the transaction does not count.
    pass(&mut client, &mut database, &[BEGIN, COMMIT, BEGIN, SAY].concat()).await;
    client.write_all(COMMIT).await.unwrap();
    drop(hold.reached().await);
    // And only once.
    assert_eq!(read(&mut database, COMMIT.len()).await, COMMIT);
    pass(&mut client, &mut database, &[BEGIN, SAY, COMMIT].concat()).await;
}

#[tokio::test]
async fn a_commit_that_is_cut_never_arrives() {
    let Ends { proxy, mut client, mut database } = connect().await;
    let hold = proxy.hold("hello");
    pass(&mut client, &mut database, &[BEGIN, SAY].concat()).await;
    client.write_all(COMMIT).await.unwrap();
    hold.reached().await.cut();
    assert_ended(&mut client).await;
    assert_ended(&mut database).await;
}

#[tokio::test]
async fn a_held_commit_does_not_outlive_the_databases_patience() {
    let Ends { proxy, mut client, mut database } = connect().await;
    let hold = proxy.hold("hello");
    pass(&mut client, &mut database, &[BEGIN, SAY].concat()).await;
    client.write_all(COMMIT).await.unwrap();
    let held = hold.reached().await;
    drop(database);
    assert_ended(&mut client).await;
    held.forward();
}

#[tokio::test]
async fn an_answer_is_swallowed() {
    let Ends { proxy, mut client, mut database } = connect().await;
    let hold = proxy.hold("hello");
    pass(&mut client, &mut database, &[BEGIN, SAY].concat()).await;
    client.write_all(COMMIT).await.unwrap();
    let held = hold.reached().await;
    let answer = async {
        assert_eq!(read(&mut database, COMMIT.len()).await, COMMIT);
        database.write_all(OK).await.unwrap();
    };
    tokio::join!(held.swallow_the_answer(), answer);
    assert_silent(&mut client).await;
    drop(client);
    assert_ended(&mut database).await;
}

#[tokio::test]
async fn a_lie_comes_first_and_the_truth_later() {
    let Ends { proxy, mut client, mut database } = connect().await;
    proxy.lie(3 * NEVER);
    client.write_all(&[BEGIN, COMMIT, SAY].concat()).await.unwrap();
    assert_eq!(read(&mut client, OK.len()).await, OK);
    assert_eq!(read(&mut database, BEGIN.len()).await, BEGIN);
    assert_silent(&mut database).await;
    assert_eq!(read(&mut database, COMMIT.len()).await, COMMIT);
    // What comes behind it waits for the database's own answer, which the liar keeps.
    assert_silent(&mut database).await;
    database.write_all(OK).await.unwrap();
    assert_eq!(read(&mut database, SAY.len()).await, SAY);
    assert_silent(&mut client).await;

    proxy.be_honest();
    pass(&mut client, &mut database, COMMIT).await;
    pass(&mut database, &mut client, OK).await;
}

#[tokio::test]
async fn everything_is_delayed_or_refused_when_told() {
    let Ends { proxy, mut client, mut database } = connect().await;
    proxy.delay(NEVER);
    let begin = Instant::now();
    pass(&mut client, &mut database, BEGIN).await;
    pass(&mut database, &mut client, OK).await;
    assert!(begin.elapsed() >= 2 * NEVER, "{:?}", begin.elapsed());

    proxy.refuse();
    assert_ended(&mut client).await;
    assert_ended(&mut database).await;
    let port = proxy.port();
    assert_ended(&mut TcpStream::connect(("127.0.0.1", port)).await.unwrap()).await;
}

struct Ends {
    proxy: DatabaseProxy,
    client: TcpStream,
    database: TcpStream,
}

async fn connect() -> Ends {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = DatabaseProxy::start(listener.local_addr().unwrap().port()).await;
    let client = TcpStream::connect(("127.0.0.1", proxy.port())).await.unwrap();
    client.set_nodelay(true).unwrap();
    let (database, _) = in_time("the proxy connects", listener.accept()).await.unwrap();
    Ends { proxy, client, database }
}

/// That these bytes arrive as they are.
async fn pass(from: &mut TcpStream, to: &mut TcpStream, bytes: &[u8]) {
    from.write_all(bytes).await.unwrap();
    assert_eq!(read(to, bytes.len()).await, bytes);
}

async fn read(from: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    in_time("bytes", from.read_exact(&mut bytes)).await.unwrap();
    bytes
}

async fn assert_silent(from: &mut TcpStream) {
    assert!(timeout(NEVER, from.read(&mut [0])).await.is_err());
}

async fn assert_ended(from: &mut TcpStream) {
    let read = in_time("the end", from.read(&mut [0])).await;
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
}
