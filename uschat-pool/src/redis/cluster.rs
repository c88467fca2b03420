//! A cluster's connection, and how its answers "not here" are followed.

use redis::{
    Cmd, ConnectionAddr, ErrorKind, IntoConnectionInfo, RedisError as DriverError, RedisResult, ServerErrorKind,
    TlsCertificates, Value,
    aio::ConnectionLike,
    cluster::{ClusterClient, ClusterClientBuilder},
    cluster_async::ClusterConnection,
    cluster_routing::SingleNodeRoutingInfo,
};

use super::{RedisConfig, RedisError, address::Address, error::explain};

/// Redirections that one command follows.
const REDIRECTS: usize = 4;

pub(super) fn client(
    address: &Address,
    ca: Option<Vec<u8>>,
    config: &RedisConfig,
) -> Result<ClusterClient, RedisError> {
    let nodes = address.nodes.iter().map(|(host, port)| {
        let (host, port) = (host.clone(), *port);
        let addr = if address.tls {
            ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
        } else {
            ConnectionAddr::Tcp(host, port)
        };
        let info = addr.into_connection_info()?;
        Ok::<_, DriverError>(info.set_redis_settings(address.login.clone()))
    });
    let nodes = nodes.collect::<Result<Vec<_>, _>>().map_err(explain)?;
    let mut client = ClusterClientBuilder::new(nodes)
        .retries(0)
        // A node that is down must leave time for the others.
        .connection_timeout(config.connect_timeout / 5)
        .response_timeout(config.command_deadline);
    if let Some(pem) = ca {
        client = client.certs(TlsCertificates { client_tls: None, root_cert: Some(pem) });
    }
    client.build().map_err(explain)
}

/// The driver's own retries are off, since it also repeats what may have happened already. A node that answers that the
/// key is elsewhere has done nothing; the driver then learns the cluster's map anew before it takes the next command.
pub(super) async fn following(cluster: &mut ClusterConnection, command: &Cmd) -> RedisResult<Value> {
    let mut followed = 0;
    loop {
        match cluster.req_packed_command(command).await {
            Err(error) if followed < REDIRECTS && error.kind() == ErrorKind::Server(ServerErrorKind::Moved) => {
                followed += 1;
            }
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::Ask) => {
                return asking(cluster, command, error).await;
            }
            outcome => return outcome,
        }
    }
}

/// While a slot moves, its keys are on either of two nodes; the one that is asked first names the other.
async fn asking(cluster: &mut ClusterConnection, command: &Cmd, error: DriverError) -> RedisResult<Value> {
    let node = error.redirect_node().and_then(|(node, _)| node.rsplit_once(':'));
    let Some((host, port)) = node.and_then(|(host, port)| Some((host.to_owned(), port.parse().ok()?))) else {
        return Err(error);
    };
    let mut pipeline = redis::pipe();
    pipeline.cmd("ASKING").ignore().add_command(command.clone());
    let route = SingleNodeRoutingInfo::ByAddress { host, port };
    cluster.route_pipeline(pipeline, 1, 1, route).await?.pop().ok_or(error)?.extract_error()
}
