use std::time::Duration;

use tokio::{sync::watch, task::JoinHandle, time::sleep};

use super::{Ready, Topology, in_time};

/// Reads the ready file all the time, and fails at a missing one or half of one.
#[derive(Debug)]
pub struct ReadyReader {
    seen: watch::Receiver<Vec<Ready>>,
    reading: JoinHandle<()>,
}

impl Topology {
    /// Begins to read the ready file all the time.
    pub fn watch_ready_file(&self) -> ReadyReader {
        let path = self.ready_file();
        let (sender, seen) = watch::channel(vec![self.ready_now()]);
        let reading = tokio::spawn(async move {
            loop {
                let ready = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
                sender.send_if_modified(|seen| {
                    let new = seen.last() != Some(&ready);
                    if new {
                        seen.push(ready);
                    }
                    new
                });
                sleep(Duration::from_millis(1)).await;
            }
        });
        ReadyReader { seen, reading }
    }
}

impl ReadyReader {
    /// Reads until the file is so; returns all that it has said.
    pub async fn until(mut self, so: impl Fn(&Ready) -> bool) -> Vec<Ready> {
        let seen = in_time("the ready file", self.seen.wait_for(|seen| seen.last().is_some_and(&so))).await;
        let seen = seen.expect("the file was there and complete at any moment").clone();
        self.reading.abort();
        seen
    }
}
