//! Hosts and ports as settings have them.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::RangeInclusive,
};

use crate::StartError;

/// The original clients paste this between "host" and a port, so nothing but a host may stand here.
pub(super) fn host(key: &str, host: String) -> Result<String, StartError> {
    let is_host = host.parse::<IpAddr>().is_ok()
        || (!host.is_empty()
            && host.len() <= 253
            && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')));
    if !is_host {
        let remedy = "write a host name or an IP address, without scheme and port";
        return Err(StartError::new(key, "this is not a host", remedy));
    }
    Ok(host)
}

/// Where a listener on this address is reached from the same machine.
#[must_use]
pub fn reachable(bind: IpAddr) -> IpAddr {
    match bind {
        IpAddr::V4(address) if address.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(address) if address.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        address => address,
    }
}

/// As it stands in front of a colon and a port.
pub(super) fn bracketed(host: &str) -> String {
    if host.parse::<Ipv6Addr>().is_ok() { format!("[{host}]") } else { host.to_owned() }
}

pub(super) fn within<N: PartialOrd + fmt::Display>(
    key: &str,
    number: N,
    range: RangeInclusive<N>,
    unit: &str,
) -> Result<N, StartError> {
    if range.contains(&number) {
        return Ok(number);
    }
    let remedy = format!("choose {} to {} {unit}", range.start(), range.end());
    Err(StartError::new(key, format!("{number} is out of range"), remedy))
}
