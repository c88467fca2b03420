//! Which server a login gets, and what its token is worth.
#![cfg(feature = "status")]
#![allow(clippy::unwrap_used, reason = "tests only")]

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use uschat_proto::{
    chat::UserId,
    grpc::s1::{GetChatServerReq, GetChatServerRsp, LoginReq, status_service_client::StatusServiceClient},
};
use uschat_server::{
    status::{Status, StatusConfig},
    store::{
        memory::MemoryState,
        state::{ServerRecord, Servers, Tokens},
    },
};

struct Service {
    client: StatusServiceClient<tonic::transport::Channel>,
    state: Arc<MemoryState>,
}

async fn start(config: StatusConfig) -> Service {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}", listener.local_addr().unwrap());
    let state = Arc::new(MemoryState::new());
    tokio::spawn(Status::new(config, state.clone()).serve(listener, CancellationToken::new()));
    Service { client: StatusServiceClient::connect(uri).await.unwrap(), state }
}

impl Service {
    async fn announce(&self, name: &str, port: u16, sessions: u32, draining: bool) {
        let server = ServerRecord {
            name: name.into(),
            boot_id: 1,
            client_host: "chat.test".into(),
            client_port: port,
            peer_address: "127.0.0.1:50055".into(),
            sessions,
            draining,
        };
        self.state.announce_server(&server, Duration::from_secs(30)).await.unwrap();
    }

    async fn admit(&self, uid: i32) -> GetChatServerRsp {
        self.client.clone().get_chat_server(GetChatServerReq { uid }).await.unwrap().into_inner()
    }

    async fn login(&self, uid: i32, token: &str) -> i32 {
        let reply = self.client.clone().login(LoginReq { uid, token: token.into() }).await.unwrap().into_inner();
        assert_eq!(reply.uid, uid);
        assert_eq!(reply.token, if reply.error == 0 { token } else { "" });
        reply.error
    }
}

#[tokio::test]
async fn a_token_is_good_until_a_newer_one_replaces_it() {
    let service = start(StatusConfig::default()).await;
    service.announce("chatserver1", 8090, 0, false).await;
    let first = service.admit(1001).await;
    assert_eq!((first.error, first.host.as_str(), first.port.as_str()), (0, "chat.test", "8090"));
    assert_eq!((first.token.len(), first.token.as_bytes()[14]), (36, b'4'), "a UUID of version 4");
    for _ in 0..2 {
        assert_eq!(service.login(1001, &first.token).await, 0, "any number of times");
    }
    assert_eq!(service.login(1002, &first.token).await, 1011, "nothing was handed out to this user");
    let second = service.admit(1001).await;
    assert_eq!(service.login(1001, &first.token).await, 1010);
    assert_eq!(service.login(1001, "").await, 1010);
    assert_eq!(service.login(1001, &second.token).await, 0);
    service.state.revoke_token(UserId(1001)).await.unwrap();
    assert_eq!(service.login(1001, &second.token).await, 1011);
}

#[tokio::test]
async fn a_token_expires() {
    let service = start(StatusConfig::default()).await;
    service.announce("chatserver1", 8090, 0, false).await;
    let token = service.admit(1001).await.token;
    let past = async |time: Duration| {
        tokio::time::pause();
        tokio::time::advance(time).await;
        tokio::time::resume();
    };
    past(Duration::from_secs(7 * 24 * 60 * 60 - 60)).await;
    assert_eq!(service.login(1001, &token).await, 0);
    past(Duration::from_secs(60)).await;
    assert_eq!(service.login(1001, &token).await, 1011);
}

#[tokio::test]
async fn without_a_server_that_takes_sessions_there_is_no_token() {
    let service = start(StatusConfig::default()).await;
    for draining in [None, Some(true)] {
        if let Some(draining) = draining {
            service.announce("chatserver1", 8090, 0, draining).await;
        }
        assert_eq!(service.admit(1001).await, GetChatServerRsp { error: 1002, ..Default::default() });
        assert_eq!(service.state.token(UserId(1001)).await.unwrap(), None);
    }
    assert_eq!(service.admit(0).await.error, 1011);
    assert_eq!(service.admit(-7).await.error, 1011);
}

#[tokio::test]
async fn a_burst_spreads_over_the_living() {
    let service = start(StatusConfig::default()).await;
    service.announce("chatserver1", 8090, 10, false).await;
    service.announce("chatserver2", 8091, 0, false).await;
    service.announce("chatserver3", 8092, 0, true).await;
    let burst = async |logins: i32| {
        let mut ports = BTreeMap::<String, u32>::new();
        for uid in 1..=logins {
            *ports.entry(service.admit(uid).await.port).or_default() += 1;
        }
        ports
    };
    assert_eq!(burst(30).await, [("8090".to_owned(), 10), ("8091".to_owned(), 20)].into());
    // Only some of them came; the announcement counts, not the guess.
    service.announce("chatserver1", 8090, 20, false).await;
    service.announce("chatserver2", 8091, 15, false).await;
    assert_eq!(burst(5).await, [("8091".to_owned(), 5)].into());
}

#[tokio::test]
async fn clients_are_told_the_address_that_is_configured_for_a_server() {
    let client_addresses = BTreeMap::from([("one".to_owned(), ("front.test".to_owned(), 9000))]);
    let service = start(StatusConfig { client_addresses, ..StatusConfig::default() }).await;
    service.announce("one", 8090, 0, false).await;
    let told = service.admit(1001).await;
    assert_eq!((told.error, told.host.as_str(), told.port.as_str()), (0, "front.test", "9000"));
    service.announce("one", 8090, 0, true).await;
    service.announce("two", 8091, 0, false).await;
    let told = service.admit(1001).await;
    assert_eq!((told.host.as_str(), told.port.as_str()), ("chat.test", "8091"));
}
