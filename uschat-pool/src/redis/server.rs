//! One server: connecting to it, and giving a connection the state it had in the beginning.

use redis::{AsyncConnectionConfig, RedisConnectionInfo, aio::MultiplexedConnection};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};

use super::{
    RedisConfig, RedisConnection, RedisError,
    connection::Purpose,
    error::{explain, unreachable},
    ping, tls,
};

/// One server, or one node of a cluster.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) login: RedisConnectionInfo,
    pub(super) tls: Option<TlsConnector>,
}

impl Server {
    pub(super) async fn connect(
        &self,
        config: &RedisConfig,
        purpose: Purpose,
        as_cluster: bool,
    ) -> Result<RedisConnection, RedisError> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(unreachable)?;
        // With many users the kernel gathers the commands that come while earlier ones are on their way: fewer, larger writes,
        // and nothing waits that Redis could begin with. One user has nothing to gather.
        stream.set_nodelay(purpose == Purpose::Dedicated).map_err(unreachable)?;
        let mut connection = match &self.tls {
            None => self.log_in(stream, config, purpose).await?,
            Some(tls) => {
                let name = ServerName::try_from(self.host.clone()).map_err(|cause| RedisError::Tls(cause.into()))?;
                let stream = tls.connect(name, stream).await.map_err(tls::refused)?;
                self.log_in(stream, config, purpose).await?
            }
        };
        ping(&mut connection).await?;
        // Whoever may not ask is believed: the check only makes a mistake in the URL easy to find.
        let info = redis::cmd("INFO").arg("cluster").query_async::<String>(&mut connection).await;
        let is_cluster = info.ok().map(|info| info.contains("cluster_enabled:1"));
        match (is_cluster, as_cluster) {
            (Some(true), false) => Err(RedisError::IsCluster),
            (Some(false), true) => Err(RedisError::NoCluster),
            _ => Ok(connection),
        }
    }

    async fn log_in(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        config: &RedisConfig,
        purpose: Purpose,
    ) -> Result<RedisConnection, RedisError> {
        let driver = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(config.connect_timeout))
            .set_response_timeout(Some(config.command_deadline));
        let (connection, driver) =
            MultiplexedConnection::new_with_config(&self.login, stream, driver).await.map_err(explain)?;
        Ok(RedisConnection::server(connection, driver, purpose, config.command_deadline))
    }

    /// What makes a connection as it was when it was made. `RESET` is known to Redis 6.2 and later.
    pub(super) fn resetting(&self) -> redis::Pipeline {
        let mut pipeline = redis::pipe();
        pipeline.cmd("RESET");
        if let Some(password) = self.login.password() {
            pipeline.cmd("AUTH").arg(self.login.username()).arg(password);
        }
        if self.login.db() != 0 {
            pipeline.cmd("SELECT").arg(self.login.db());
        }
        pipeline
    }
}
