//! Servers that reach their database through the relay only.

use std::time::Duration;

use uschat_examples::oracle::{Journal, Verdict};

use super::{Plan, Report, Store, database_proxy::DatabaseProxy, target};

use crate::support::{Backends, Chat, Topology, mariadb::MariaDb, redis::RedisServer};

/// A topology of processes on a Redis of its own and, behind the relay, a MariaDB of its own. All of it ends when dropped.
pub struct Behind {
    pub topology: Topology,
    pub proxy: DatabaseProxy,
    /// Beside the relay.
    pub backends: Backends,
    /// None only while it is started again.
    database: Option<MariaDb>,
    _redis: RedisServer,
}

impl Behind {
    pub async fn start() -> Self {
        let (redis, database) = tokio::join!(RedisServer::start(), MariaDb::start(&[]));
        let backends = Backends::on(&redis, &database).await;
        let proxy = DatabaseProxy::start(database.port()).await;
        // A user who is not above the rules, unlike `root`.
        backends.rows("CREATE USER uschat@'127.0.0.1'").await;
        backends.rows(&format!("GRANT ALL ON {}.* TO uschat@'127.0.0.1'", Backends::DATABASE)).await;
        let url = proxy.url("uschat", Backends::DATABASE);
        let mut arguments = backends.processes();
        arguments[4] = &url;
        let topology = Topology::start(&arguments).await;
        Self { topology, proxy, backends, database: Some(database), _redis: redis }
    }

    /// Its two chat servers as they run now.
    pub fn chats(&self) -> [Chat; 2] {
        self.topology.ready_now().chats.try_into().expect("two")
    }

    /// Its database, beside the relay.
    pub fn store(&self) -> Store {
        Store::MariaDb(self.backends.processes()[4].to_owned())
    }

    /// Judges a run that is over: it holds, or the test fails. Adds a row to the table.
    pub async fn holds(&self, id: &'static str, journal: &Journal, recoveries: Vec<Duration>) -> Verdict {
        let verdict = self.judge(journal).await;
        assert!(verdict.holds(), "{id}: {verdict}");
        self.topology.assert_no_panic();
        let report = Report {
            plan: Plan { seed: 0, rounds: 1, ..Plan::new(id) },
            verdict,
            recoveries,
            sessions_lost: Vec::new(),
            refusals: Vec::new(),
        };
        report.add_to_table();
        report.verdict
    }

    /// What the judge says of what was written down and what is stored.
    pub async fn judge(&self, journal: &Journal) -> Verdict {
        self.store().dump(journal).await;
        journal.evidence().unwrap().judge(10).unwrap()
    }

    /// Ends the database as a crash would and starts it again.
    pub async fn crash_the_database(&mut self) {
        let mut database = self.database.take().unwrap();
        let killed = tokio::task::spawn_blocking(move || {
            database.kill9();
            database
        });
        self.database = Some(killed.await.unwrap().restart().await);
    }

    /// The database itself.
    ///
    /// # Panics
    /// While it is started again.
    pub fn database(&self) -> &MariaDb {
        self.database.as_ref().expect("it runs")
    }
}

/// A failure leaves the log behind.
impl Drop for Behind {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let kept = target("battery").join(format!("{}.log", self.topology.pid()));
            let _ = std::fs::create_dir_all(target("battery"));
            let _ = std::fs::write(&kept, self.topology.log());
            println!("the servers' log is {}", kept.display());
        }
    }
}
