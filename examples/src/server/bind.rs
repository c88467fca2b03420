use std::{
    io,
    net::{IpAddr, SocketAddr},
};

use tokio::net::TcpListener;

use crate::{
    StartError,
    config::{Named, reachable},
};

/// A listener, and where it is reached from this machine.
#[derive(Debug)]
pub(crate) struct Bound {
    /// It listens already; what comes waits in its backlog.
    pub(crate) listener: TcpListener,
    /// As a program on this machine connects to it.
    pub(crate) address: SocketAddr,
}

impl Bound {
    /// Listens where the settings say; port 0 is any free one.
    ///
    /// # Errors
    /// When that cannot be had; the key is named.
    pub(crate) async fn listen(wanted: &Named<SocketAddr>) -> Result<Self, StartError> {
        let listening = async {
            let listener = TcpListener::bind(wanted.value).await?;
            let bound = listener.local_addr()?;
            Ok(Self { listener, address: SocketAddr::new(reachable(bound.ip()), bound.port()) })
        };
        listening.await.map_err(|error| explain(wanted, &error))
    }
}

fn explain(wanted: &Named<SocketAddr>, error: &io::Error) -> StartError {
    let Named { key, value: wanted } = wanted;
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            let remedy = if key.starts_with("--") {
                "end the program that has it, choose another port, or use --ephemeral-ports"
            } else {
                "end the program that has it, or choose another port"
            };
            StartError::new(key, format!("{wanted} is in use"), remedy)
        }
        io::ErrorKind::PermissionDenied => {
            StartError::new(key, format!("this user may not listen on {wanted}"), "choose a port above 1023")
        }
        io::ErrorKind::AddrNotAvailable => {
            let problem = format!("{} is no address of this machine", wanted.ip());
            StartError::new("--bind", problem, format!("choose one that it has, or {} for all", any(wanted.ip())))
        }
        _ => {
            StartError::new(key, format!("cannot listen on {wanted}: {error}"), "choose another port or --bind address")
        }
    }
}

fn any(like: IpAddr) -> &'static str {
    if like.is_ipv4() { "0.0.0.0" } else { "::" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_free_port_is_reported_as_bound() {
        let bound = Bound::listen(&Named::new("--gate-port", "0.0.0.0:0".parse().unwrap())).await.unwrap();
        assert_eq!(bound.address.ip(), IpAddr::from([127, 0, 0, 1]));
        assert_ne!(bound.address.port(), 0);
    }

    #[tokio::test]
    async fn the_key_whose_port_is_taken_is_named() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let taken = listener.local_addr().unwrap();
        let shown = Bound::listen(&Named::new("--status-port", taken)).await.unwrap_err().to_string();
        assert!(shown.starts_with(&format!("--status-port: {taken} is in use; end the program")), "{shown}");
    }
}
