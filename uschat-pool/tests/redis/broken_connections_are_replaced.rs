//! A Redis connection that ended, or that a command waited on in vain, is not lent again.

mod real_server {
    use std::time::{Duration, Instant};

    use tokio::net::TcpListener;
    use uschat_pool::{
        Handle, Manager, Pool, PoolConfig, PoolError, Shared, SharedConfig,
        redis::{
            RedisConfig, RedisError, RedisManager,
            redis::{self, FromRedisValue, RedisResult, cmd},
        },
    };

    use crate::redis_server::RedisServer;

    fn manager(url: &str, command_deadline: Duration) -> RedisManager {
        let connect_timeout = Duration::from_secs(5);
        RedisManager::new(url, &RedisConfig { connect_timeout, command_deadline }).unwrap()
    }

    fn shared(server: &RedisServer, command_deadline: Duration) -> Shared<RedisManager> {
        let config = SharedConfig { size: 1, create: Duration::from_secs(6), ..SharedConfig::default() };
        Shared::new("redis", manager(&server.url(), command_deadline), config).unwrap()
    }

    async fn run<T: FromRedisValue>(handle: &mut Handle<RedisManager>, command: &redis::Cmd) -> RedisResult<T> {
        command.query_async(&mut **handle).await
    }

    const PATIENT: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn many_use_one_connection_at_the_same_time() {
        let server = RedisServer::start().await;
        let shared = shared(&server, PATIENT);
        let (mut one, mut other) = (shared.handle().await.unwrap(), shared.handle().await.unwrap());
        let (id, other_id) = (cmd("CLIENT").arg("ID").take(), cmd("CLIENT").arg("ID").take());
        let (id, other_id) = tokio::join!(run::<i64>(&mut one, &id), run::<i64>(&mut other, &other_id));
        assert_eq!(id.unwrap(), other_id.unwrap());
        let mut pipeline = redis::pipe();
        pipeline.cmd("SET").arg("a").arg(1).ignore().cmd("INCR").arg("a");
        let answers: (i64,) = pipeline.query_async(&mut *one).await.unwrap();
        assert_eq!(answers, (2,));
    }

    #[tokio::test]
    async fn a_lost_connection_is_replaced_before_anybody_uses_it() {
        let server = RedisServer::start().await;
        let shared = shared(&server, PATIENT);
        let mut handle = shared.handle().await.unwrap();
        let watched = handle.clone();
        let manager = manager(&server.url(), PATIENT);
        assert!(!manager.is_broken(&watched));
        // The server hangs up on everybody, the caller included.
        let id: i64 = run(&mut handle, cmd("CLIENT").arg("ID")).await.unwrap();
        let mut other = manager.connect().await.unwrap();
        let _: i64 = cmd("CLIENT").arg("KILL").arg("ID").arg(id).query_async(&mut other).await.unwrap();
        let noticed = async {
            while !manager.is_broken(&watched) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENT, noticed).await.expect("the end of a connection is noticed without a command");
        let mut fresh = shared.handle().await.unwrap();
        let fresh_id: i64 = run(&mut fresh, cmd("CLIENT").arg("ID")).await.unwrap();
        assert_ne!(fresh_id, id);
        assert!(run::<i64>(&mut handle, cmd("CLIENT").arg("ID")).await.is_err());
    }

    #[tokio::test]
    async fn a_command_without_an_answer_ends_at_its_deadline_and_breaks_the_connection() {
        let server = RedisServer::start().await;
        let shared = shared(&server, Duration::from_millis(300));
        let mut handle = shared.handle().await.unwrap();
        assert_eq!(shared.snapshot().live, 1);
        server.freeze();
        let start = Instant::now();
        let error = run::<()>(&mut handle, &cmd("PING")).await.unwrap_err();
        assert!(error.is_timeout(), "{error:?}");
        let took = start.elapsed();
        assert!(took >= Duration::from_millis(300) && took < Duration::from_secs(3), "{took:?}");
        server.thaw();
        let mut fresh = shared.handle().await.unwrap();
        run::<()>(&mut fresh, &cmd("PING")).await.unwrap();
        // The next answer on the old connection would be the one that came too late.
        assert!(manager(&server.url(), PATIENT).is_broken(&handle));
    }

    #[tokio::test]
    async fn a_call_that_is_dropped_leaves_the_connection_usable() {
        let server = RedisServer::start().await;
        let shared = shared(&server, PATIENT);
        let mut handle = shared.handle().await.unwrap();
        let id: i64 = run(&mut handle, cmd("CLIENT").arg("ID")).await.unwrap();
        let mut dropped = handle.clone();
        server.freeze();
        let gave_up =
            tokio::time::timeout(Duration::from_millis(50), cmd("PING").query_async::<()>(&mut dropped)).await;
        assert!(gave_up.is_err());
        server.thaw();
        assert_eq!(run::<i64>(&mut handle, cmd("CLIENT").arg("ID")).await.unwrap(), id);
    }

    #[tokio::test]
    async fn the_connection_ends_with_its_last_clone_even_if_the_server_is_silent() {
        let server = RedisServer::start().await;
        let manager = RedisManager::dedicated(&server.url(), &RedisConfig::default()).unwrap();
        let mut connection = manager.connect().await.unwrap();
        let mut watcher = manager.connect().await.unwrap();
        let blocking = cmd("BLPOP").arg("nothing").arg(0).take();
        let waiting =
            tokio::time::timeout(Duration::from_millis(50), blocking.query_async::<()>(&mut connection)).await;
        assert!(waiting.is_err());
        drop(connection);
        let gone = async {
            loop {
                let clients: String = cmd("CLIENT").arg("LIST").query_async(&mut watcher).await.unwrap();
                if clients.lines().count() == 1 {
                    return;
                }
            }
        };
        tokio::time::timeout(PATIENT, gone).await.expect("the server sees the end of the connection");
    }

    #[tokio::test]
    async fn a_peer_that_accepts_and_says_nothing_fails_the_connect() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("redis://{}", listener.local_addr().unwrap());
        let after = Duration::from_millis(200);
        let config = RedisConfig { connect_timeout: after, ..RedisConfig::default() };
        for cluster in ["", "/?cluster=true"] {
            let manager = RedisManager::new(&format!("{url}{cluster}"), &config).unwrap();
            let start = Instant::now();
            let error = manager.connect().await.unwrap_err();
            assert!(matches!(error, RedisError::Silent { .. }), "{error:?}");
            assert!(start.elapsed() >= after / 2 && start.elapsed() < 10 * after, "{:?}", start.elapsed());
        }
    }

    #[tokio::test]
    async fn a_server_that_is_gone_is_told_from_one_that_refuses() {
        let mut server = RedisServer::start_with(&["--requirepass", "secret"]).await;
        let error = shared(&server, PATIENT).handle().await.unwrap_err();
        assert!(matches!(error, PoolError::Connect(RedisError::Refused)), "{error:?}");
        server.kill();
        let error = shared(&server, PATIENT).handle().await.unwrap_err();
        assert!(matches!(error, PoolError::Connect(RedisError::Unreachable(_))), "{error:?}");
    }

    #[tokio::test]
    async fn a_lent_connection_is_verified_by_a_ping() {
        let server = RedisServer::start().await;
        let config = PoolConfig { verify_after: Duration::ZERO, ..PoolConfig::default() };
        let pool = Pool::new("blocking", manager(&server.url(), PATIENT), config).unwrap();
        drop(pool.get().await.unwrap());
        let mut lease = pool.get().await.unwrap();
        assert_eq!(pool.snapshot().size, 1);
        let info: String = cmd("INFO").arg("commandstats").query_async(&mut *lease).await.unwrap();
        let pings = info.lines().find(|line| line.starts_with("cmdstat_ping:calls=2")).map(str::to_owned);
        assert!(pings.is_some(), "{info}");
    }
}
