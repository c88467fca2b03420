//! Codes and mails: one code at a time, five mails, and whose fault counts.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use tokio::{net::TcpListener, sync::Semaphore, task::JoinSet};
use tokio_util::sync::CancellationToken;
use uschat_proto::grpc::s1::{GetVarifyReq, GetVarifyRsp, varify_service_client::VarifyServiceClient};
use uschat_server::{
    store::{
        memory::MemoryState,
        state::{Codes, Limits},
    },
    verify::{MailError, Mailer, Outbox, Verify, VerifyConfig},
};

type Client = VarifyServiceClient<tonic::transport::Channel>;

const EMAIL: &str = "ada@example.org";

struct Service {
    client: Client,
    state: Arc<MemoryState>,
    shutdown: CancellationToken,
    serving: tokio::task::JoinHandle<std::io::Result<()>>,
}

async fn start(config: VerifyConfig, mailer: impl Mailer) -> Service {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}", listener.local_addr().unwrap());
    let (state, shutdown) = (Arc::new(MemoryState::new()), CancellationToken::new());
    let verify = Verify::new(config, state.clone(), Arc::new(mailer));
    let serving = tokio::spawn(verify.serve(listener, shutdown.clone()));
    Service { client: Client::connect(uri).await.unwrap(), state, shutdown, serving }
}

impl Service {
    async fn ask(&self, email: &str) -> i32 {
        let reply = self.client.clone().get_varify_code(GetVarifyReq { email: email.into() }).await.unwrap();
        let GetVarifyRsp { error, email: echoed, code } = reply.into_inner();
        assert_eq!((echoed.as_str(), code.as_str()), (email, ""), "the code travels by mail only");
        error
    }
}

#[tokio::test]
async fn a_waiting_code_is_mailed_again_and_its_time_not_renewed() {
    let outbox = Outbox::default();
    let service = start(VerifyConfig::default(), outbox.clone()).await;
    assert_eq!(service.ask(EMAIL).await, 0);
    let code = outbox.newest(EMAIL).unwrap();
    assert_eq!(code.len(), 6);

    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(500)).await;
    tokio::time::resume();
    assert_eq!(service.ask(EMAIL).await, 0);
    assert_eq!(outbox.newest(EMAIL), Some(code.clone()));
    let remaining = service.state.spend_code(EMAIL, &code).await.unwrap().unwrap();
    assert!(remaining <= Duration::from_secs(100) && remaining > Duration::from_secs(80), "{remaining:?}");

    assert_eq!(service.ask(EMAIL).await, 0);
    assert_ne!(outbox.newest(EMAIL), Some(code), "a spent code is not mailed again");
}

#[tokio::test]
async fn what_is_no_address_gets_no_mail() {
    let outbox = Outbox::default();
    let service = start(VerifyConfig::default(), outbox.clone()).await;
    for email in ["", "nobody", "a@b@c", "a@b\r\nBcc: c@d"] {
        assert_eq!(service.ask(email).await, 3007, "{email:?}");
        assert_eq!(outbox.newest(email), None);
    }
}

/// Takes its time, so that others come in between, and counts.
struct Leisurely(Arc<AtomicUsize>);

#[async_trait]
impl Mailer for Leisurely {
    async fn send_code(&self, _: &str, _: &str) -> Result<(), MailError> {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

#[tokio::test]
async fn five_mails_an_address_also_in_parallel() {
    let sent = Arc::new(AtomicUsize::new(0));
    let service = start(VerifyConfig::default(), Leisurely(sent.clone())).await;
    let mut asking = JoinSet::new();
    for number in 0..20 {
        let mut client = service.client.clone();
        let email = if number % 2 == 0 { EMAIL.to_owned() } else { EMAIL.to_uppercase() };
        asking.spawn(async move { client.get_varify_code(GetVarifyReq { email }).await.unwrap().into_inner().error });
    }
    let errors = asking.join_all().await;
    assert_eq!(errors.iter().filter(|&&error| error == 0).count(), 5, "{errors:?}");
    assert_eq!(errors.iter().copied().collect::<HashSet<_>>(), HashSet::from([0, 3102]));
    assert_eq!(sent.load(Ordering::SeqCst), 5);
    assert_eq!(service.ask("bob@example.org").await, 0, "another address is not concerned");
}

/// Refuses the first mails, of the later ones every second is in doubt and the others stay without an answer.
struct Unwell {
    refuse: usize,
    asked: AtomicUsize,
}

#[async_trait]
impl Mailer for Unwell {
    async fn send_code(&self, _: &str, _: &str) -> Result<(), MailError> {
        match self.asked.fetch_add(1, Ordering::SeqCst) {
            earlier if earlier < self.refuse => Err(MailError::new("greylisted")),
            later if later % 2 == 0 => Err(MailError::in_doubt("the connection was lost")),
            _ => std::future::pending().await,
        }
    }
}

#[tokio::test]
async fn refused_mails_do_not_count_and_unanswered_ones_do() {
    let config = VerifyConfig { mail_deadline: Duration::from_millis(20), ..VerifyConfig::default() };
    let service = start(config, Unwell { refuse: 8, asked: AtomicUsize::new(0) }).await;
    for _ in 0..8 + 5 {
        assert_eq!(service.ask(EMAIL).await, 2);
    }
    assert_eq!(service.ask(EMAIL).await, 3102, "five of them counted");
}

/// Says that a mail is under way, and waits.
struct Held {
    under_way: Arc<Semaphore>,
    go_on: Arc<Semaphore>,
}

#[async_trait]
impl Mailer for Held {
    async fn send_code(&self, _: &str, _: &str) -> Result<(), MailError> {
        self.under_way.add_permits(1);
        self.go_on.acquire().await.unwrap().forget();
        Ok(())
    }
}

#[tokio::test]
async fn who_hangs_up_is_counted_and_shutdown_waits_for_the_mail() {
    let (under_way, go_on) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let service = start(VerifyConfig::default(), Held { under_way: under_way.clone(), go_on: go_on.clone() }).await;
    let mut client = service.client.clone();
    let call = tokio::spawn(async move { client.get_varify_code(GetVarifyReq { email: EMAIL.into() }).await });
    under_way.acquire().await.unwrap().forget();
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    // A later answer on the same connection: the server has seen the cancellation.
    assert_eq!(service.ask("nobody").await, 3007);
    service.shutdown.cancel();
    go_on.add_permits(1);
    drop(service.client);
    service.serving.await.unwrap().unwrap();
    assert_eq!(service.state.counted("mails:ada@example.org").await.unwrap(), 1);
}

#[tokio::test]
async fn mails_under_way_are_bounded() {
    let (under_way, go_on) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let config = VerifyConfig { max_in_flight: 2, ..VerifyConfig::default() };
    let service = start(config, Held { under_way: under_way.clone(), go_on: go_on.clone() }).await;
    let mut asking = JoinSet::new();
    for email in ["a@b", "c@d"] {
        let mut client = service.client.clone();
        asking.spawn(async move { client.get_varify_code(GetVarifyReq { email: email.into() }).await.unwrap() });
    }
    under_way.acquire_many(2).await.unwrap().forget();
    assert_eq!(service.ask("e@f").await, 3103);
    go_on.add_permits(2);
    assert!(asking.join_all().await.into_iter().all(|reply| reply.into_inner().error == 0));
}
