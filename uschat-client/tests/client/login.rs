//! What a login sends, takes and refuses.

use std::time::Duration;

use serde_json::json;
use tokio::net::TcpListener;
use tokio::time::Instant;
use uschat_client::{Chat, ChatConfig, ConnectError, DisconnectReason, ErrorCode, Event, Ticket, UserId};

use crate::support::{
    ADA, FakeServer, GRACE, TOKEN, friend, logged_in, login_response, pipe, text_notice, ticket, within,
};

#[tokio::test]
async fn declares_itself_and_reads_the_whole_friend_list() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ticket = Ticket::new(ADA, TOKEN, "127.0.0.1", listener.local_addr().unwrap().port());
    let serve = async {
        let mut server = FakeServer::new(listener.accept().await.unwrap().0);
        let request = server.expect(1005).await;
        let mut response = login_response();
        response["friend_list"] = json!([friend(GRACE, "grace")]);
        response["friend_list_cut"] = true.into();
        response["apply_list"] = json!([crate::support::profile(UserId(7), "eve")]);
        response["apply_list"][0]["status"] = 0.into();
        server.send(1006, &response).await;
        let part = |uid, last| json!({"error": 0, "friend_list": [friend(UserId(uid), "x")], "last": last});
        server.send(3001, &part(1003, false)).await;
        server.send(1019, &text_notice(1)).await;
        server.send(3001, &part(1004, true)).await;
        (server, request)
    };
    let (session, (_server, request)) =
        within(async { tokio::join!(Chat::connect(&ticket, ChatConfig::default()), serve) }).await;
    let (chat, mut events) = session.unwrap();

    assert_eq!((&request["uid"], &request["token"]), (&json!(ADA), &json!(TOKEN)));
    assert_eq!(request["features"], json!(["coalesced", "chat_datas"]));
    assert!(request["client"].as_str().unwrap().starts_with("uschat-client/"), "{request}");

    assert_eq!((chat.profile().uid, chat.profile().name.as_str(), chat.email()), (ADA, "ada", "ada@example.org"));
    let friends: Vec<_> = chat.friends().iter().map(|friend| friend.profile.uid.0).collect();
    assert_eq!(friends, [1002, 1003, 1004]);
    assert_eq!(chat.applications()[0].applicant.uid, UserId(7));
    // A text that came in between is not lost.
    assert!(matches!(within(events.next()).await, Some(Event::Text { seq: 1, .. })));
    let shown = format!("{chat:?} {events:?} {ticket:?}");
    assert!(!shown.contains(TOKEN), "{shown}");
}

#[tokio::test]
async fn a_refusal_is_its_code() {
    let (client, mut server) = pipe();
    let refuse = async {
        server.expect(1005).await;
        server.send(1006, &json!({"error": 1010})).await;
    };
    let ticket = ticket();
    let (result, ()) =
        within(async { tokio::join!(Chat::connect_over(client, &ticket, ChatConfig::default()), refuse) }).await;
    assert!(matches!(result, Err(ConnectError::Refused(ErrorCode::TOKEN_INVALID))), "{result:?}");
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_is_given_up_after_the_deadline() {
    let (client, _server) = pipe();
    let start = Instant::now();
    let result = Chat::connect_over(client, &ticket(), ChatConfig::default()).await;
    assert!(matches!(result, Err(ConnectError::TimedOut { step: "the login", .. })), "{result:?}");
    assert_eq!(start.elapsed(), Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn a_friend_list_without_end_is_given_up_after_the_deadline() {
    let (client, mut server) = pipe();
    let serve = async {
        server.expect(1005).await;
        let mut response = login_response();
        response["friend_list_cut"] = true.into();
        server.send(1006, &response).await;
        std::future::pending::<()>().await;
    };
    let ticket = ticket();
    tokio::select! {
        result = Chat::connect_over(client, &ticket, ChatConfig::default()) => {
            assert!(matches!(result, Err(ConnectError::TimedOut { .. })), "{result:?}");
        }
        () = serve => unreachable!(),
    }
}

#[tokio::test]
async fn garbage_ends_with_a_clear_error_that_hides_the_token() {
    for (body, expected) in [
        (&b"no JSON"[..], "it has no error code"),
        (b"{}", "it has no error code"),
        (br#"{"error":0,"uid":"t0ken-that-stays-secret"}"#, "a key is missing or has the wrong type"),
    ] {
        let (client, mut server) = pipe();
        let serve = async {
            server.expect(1005).await;
            server.send_raw(1006, body).await;
        };
        let ticket = ticket();
        let (result, ()) =
            within(async { tokio::join!(Chat::connect_over(client, &ticket, ChatConfig::default()), serve) }).await;
        let error = result.unwrap_err();
        assert!(error.to_string().ends_with(expected), "{error}");
        assert!(!format!("{error:?}").contains(TOKEN), "{error:?}");
    }
}

#[tokio::test]
async fn a_server_that_hangs_up_or_is_not_there_is_told_apart() {
    let (client, server) = pipe();
    drop(server);
    let result = within(Chat::connect_over(client, &ticket(), ChatConfig::default())).await;
    assert!(matches!(result, Err(ConnectError::Disconnected(_))), "{result:?}");

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let ticket = Ticket::new(ADA, TOKEN, "127.0.0.1", port);
    let error = within(Chat::connect(&ticket, ChatConfig::default())).await.unwrap_err();
    assert_eq!(error.to_string(), format!("cannot connect to 127.0.0.1:{port}"));
}

#[tokio::test]
async fn after_the_login_the_server_may_close_at_once() {
    let (chat, mut events, server) = logged_in(ChatConfig::default()).await;
    drop(server);
    let Some(Event::Disconnected { reason }) = within(events.next()).await else { panic!("no end") };
    assert!(matches!(reason, DisconnectReason::ClosedByServer), "{reason}");
    assert!(within(events.next()).await.is_none());
    within(chat.close()).await;
}
