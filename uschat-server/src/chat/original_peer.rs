use crate::cluster::OriginalDialect;

/// An original chat server beside ours, which shares our database and state.
///
/// Its users' events go to it over `message.ChatService`; its own calls are answered whether it is listed or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginalPeer {
    /// Its name in the cluster, as it writes it to `uip_<uid>`: `Name` of its `[SelfServer]`.
    pub name: String,
    /// `host:port` of its gRPC: its host and its `RPCPort`. An IPv6 address in brackets.
    pub address: String,
    /// What it understands.
    pub dialect: OriginalDialect,
}

impl OriginalPeer {
    /// Whether name and address can be those of a server.
    ///
    /// # Errors
    /// [`OriginalPeerError::NoName`] or [`OriginalPeerError::BadAddress`].
    pub fn validate(&self) -> Result<(), OriginalPeerError> {
        let Self { name, address, .. } = self.clone();
        if name.is_empty() {
            return Err(OriginalPeerError::NoName { address });
        }
        if !is_host_and_port(&address) {
            return Err(OriginalPeerError::BadAddress { name, address });
        }
        Ok(())
    }
}

/// What is wrong with a list of originals. The configuration is at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OriginalPeerError {
    /// An original has no name.
    #[error("the original chat server at {address} has no name")]
    NoName {
        /// Its address.
        address: String,
    },
    /// An original is named like this server.
    #[error("the original chat server {name} has the name of this server; names must differ in a cluster")]
    OwnName {
        /// The name.
        name: String,
    },
    /// Two originals share a name.
    #[error("two original chat servers are named {name}; names must differ in a cluster")]
    NamedTwice {
        /// The name.
        name: String,
    },
    /// An address is not `host:port`.
    #[error("the address {address} of the original chat server {name} is not host:port")]
    BadAddress {
        /// The original's name.
        name: String,
        /// What was given.
        address: String,
    },
}

/// Refuses lists that could only fail later, event by event.
pub(super) fn check(own_name: &str, originals: &[OriginalPeer]) -> Result<(), OriginalPeerError> {
    for (index, original) in originals.iter().enumerate() {
        original.validate()?;
        let name = original.name.clone();
        if name == own_name {
            return Err(OriginalPeerError::OwnName { name });
        }
        if originals[..index].iter().any(|earlier| earlier.name == name) {
            return Err(OriginalPeerError::NamedTwice { name });
        }
    }
    Ok(())
}

fn is_host_and_port(address: &str) -> bool {
    let Some((host, port)) = address.rsplit_once(':') else { return false };
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_host = match bracketed {
        Some(inside) => inside.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            !host.is_empty()
                && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
        }
    };
    is_host && port.parse::<u16>().is_ok_and(|port| port != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn original(name: &str, address: &str) -> OriginalPeer {
        OriginalPeer { name: name.into(), address: address.into(), dialect: OriginalDialect::FirstSeason }
    }

    #[test]
    fn addresses_are_host_and_port() {
        for good in ["127.0.0.1:50055", "chat-2.example.org:1", "[::1]:50055", "under_score:65535"] {
            assert_eq!(check("ours", &[original("a", good)]), Ok(()), "{good}");
        }
        for bad in
            ["", "host", "host:", ":1", "host:0", "host:65536", "http://host:1", "ho st:1", "::1:1", "[x]:1", "[::1]"]
        {
            let error = OriginalPeerError::BadAddress { name: "a".into(), address: bad.into() };
            assert_eq!(check("ours", &[original("a", bad)]), Err(error), "{bad}");
        }
    }

    #[test]
    fn names_are_there_and_differ() {
        let at = |name| original(name, "host:1");
        assert_eq!(check("ours", &[at("a"), at("b")]), Ok(()));
        assert_eq!(check("ours", &[at("")]), Err(OriginalPeerError::NoName { address: "host:1".into() }));
        assert_eq!(check("ours", &[at("ours")]), Err(OriginalPeerError::OwnName { name: "ours".into() }));
        assert_eq!(
            check("ours", &[at("a"), at("b"), at("a")]),
            Err(OriginalPeerError::NamedTwice { name: "a".into() })
        );
    }
}
