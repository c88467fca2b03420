//! A gate with real verify and status servers behind it, on loopback, with the memory adapters.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use uschat_pool::{
    Shared, SharedConfig,
    grpc::{GrpcConfig, GrpcManager},
};
use uschat_proto::chat::{UserId, xor_password};
use uschat_server::{
    gate::{Gate, GateConfig, PasswordCost, StatusClient, VerifyClient},
    status::{Status, StatusConfig},
    store::{
        Accounts,
        memory::{MemoryState, MemoryStore},
        state::{ServerRecord, Servers, Tokens},
    },
    verify::{Outbox, Verify, VerifyConfig},
};

pub(crate) const PASSWORD: &str = "secret1!";

pub(crate) struct World {
    pub(crate) gate: SocketAddr,
    pub(crate) outbox: Outbox,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) state: Arc<MemoryState>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) gate_task: JoinHandle<std::io::Result<()>>,
    pub(crate) http: reqwest::Client,
    stop_services: CancellationToken,
}

impl Drop for World {
    fn drop(&mut self) {
        self.shutdown.cancel();
        self.stop_services.cancel();
    }
}

pub(crate) async fn world() -> World {
    world_with(GateConfig::default(), |store| store).await
}

/// A world whose gate has this configuration, and sees the accounts as `wrap` shows them.
pub(crate) async fn world_with<A: Accounts>(
    config: GateConfig,
    wrap: impl FnOnce(Arc<MemoryStore>) -> Arc<A>,
) -> World {
    let (store, state, outbox) = (Arc::new(MemoryStore::new()), Arc::new(MemoryState::new()), Outbox::default());
    let stop_services = CancellationToken::new();

    let (listener, verify) = listen().await;
    let service = Verify::new(VerifyConfig::default(), state.clone(), Arc::new(outbox.clone()));
    tokio::spawn(service.serve(listener, stop_services.clone()));
    let (listener, status) = listen().await;
    tokio::spawn(Status::new(StatusConfig::default(), state.clone()).serve(listener, stop_services.clone()));

    // Cheap hashes: what they cost is not what these tests are about.
    let password_cost = PasswordCost { memory_kib: 8, iterations: 1, ..PasswordCost::default() };
    let config = GateConfig { password_cost, outbox: Some(Arc::new(outbox.clone())), ..config };
    let (verify, status) = (VerifyClient::new(shared(verify)), StatusClient::new(shared(status)));
    let gate = Gate::new(config, wrap(store.clone()), state.clone(), verify, status).unwrap();
    let (listener, address) = listen().await;
    let shutdown = CancellationToken::new();
    let gate_task = tokio::spawn(gate.serve(listener, shutdown.clone()));

    let world =
        World { gate: address, outbox, store, state, shutdown, gate_task, http: reqwest::Client::new(), stop_services };
    world.announce("chatserver1", 8090).await;
    world
}

pub(crate) async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

pub(crate) fn shared(peer: SocketAddr) -> Shared<GrpcManager> {
    let manager = GrpcManager::new(format!("http://{peer}"), &GrpcConfig::default()).unwrap();
    Shared::new("peer", manager, SharedConfig::default()).unwrap()
}

pub(crate) fn record(name: &str, port: u16, sessions: u32) -> ServerRecord {
    ServerRecord {
        name: name.into(),
        boot_id: 1,
        client_host: "127.0.0.1".into(),
        client_port: port,
        peer_address: "127.0.0.1:50055".into(),
        sessions,
        draining: false,
    }
}

/// As the Qt clients send a password.
pub(crate) fn sent(password: &str) -> String {
    xor_password(password)
}

impl World {
    pub(crate) async fn announce(&self, name: &str, port: u16) {
        self.state.announce_server(&record(name, port, 0), Duration::from_secs(600)).await.unwrap();
    }

    pub(crate) fn url(&self, route: &str) -> String {
        format!("http://{}{route}", self.gate)
    }

    /// Posts JSON; expects status 200 and the gate's content type.
    pub(crate) async fn post(&self, route: &str, body: Value) -> Value {
        let response = self.http.post(self.url(route)).body(body.to_string()).send().await.unwrap();
        assert_eq!(response.status(), 200, "{route}");
        assert_eq!(response.headers()["content-type"], "text/json");
        response.json().await.unwrap()
    }

    pub(crate) async fn error(&self, route: &str, body: Value) -> i64 {
        self.post(route, body).await["error"].as_i64().unwrap()
    }

    /// Has a code mailed and reads it.
    pub(crate) async fn code(&self, email: &str) -> String {
        assert_eq!(
            self.post("/get_varifycode", json!({ "email": email })).await,
            json!({ "error": 0, "email": email })
        );
        self.outbox.newest(email).unwrap()
    }

    pub(crate) fn registration(name: &str, email: &str, code: &str) -> Value {
        json!({
            "user": name, "email": email, "passwd": sent(PASSWORD), "confirm": sent(PASSWORD), "varifycode": code,
            "icon": ":/res/head_1.jpg", "nick": name, "sex": 0,
        })
    }

    /// Registers `name` with `name@example.org`.
    pub(crate) async fn register(&self, name: &str) -> UserId {
        let email = format!("{name}@example.org");
        let code = self.code(&email).await;
        let reply = self.post("/user_register", Self::registration(name, &email, &code)).await;
        assert_eq!(reply["error"], 0, "{reply}");
        UserId(i32::try_from(reply["uid"].as_i64().unwrap()).unwrap())
    }

    pub(crate) async fn login(&self, email: &str, password: &str) -> Value {
        self.post("/user_login", json!({ "email": email, "passwd": sent(password) })).await
    }

    pub(crate) async fn token(&self, uid: UserId) -> Option<String> {
        self.state.token(uid).await.unwrap()
    }
}
