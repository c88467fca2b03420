use std::str::FromStr;

use serde::Deserialize;

use super::services::Original;

/// What `--original-peers` takes: `NAME=HOST:PORT` for one of the first season, `NAME=HOST:PORT/later` for one of the later
/// main line, separated by commas.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct OriginalPeers(pub Vec<Original>);

/// The form was wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("peers are written NAME=HOST:PORT or NAME=HOST:PORT/later, separated by commas, each name once")]
pub struct OriginalPeersError;

impl FromStr for OriginalPeers {
    type Err = OriginalPeersError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut peers: Vec<Original> = Vec::new();
        for peer in text.split(',').map(str::trim).filter(|peer| !peer.is_empty()) {
            let (name, address) = peer.split_once('=').ok_or(OriginalPeersError)?;
            let address = address.trim();
            let (address, later) = match address.strip_suffix("/later") {
                Some(address) => (address, true),
                None => (address, false),
            };
            let peer = Original { name: name.trim().to_owned(), address: address.to_owned(), later };
            if peers.iter().any(|earlier| earlier.name == peer.name) || peer.as_peer().validate().is_err() {
                return Err(OriginalPeersError);
            }
            peers.push(peer);
        }
        Ok(Self(peers))
    }
}

impl TryFrom<String> for OriginalPeers {
    type Error = OriginalPeersError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::OriginalPeers;

    #[test]
    fn names_with_addresses() {
        let peers: OriginalPeers = "chatserver1=10.0.0.1:50055, chatserver2=[::1]:50056/later,".parse().unwrap();
        let peers: Vec<_> =
            peers.0.iter().map(|peer| (peer.name.as_str(), peer.address.as_str(), peer.later)).collect();
        assert_eq!(peers, [("chatserver1", "10.0.0.1:50055", false), ("chatserver2", "[::1]:50056", true)]);
        for wrong in ["chatserver1", "a=h", "a=h:0", "a=:1", "=h:1", "a=::1:5", "a=h:1,a=h:2", "a=h:1/sooner"] {
            assert!(wrong.parse::<OriginalPeers>().is_err(), "{wrong}");
        }
        assert_eq!("".parse(), Ok(OriginalPeers::default()));
    }
}
