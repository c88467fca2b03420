//! URLs of Redis servers. Nothing here is ever shown whole: a URL holds the password.

use std::{borrow::Cow, path::PathBuf};

use redis::{IntoConnectionInfo, RedisConnectionInfo};
use url::{Host, Url};

use super::RedisError;

const DEFAULT_PORT: u16 = 6379;

/// What a URL says.
#[derive(Clone)]
pub(super) struct Address {
    /// One server, or some nodes of a cluster.
    pub(super) nodes: Vec<(String, u16)>,
    /// User, password and database number.
    pub(super) login: RedisConnectionInfo,
    pub(super) cluster: bool,
    pub(super) tls: bool,
    /// The only certificate authority to trust, instead of the system's.
    pub(super) ca: Option<PathBuf>,
}

impl Address {
    pub(super) fn parse(text: &str) -> Result<Self, RedisError> {
        let mut url = Url::parse(text).map_err(|_| refuse("it is no URL"))?;
        let tls = match url.scheme() {
            "redis" => false,
            "rediss" => true,
            _ => return Err(refuse("it begins neither with redis:// nor with rediss://")),
        };
        if url.fragment().is_some() {
            return Err(refuse("it has a fragment (#); in a password write %23"));
        }
        let mut nodes = vec![(host(&url)?, url.port().unwrap_or(DEFAULT_PORT))];
        let (mut cluster, mut ca) = (false, None);
        for (key, value) in url.query_pairs() {
            match (key.as_ref(), value) {
                ("cluster", value) if value == "true" => cluster = true,
                ("cluster", value) if value == "false" => cluster = false,
                ("cluster", _) => return Err(refuse("cluster is neither true nor false")),
                ("node", value) => nodes.push(node(&value)?),
                ("ca", value) => ca = Some(PathBuf::from(Cow::into_owned(value))),
                _ => return Err(refuse("of what may follow the question mark it knows cluster, node and ca only")),
            }
        }
        url.set_query(None);
        let login =
            url.into_connection_info().map_err(|_| refuse("its user, password or database number is not readable"))?;
        let login = login.redis_settings().clone();
        if login.db() < 0 {
            return Err(refuse("its database number is negative"));
        }
        if cluster && login.db() != 0 {
            return Err(refuse("a cluster has database 0 only"));
        }
        if !cluster && nodes.len() > 1 {
            return Err(refuse("node is for clusters: add cluster=true"));
        }
        if !tls && ca.is_some() {
            return Err(refuse("ca is for TLS: write rediss://"));
        }
        Ok(Self { nodes, login, cluster, tls, ca })
    }

    /// `host:port` of every node, for people.
    pub(super) fn servers(&self) -> String {
        let texts: Vec<_> = self.nodes.iter().map(|(host, port)| format!("{host}:{port}")).collect();
        texts.join(", ")
    }
}

fn host(url: &Url) -> Result<String, RedisError> {
    match url.host() {
        Some(Host::Domain("")) | None => Err(refuse("it names no host")),
        Some(Host::Domain(name)) => Ok(name.to_owned()),
        Some(Host::Ipv4(ip)) => Ok(ip.to_string()),
        Some(Host::Ipv6(ip)) => Ok(ip.to_string()),
    }
}

/// A further node, `host` or `host:port`.
fn node(text: &str) -> Result<(String, u16), RedisError> {
    let url = Url::parse(&format!("redis://{text}")).map_err(|_| refuse("a node is not host:port"))?;
    let bare = url.username().is_empty() && url.password().is_none() && matches!(url.path(), "" | "/");
    if !bare || url.query().is_some() || url.fragment().is_some() {
        return Err(refuse("a node is not host:port"));
    }
    Ok((host(&url)?, url.port().unwrap_or(DEFAULT_PORT)))
}

fn refuse(reason: &'static str) -> RedisError {
    RedisError::Url { reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(text: &str) -> &'static str {
        match Address::parse(text) {
            Err(RedisError::Url { reason }) => reason,
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("{text} was accepted"),
        }
    }

    #[test]
    fn a_plain_url() {
        let address = Address::parse("redis://ada:p%40ss@localhost:7000/3").unwrap();
        assert_eq!(address.nodes, [("localhost".to_owned(), 7000)]);
        assert_eq!(address.login.username(), Some("ada"));
        assert_eq!(address.login.password(), Some("p@ss"));
        assert_eq!((address.login.db(), address.cluster, address.tls), (3, false, false));
        assert_eq!(Address::parse("redis://[::1]").unwrap().servers(), "::1:6379");
    }

    #[test]
    fn a_cluster_over_tls_with_two_seeds_and_a_ca() {
        let text = "rediss://:pw@127.0.0.1:7000/?cluster=true&node=127.0.0.1:7001&node=other&ca=/etc/ca.pem";
        let address = Address::parse(text).unwrap();
        assert_eq!(address.servers(), "127.0.0.1:7000, 127.0.0.1:7001, other:6379");
        assert!(address.cluster && address.tls);
        assert_eq!(address.ca, Some("/etc/ca.pem".into()));
        assert_eq!(address.login.password(), Some("pw"));
    }

    #[test]
    fn what_it_cannot_be() {
        assert!(reason("secret").contains("no URL"));
        assert!(reason("http://:secret@localhost").contains("redis://"));
        assert!(reason("redis:///0").contains("no host"));
        assert!(reason("redis://localhost/x").contains("database number"));
        assert!(reason("redis://localhost/-1").contains("negative"));
        assert!(reason("redis://localhost/1?cluster=true").contains("database 0"));
        assert!(reason("redis://localhost/?cluster=yes").contains("neither true nor false"));
        assert!(reason("redis://localhost/?node=b").contains("cluster=true"));
        assert!(reason("redis://localhost/?cluster=true&node=a@b").contains("host:port"));
        assert!(reason("redis://localhost/?ca=x").contains("rediss://"));
        assert!(reason("redis://localhost/?protocol=3").contains("question mark"));
        assert!(reason("rediss://localhost/#insecure").contains("fragment"));
    }
}
