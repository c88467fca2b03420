//! How passwords are stored and checked.

use std::{fmt, sync::Arc};

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{Error as HashError, PasswordHasher, PasswordVerifier, phc},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::spawn_blocking,
    time::timeout,
};
use tracing::warn;
use uschat_proto::ErrorCode;
use uuid::Uuid;

use super::{GateConfigError, PasswordCost};
use crate::store::PasswordHash;

/// Hashes and verifies with Argon2id, a bounded number at a time, off the runtime's threads.
pub(super) struct Passwords {
    argon2: Argon2<'static>,
    cost: PasswordCost,
    places: Arc<Semaphore>,
    /// Of a password nobody knows: makes an unknown account cost the same time as a known one.
    decoy: PasswordHash,
}

impl Passwords {
    pub(super) fn new(cost: PasswordCost) -> Result<Self, GateConfigError> {
        let params = Params::new(cost.memory_kib, cost.iterations, cost.lanes, None)
            .map_err(|error| GateConfigError::PasswordCost(error.to_string()))?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let decoy = hash(&argon2, &Uuid::new_v4().to_string())
            .map_err(|error| GateConfigError::PasswordCost(error.to_string()))?;
        let places = Arc::new(Semaphore::new(cost.parallel));
        Ok(Self { argon2, cost, places, decoy })
    }

    pub(super) async fn hash(&self, password: String) -> Result<PasswordHash, ErrorCode> {
        let argon2 = self.argon2.clone();
        self.compute(move || hash(&argon2, &password)).await
    }

    /// Whether `password` is the stored one. Without a stored one, or with one that is not an Argon2 hash: false, after
    /// the same work.
    pub(super) async fn verify(&self, password: String, stored: Option<&PasswordHash>) -> Result<bool, ErrorCode> {
        let stored = stored.filter(|stored| phc::PasswordHash::new(stored.expose()).is_ok());
        let known = stored.is_some();
        let (argon2, hash) = (self.argon2.clone(), stored.unwrap_or(&self.decoy).clone());
        let matches = self
            .compute(move || match argon2.verify_password(password.as_bytes(), hash.expose()) {
                Ok(()) => Ok(true),
                Err(HashError::PasswordInvalid) => Ok(false),
                Err(error) => Err(error),
            })
            .await?;
        Ok(known && matches)
    }

    async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, HashError> + Send + 'static,
    ) -> Result<T, ErrorCode> {
        let place = self.place().await?;
        // The place goes with the work: a caller who hangs up does not end it.
        let computing = spawn_blocking(move || {
            let outcome = work();
            drop(place);
            outcome
        });
        let outcome = computing.await.map_err(|error| failed(&error))?;
        outcome.map_err(|error| failed(&error))
    }

    async fn place(&self) -> Result<OwnedSemaphorePermit, ErrorCode> {
        let Ok(Ok(place)) = timeout(self.cost.wait, Arc::clone(&self.places).acquire_owned()).await else {
            warn!(waited = ?self.cost.wait, "refused: too many passwords wait to be hashed");
            return Err(ErrorCode::OVERLOADED);
        };
        Ok(place)
    }
}

fn hash(argon2: &Argon2<'_>, password: &str) -> Result<PasswordHash, HashError> {
    let hash: phc::PasswordHash = argon2.hash_password(password.as_bytes())?;
    Ok(PasswordHash::new(hash.to_string()))
}

fn failed(error: &dyn fmt::Display) -> ErrorCode {
    warn!(%error, "hashing a password failed");
    ErrorCode::UNAVAILABLE
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn cheap() -> PasswordCost {
        PasswordCost { memory_kib: 8, iterations: 1, ..PasswordCost::default() }
    }

    #[tokio::test]
    async fn only_the_right_password_fits_its_hash() {
        let passwords = Passwords::new(cheap()).unwrap();
        let stored = passwords.hash("secret1!".into()).await.unwrap();
        assert!(stored.expose().starts_with("$argon2id$v=19$m=8,t=1,p=1$"));
        assert_ne!(stored, passwords.hash("secret1!".into()).await.unwrap(), "every hash has its own salt");
        assert_eq!(passwords.verify("secret1!".into(), Some(&stored)).await, Ok(true));
        assert_eq!(passwords.verify("secret1".into(), Some(&stored)).await, Ok(false));
        assert_eq!(passwords.verify("secret1!".into(), None).await, Ok(false));
    }

    #[tokio::test]
    async fn a_hash_of_another_cost_still_fits() {
        let old = Passwords::new(PasswordCost { iterations: 2, ..cheap() }).unwrap();
        let stored = old.hash("secret1!".into()).await.unwrap();
        assert_eq!(Passwords::new(cheap()).unwrap().verify("secret1!".into(), Some(&stored)).await, Ok(true));
    }

    #[tokio::test]
    async fn what_an_original_stored_fits_nothing_yet() {
        let passwords = Passwords::new(cheap()).unwrap();
        let stored = PasswordHash::new("{mkzm|9)");
        assert_eq!(passwords.verify("secret1!".into(), Some(&stored)).await, Ok(false));
        assert_eq!(passwords.verify("{mkzm|9)".into(), Some(&stored)).await, Ok(false));
    }

    #[tokio::test(start_paused = true)]
    async fn who_gets_no_place_in_time_is_refused() {
        let passwords = Passwords::new(PasswordCost { parallel: 1, wait: Duration::from_secs(1), ..cheap() }).unwrap();
        let _taken = passwords.place().await.unwrap();
        assert_eq!(passwords.hash("secret1!".into()).await.err(), Some(ErrorCode::OVERLOADED));
        // Verifying without an Argon2 hash is work, too.
        for stored in [None, Some(&PasswordHash::new("{mkzm|9)"))] {
            assert_eq!(passwords.verify("secret1!".into(), stored).await, Err(ErrorCode::OVERLOADED));
        }
    }

    #[test]
    fn an_impossible_cost_is_refused() {
        assert!(Passwords::new(PasswordCost { memory_kib: 0, ..cheap() }).is_err());
    }
}
