//! Who was wrong how often. Successes and failures of ours are never counted.

use std::net::{IpAddr, Ipv6Addr};

use tracing::warn;
use uschat_proto::ErrorCode;

use super::{AddressLimit, Inner, unavailable};
use crate::{email::counter, keyed_lock::Turn};

/// What of a network address is limited.
#[derive(Debug, Clone, Copy)]
pub(super) enum Limited {
    /// Wrong passwords and codes.
    Wrong,
    /// Mails sent.
    Mails,
}

/// One's turn to try a password of an account.
pub(super) struct Attempt<'a> {
    gate: &'a Inner,
    counter: String,
    // Kept until the outcome is counted, so that parallel tries are no more than the limit.
    _turn: Turn<'a>,
}

impl Inner {
    /// Refuses when too many passwords for this e-mail address, known or not, were wrong. Tries for one address take turns.
    pub(super) async fn attempt(&self, email: &str) -> Result<Attempt<'_>, ErrorCode> {
        let counter = counter("wrong-passwords", email);
        let turn = self.accounts_in_turn.turn(counter.clone()).await;
        if self.state.counted(&counter).await.map_err(unavailable)? >= self.config.max_wrong_passwords {
            warn!(?email, "refused: too many wrong passwords");
            return Err(ErrorCode::TOO_MANY_ATTEMPTS);
        }
        Ok(Attempt { gate: self, counter, _turn: turn })
    }

    /// Refuses when this network address has used up what it may do.
    pub(super) async fn check_address(&self, address: IpAddr, what: Limited) -> Result<(), ErrorCode> {
        let Some((limit, counter)) = self.address_counter(address, what) else { return Ok(()) };
        if self.state.counted(&counter).await.map_err(unavailable)? >= limit.max {
            warn!(%address, ?what, "refused: limit of the network address");
            return Err(ErrorCode::TOO_MANY_ATTEMPTS);
        }
        Ok(())
    }

    /// Counts against a network address. Parallel requests may pass its limit by as many as they are.
    pub(super) async fn count_address(&self, address: IpAddr, what: Limited) {
        let Some((limit, counter)) = self.address_counter(address, what) else { return };
        if let Err(error) = self.state.count(&counter, limit.max, limit.window).await {
            warn!(%error, "a count was lost");
        }
    }

    fn address_counter(&self, address: IpAddr, what: Limited) -> Option<(&AddressLimit, String)> {
        let limit = self.config.address_limit.as_ref()?;
        let address = address.to_canonical();
        if address.is_loopback() {
            return None;
        }
        let what = match what {
            Limited::Wrong => "address-wrong",
            Limited::Mails => "address-mails",
        };
        Some((limit, format!("{what}:{}", network(address))))
    }
}

impl Attempt<'_> {
    /// Counts a wrong password; which refusal it gets.
    pub(super) async fn wrong(self) -> ErrorCode {
        let config = &self.gate.config;
        match self.gate.state.count(&self.counter, config.max_wrong_passwords, config.wrong_password_window).await {
            Ok(true) => ErrorCode::PASSWORD_INVALID,
            // Another gate's tries came in between.
            Ok(false) => ErrorCode::TOO_MANY_ATTEMPTS,
            Err(error) => unavailable(error),
        }
    }
}

/// The whole address of IPv4; of IPv6 what one customer gets, since they own all of it.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use std::{net::IpAddr, sync::Arc};

    use uschat_pool::{
        Shared, SharedConfig,
        grpc::{GrpcConfig, GrpcManager},
    };
    use uschat_proto::ErrorCode;

    use super::{Limited, network};
    use crate::{
        gate::{AddressLimit, Gate, GateConfig, PasswordCost, StatusClient, VerifyClient},
        store::memory::{MemoryState, MemoryStore},
    };

    fn gate(address_limit: Option<AddressLimit>) -> Gate {
        let password_cost = PasswordCost { memory_kib: 8, iterations: 1, ..PasswordCost::default() };
        let config = GateConfig { address_limit, password_cost, ..GateConfig::default() };
        let manager = GrpcManager::new("http://127.0.0.1:1", &GrpcConfig::default()).unwrap();
        let nobody = Shared::new("nobody", manager, SharedConfig::default()).unwrap();
        let (verify, status) = (VerifyClient::new(nobody.clone()), StatusClient::new(nobody));
        Gate::new(config, Arc::new(MemoryStore::new()), Arc::new(MemoryState::new()), verify, status).unwrap()
    }

    async fn use_up(gate: &Gate, address: &str, what: Limited) -> Result<(), ErrorCode> {
        let address: IpAddr = address.parse().unwrap();
        for _ in 0..3 {
            gate.inner.count_address(address, what).await;
        }
        gate.inner.check_address(address, what).await
    }

    #[tokio::test]
    async fn an_address_that_used_up_its_limit_is_refused() {
        let gate = gate(Some(AddressLimit { max: 3, ..AddressLimit::default() }));
        assert_eq!(use_up(&gate, "192.0.2.7", Limited::Wrong).await, Err(ErrorCode::TOO_MANY_ATTEMPTS));
        let check = async |address: &str, what| gate.inner.check_address(address.parse().unwrap(), what).await;
        assert_eq!(check("::ffff:192.0.2.7", Limited::Wrong).await, Err(ErrorCode::TOO_MANY_ATTEMPTS));
        assert_eq!(check("192.0.2.7", Limited::Mails).await, Ok(()), "counted apart");
        assert_eq!(check("192.0.2.8", Limited::Wrong).await, Ok(()));
    }

    #[tokio::test]
    async fn loopback_is_never_limited_and_nobody_without_a_limit() {
        let limited = gate(Some(AddressLimit { max: 3, ..AddressLimit::default() }));
        for address in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(use_up(&limited, address, Limited::Mails).await, Ok(()), "{address}");
        }
        assert_eq!(use_up(&gate(None), "192.0.2.7", Limited::Mails).await, Ok(()));
    }

    #[test]
    fn an_ipv6_network_counts_as_one() {
        let of = |text: &str| network(text.parse().unwrap()).to_string();
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(of("192.0.2.7"), "192.0.2.7");
    }
}
