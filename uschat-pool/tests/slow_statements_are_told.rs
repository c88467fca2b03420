//! Slow statements are told with their pool's name and without their values. Alone in its program: what is told where is
//! decided for all threads of one.
#![cfg(feature = "sql")]
#![allow(clippy::unwrap_used, unreachable_pub, reason = "tests only")]

#[path = "../../uschat-server/tests/real_servers/mariadb.rs"]
mod mariadb;

mod real_server {
    use std::{
        io,
        sync::{Arc, Mutex},
        time::Duration,
    };

    use sqlx::MySql;
    use tracing_subscriber::fmt::MakeWriter;
    use uschat_pool::{Pool, PoolConfig, Retry, sql::SqlManager};

    use crate::mariadb::MariaDb;

    const PATIENCE: Duration = Duration::from_secs(60);

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Log {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Log {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    #[tokio::test]
    async fn the_slow_one_is_told_and_the_quick_one_is_not() {
        let url = MariaDb::shared().await.url("");
        let manager = SqlManager::<MySql>::new(url.parse().unwrap()).slow_after(Duration::from_millis(150));
        let pool = Pool::new("accounts", manager, PoolConfig { create: PATIENCE, ..PoolConfig::default() }).unwrap();
        let log = Log::default();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::INFO)
            .with_ansi(false)
            .with_writer(log.clone())
            .finish();
        let _until_the_end = tracing::subscriber::set_default(subscriber);

        for (statement, seconds) in [("SELECT 'quick', SLEEP(?), ?", 0.0), ("SELECT 'slow', SLEEP(?), ?", 0.2)] {
            let retry = Retry::within(PATIENCE);
            let call = pool.call(retry, |mut loan| async move {
                sqlx::query(statement).bind(seconds).bind("its-value").fetch_all(&mut *loan).await
            });
            call.await.unwrap();
        }
        let told = log.text();
        let slow: Vec<_> = told.lines().filter(|line| line.contains("slow statement")).collect();
        assert_eq!(slow.len(), 1, "{told}");
        assert!(
            slow[0].contains("WARN") && slow[0].contains(r#"pool="accounts""#) && slow[0].contains("'slow'"),
            "{told}"
        );
        assert!(!told.contains("its-value") && !told.contains("'quick'"), "{told}");
    }
}
