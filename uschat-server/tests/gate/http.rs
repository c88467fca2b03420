//! The gate against clients that are slow, large, or wrong.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout},
};
use uschat_server::gate::GateConfig;

use crate::support::{PASSWORD, World, world, world_with};

const SHORT: Duration = Duration::from_millis(300);
const PATIENCE: Duration = Duration::from_secs(5);

async fn connect(world: &World) -> TcpStream {
    TcpStream::connect(world.gate).await.unwrap()
}

/// Sends bytes and reads until the gate closes.
async fn exchange(world: &World, bytes: &[u8]) -> String {
    let mut socket = connect(world).await;
    socket.write_all(bytes).await.unwrap();
    rest(socket).await
}

async fn rest(mut socket: TcpStream) -> String {
    let mut answer = Vec::new();
    // A reset counts as closed: the gate need not read what it refused.
    let _ = timeout(PATIENCE, socket.read_to_end(&mut answer)).await.expect("the gate keeps the connection");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn get_test_shows_the_query() {
    let world = world().await;
    let get = async |query: &str| {
        let request = format!("GET /get_test{query} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let answer = exchange(&world, request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("content-type: text/plain"), "{answer}");
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    };
    assert_eq!(get("").await, "The gate is up.\n");
    assert_eq!(get("?a=1&name=J%C3%BCrgen+B").await, "The gate is up.\n1. a = 1\n2. name = J\u{fc}rgen B\n");
    assert_eq!(get("?a=%&b=%zz&c=%4").await, "The gate is up.\n1. a = %\n2. b = %zz\n3. c = %4\n");
    assert_eq!(get("?a=%ff").await, "The gate is up.\n1. a = \u{fffd}\n");
}

#[tokio::test]
async fn unknown_routes_and_methods() {
    let world = world().await;
    let response = world.http.get(world.url("/nowhere?x=1")).send().await.unwrap();
    assert_eq!(response.status(), 404);
    assert_eq!(response.headers()["content-type"], "text/plain");
    assert_eq!(response.text().await.unwrap(), "url not found\r\n");
    assert_eq!(world.http.post(world.url("/nowhere")).send().await.unwrap().status(), 404);
    for route in ["/get_varifycode", "/user_register", "/reset_pwd", "/user_login"] {
        assert_eq!(world.http.get(world.url(route)).send().await.unwrap().status(), 405, "{route}");
    }
    assert_eq!(world.http.delete(world.url("/get_test")).send().await.unwrap().status(), 405);
}

#[tokio::test]
async fn what_is_no_json_request_is_1001_on_every_route() {
    let world = world().await;
    let nested = format!("{{\"email\":{}", "[".repeat(30_000));
    let bodies: [&[u8]; 6] = [b"", b"no json", b"[]", b"{}", b"{\"email\":\"\xff@b\"}", nested.as_bytes()];
    for route in ["/get_varifycode", "/user_register", "/reset_pwd", "/user_login"] {
        for body in bodies {
            let response = world.http.post(world.url(route)).body(body.to_vec()).send().await.unwrap();
            assert_eq!(response.status(), 200);
            assert_eq!(response.headers()["content-type"], "text/json");
            assert_eq!(response.json::<Value>().await.unwrap(), json!({ "error": 1001 }), "{route}");
        }
    }
    let invalid = world.post("/get_varifycode", json!({ "email": "nobody" })).await;
    assert_eq!(invalid, json!({ "error": 3007 }));
}

#[tokio::test]
async fn the_request_content_type_does_not_matter() {
    let world = world().await;
    for content_type in ["application/json", "text/plain", "x"] {
        let request = world.http.post(world.url("/get_varifycode")).header("content-type", content_type);
        let response = request.body(r#"{"email":"a@b"}"#).send().await.unwrap();
        assert_eq!(response.json::<Value>().await.unwrap()["error"], 0, "{content_type}");
    }
}

#[tokio::test]
async fn the_sixth_mail_in_ten_minutes_is_refused() {
    let world = world().await;
    let first = world.code("ada@example.org").await;
    for _ in 1..5 {
        assert_eq!(world.code("ada@example.org").await, first);
    }
    let refused = world.post("/get_varifycode", json!({ "email": "Ada@example.org" })).await;
    assert_eq!(refused, json!({ "error": 3102, "email": "Ada@example.org" }));
    world.code("bob@example.org").await;
}

#[tokio::test]
async fn the_outbox_shows_the_newest_mail() {
    let world = world().await;
    let get = async |query: &str| {
        let response = world.http.get(world.url(&format!("/dev/outbox{query}"))).send().await.unwrap();
        (response.status().as_u16(), response.json::<Value>().await.unwrap())
    };
    assert_eq!(get("?email=a%2Bb@example.org").await.0, 404);
    assert_eq!(get("").await.0, 404);
    let code = world.code("a+b@example.org").await;
    let mail = json!({ "email": "a+b@example.org", "code": code });
    assert_eq!(get("?email=a%2Bb%40example.org").await, (200, mail));
}

#[tokio::test]
async fn a_body_over_the_limit_is_413_and_ends_the_connection() {
    let world = world().await;
    let announced = format!("POST /user_login HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", 64 * 1024 + 1);
    let answer = exchange(&world, announced.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.ends_with(r#"{"error":1001}"#), "{answer}");

    // Chunks of no announced length.
    let mut socket = connect(&world).await;
    socket.write_all(b"POST /user_login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n").await.unwrap();
    let chunk = format!("4000\r\n{}\r\n", "a".repeat(0x4000));
    for _ in 0..4 {
        socket.write_all(chunk.as_bytes()).await.unwrap();
    }
    socket.write_all(b"1\r\n{\r\n").await.unwrap();
    let answer = rest(socket).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[tokio::test]
async fn floods_of_headers_are_refused() {
    let world = world().await;
    let many = format!("GET /get_test HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(1_000));
    assert!(exchange(&world, many.as_bytes()).await.starts_with("HTTP/1.1 431 "));
    let long = format!("GET /get_test HTTP/1.1\r\na: {}\r\n\r\n", "b".repeat(1_000_000));
    let mut socket = connect(&world).await;
    let _ = socket.write_all(long.as_bytes()).await;
    assert!(!rest(socket).await.starts_with("HTTP/1.1 200 "));
    assert!(exchange(&world, b"\x00\x01garbage\r\n\r\n").await.starts_with("HTTP/1.1 400 "));
}

#[tokio::test]
async fn slow_clients_are_cut_while_an_honest_one_logs_in() {
    let config = GateConfig { header_deadline: SHORT, body_deadline: SHORT, ..GateConfig::default() };
    let world = world_with(config, |store| store).await;
    world.register("ada").await;
    let begun: [&[u8]; 4] = [
        b"",
        b"POST /user_lo",
        b"POST /user_login HTTP/1.1\r\nHost: x\r\nContent-Le",
        b"POST /user_login HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{\"email\":",
    ];
    let mut slow = Vec::new();
    for bytes in begun.iter().cycle().take(80) {
        let mut socket = connect(&world).await;
        socket.write_all(bytes).await.unwrap();
        slow.push((bytes, socket));
    }
    let began = Instant::now();
    assert_eq!(world.login("ada@example.org", PASSWORD).await["error"], 0);
    assert!(began.elapsed() < Duration::from_secs(1));
    for (bytes, socket) in slow {
        let answer = rest(socket).await;
        if bytes.ends_with(b":") {
            assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        }
    }
    assert!(began.elapsed() < PATIENCE);
}

#[tokio::test]
async fn one_byte_at_a_time_does_not_move_the_deadline() {
    let world = world_with(GateConfig { header_deadline: SHORT, ..GateConfig::default() }, |store| store).await;
    let (mut read, mut write) = connect(&world).await.into_split();
    let dripping = tokio::spawn(async move {
        let mut pause = tokio::time::interval(SHORT / 10);
        for byte in b"GET /get_test HTTP/1.1\r\nHost: a-header-that-takes-its-time".iter().cycle() {
            pause.tick().await;
            if write.write_all(&[*byte]).await.is_err() {
                break;
            }
        }
    });
    let mut answer = Vec::new();
    let _ = timeout(PATIENCE, read.read_to_end(&mut answer)).await.expect("the gate keeps the connection");
    timeout(PATIENCE, dripping).await.unwrap().unwrap();
}

#[tokio::test]
async fn connections_beyond_the_bound_wait_for_a_place() {
    let config = GateConfig { max_connections: 2, header_deadline: SHORT, ..GateConfig::default() };
    let world = world_with(config, |store| store).await;
    let _silent = (connect(&world).await, connect(&world).await);
    // Both places come free at the header deadline.
    let response = timeout(PATIENCE, world.http.get(world.url("/get_test")).send()).await.unwrap().unwrap();
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn a_connection_takes_many_requests_until_shutdown() {
    let mut world = world().await;
    let mut socket = connect(&world).await;
    let mut buffer = [0; 1024];
    for _ in 0..3 {
        socket.write_all(b"GET /get_test HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        assert_ne!(timeout(PATIENCE, socket.read(&mut buffer)).await.unwrap().unwrap(), 0);
    }
    world.shutdown.cancel();
    assert_eq!(rest(socket).await, "", "an idle connection is closed at once");
    timeout(PATIENCE, &mut world.gate_task).await.unwrap().unwrap().unwrap();
    assert!(TcpStream::connect(world.gate).await.is_err());
}

#[tokio::test]
async fn a_request_under_way_is_answered_while_draining() {
    let mut world = world().await;
    let (head, body) = ("POST /get_varifycode HTTP/1.1\r\nHost: x\r\nContent-Length: 15\r\n\r\n", r#"{"email":"a@b"}"#);
    let mut socket = connect(&world).await;
    socket.write_all(head.as_bytes()).await.unwrap();
    // Another connection's answer: the gate has seen the first one's header by then.
    world.code("bob@example.org").await;
    world.shutdown.cancel();
    socket.write_all(body.as_bytes()).await.unwrap();
    let answer = rest(socket).await;
    assert!(answer.ends_with(r#"{"error":0,"email":"a@b"}"#), "{answer}");
    timeout(PATIENCE, &mut world.gate_task).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn the_drain_deadline_ends_requests_that_do_not() {
    let mut world = world_with(GateConfig { drain: SHORT, ..GateConfig::default() }, |store| store).await;
    let mut socket = connect(&world).await;
    socket.write_all(b"POST /user_login HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{").await.unwrap();
    world.code("bob@example.org").await;
    let began = Instant::now();
    world.shutdown.cancel();
    timeout(PATIENCE, &mut world.gate_task).await.unwrap().unwrap().unwrap();
    assert!(began.elapsed() >= SHORT && began.elapsed() < Duration::from_secs(3));
}
