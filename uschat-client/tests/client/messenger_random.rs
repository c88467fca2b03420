//! A server that loses, doubles, delays, refuses and cuts as chance has it: in the end everything was seen once, in order.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::io::DuplexStream;
use tokio::sync::watch;
use tokio::time::timeout;
use uschat_client::{Cursors, Inbox, Incoming, Messenger, MessengerConfig, Text};

use crate::support::network::{Net, client_ids, started_with};
use crate::support::{ADA, FakeServer, GRACE, stored, texts};

/// What the server does next.
#[derive(Debug, Clone, Copy)]
enum Whim {
    /// Grace says something, and Ada is told now, later, or not before her next session.
    Says,
    SaysUntold,
    /// The last texts are told once more.
    Repeats,
    /// Serves a request: stores and answers; stores and cuts; cuts; refuses for now.
    Stores,
    StoresAndCuts,
    Cuts,
    Refuses,
    Waits,
}

fn whim() -> impl Strategy<Value = Whim> {
    prop_oneof![
        6 => Just(Whim::Says),
        2 => Just(Whim::SaysUntold),
        2 => Just(Whim::Repeats),
        12 => Just(Whim::Stores),
        1 => Just(Whim::StoresAndCuts),
        1 => Just(Whim::Cuts),
        1 => Just(Whim::Refuses),
        1 => Just(Whim::Waits),
    ]
}

/// The one conversation there is: texts in the order of their numbers, who said them, and the id.
#[derive(Default)]
struct Store(Vec<(bool, String)>);

impl Store {
    fn add(&mut self, own: bool, id: &str) -> i64 {
        if let Some(index) = self.0.iter().position(|(_, known)| known == id) {
            return i64::try_from(index).unwrap() + 1;
        }
        self.0.push((own, id.to_owned()));
        i64::try_from(self.0.len()).unwrap()
    }

    fn notice(&self, number: i64) -> Value {
        let (own, id) = &self.0[usize::try_from(number - 1).unwrap()];
        let (from, to) = if *own { (ADA, GRACE) } else { (GRACE, ADA) };
        texts(from, to, vec![stored(number, id, id)])
    }

    fn len(&self) -> i64 {
        i64::try_from(self.0.len()).unwrap()
    }
}

/// Serves sessions by whim, then one after another kindly.
async fn serve(mut server: FakeServer<DuplexStream>, mut net: Net, whims: Vec<Whim>, store: Arc<Mutex<Store>>) {
    let mut whims = whims.into_iter().map(Some).chain([None]);
    let mut said = 0;
    let notice = |number| store.lock().unwrap().notice(number);
    let len = || store.lock().unwrap().len();
    loop {
        // Between the whims and the kindness is a cut, so that the next session tells what nobody was told.
        while let Some(whim) = whims.next().unwrap_or(Some(Whim::Stores)) {
            match whim {
                Whim::Says | Whim::SaysUntold => {
                    said += 1;
                    let number = store.lock().unwrap().add(false, &format!("grace {said}"));
                    if matches!(whim, Whim::Says) {
                        tell(&mut server, 1019, notice(number)).await;
                    }
                }
                Whim::Repeats => {
                    for number in (len() - 2).max(1)..=len() {
                        tell(&mut server, 1019, notice(number)).await;
                    }
                }
                Whim::Stores | Whim::StoresAndCuts | Whim::Refuses => {
                    let request = match timeout(Duration::from_millis(50), server.request()).await {
                        Ok(Some((1017, request))) => request,
                        Ok(Some(other)) => panic!("{other:?}"),
                        Ok(None) => break, // a gap was not closed in time
                        Err(_) => continue,
                    };
                    if matches!(whim, Whim::Refuses) {
                        let id = &request["text_array"][0]["unique_id"];
                        tell(&mut server, 1018, json!({"error": 3101, "text_array": [{"content": id, "msgid": id}]}))
                            .await;
                        break;
                    }
                    let ids = client_ids(&request);
                    let place = |id: &String| stored(store.lock().unwrap().add(true, id), id, id);
                    let datas = ids.iter().map(place).collect();
                    if matches!(whim, Whim::StoresAndCuts) {
                        break;
                    }
                    tell(&mut server, 1018, texts(ADA, GRACE, datas)).await;
                }
                Whim::Cuts => break,
                Whim::Waits => tokio::time::sleep(Duration::from_secs(3)).await,
            }
        }
        drop(server);
        let cursors;
        (server, cursors) = net.session().await;
        let from = cursors.get(0).map_or(0, |cursor| cursor["seq"].as_i64().unwrap());
        for number in from + 1..=len() {
            tell(&mut server, 1019, notice(number)).await;
        }
    }
}

/// A client that has closed, because a gap stayed too long, is noticed by the next read.
async fn tell(server: &mut FakeServer<DuplexStream>, id: u16, body: Value) {
    server.try_send(id, body.to_string().as_bytes()).await;
}

/// Sends so many texts without waiting; returns their numbers.
async fn send(messenger: &Messenger, count: usize) -> Vec<i64> {
    let mut promises = Vec::new();
    for number in 0..count {
        let id = format!("ada {number}");
        promises.push(messenger.submit(GRACE, vec![Text { client_id: id.clone(), content: id }]).await.unwrap());
    }
    let mut numbers = Vec::new();
    for promise in promises {
        numbers.push(promise.await.unwrap()[0].seq);
    }
    numbers
}

/// Takes texts for ever.
async fn receive(mut inbox: Inbox, seen: watch::Sender<Vec<(i64, String)>>) {
    while let Some(incoming) = inbox.next().await {
        match incoming {
            Incoming::Text(text) => {
                assert_eq!(text.from, GRACE, "own texts are acknowledged, not shown");
                seen.send_modify(|seen| seen.push((text.seq, text.content)));
            }
            Incoming::Connected { .. } | Incoming::Disconnected { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

/// The numbers and contents of what one of them said.
fn said(store: &Store, own: bool) -> Vec<(i64, String)> {
    let texts = (1..).zip(&store.0).filter(|(_, (by, _))| *by == own);
    texts.map(|(number, (_, id))| (number, id.clone())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn everything_is_seen_once_in_order(whims in prop::collection::vec(whim(), 0..60), count in 0..30_usize) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            // From the first text on, whatever is told first.
            let cursors: Cursors = serde_json::from_str(r#"{"5":{"through":0}}"#).unwrap();
            let (messenger, inbox, server, net) = started_with(MessengerConfig::default(), cursors).await;
            let store = Arc::new(Mutex::new(Store::default()));
            let serving = tokio::spawn(serve(server, net, whims, Arc::clone(&store)));
            let (seen, mut seeing) = watch::channel(Vec::new());
            let receiving = tokio::spawn(receive(inbox, seen));
            let numbers = timeout(Duration::from_secs(3600), send(&messenger, count)).await.expect("acknowledgements hang");
            let everything = |seen: &Vec<_>| seen.len() >= said(&store.lock().unwrap(), false).len();
            // The whims end, at the latest, when nothing comes for a while.
            while let Ok(Ok(())) = timeout(Duration::from_secs(60), seeing.changed()).await {}
            prop_assert!(everything(&seeing.borrow()), "{:?} of {:?}", seeing.borrow(), said(&store.lock().unwrap(), false));
            prop_assert!(!serving.is_finished() && !receiving.is_finished());
            let store = store.lock().unwrap();
            prop_assert_eq!(&*seeing.borrow(), &said(&store, false), "each text of Grace's once, ascending");
            let own = said(&store, true);
            prop_assert_eq!(own.iter().map(|(number, _)| *number).collect::<Vec<_>>(), numbers);
            let in_order = (0..count).map(|number| format!("ada {number}"));
            prop_assert_eq!(own.into_iter().map(|(_, id)| id).collect::<Vec<_>>(), in_order.collect::<Vec<_>>());
            Ok(())
        })?;
    }
}
