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
use uschat_proto::{ErrorCode, chat::xor_password};
use uuid::Uuid;

use super::{GateConfigError, PasswordCost};
use crate::{secrets::same_secret, store::PasswordHash};

/// Hashes and verifies with Argon2id, a bounded number at a time, off the runtime's threads.
pub(super) struct Passwords {
    argon2: Argon2<'static>,
    cost: PasswordCost,
    places: Arc<Semaphore>,
    /// Of a password nobody knows: makes an unknown account cost the same time as a known one.
    decoy: PasswordHash,
}

/// What comes of a right password that an original server stored.
#[derive(Debug, Clone, Copy)]
pub(super) enum Legacy {
    /// It stays.
    Keep,
    /// A hash to replace it by.
    Rehash,
}

/// Whether a password is the stored one.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fit {
    Wrong,
    Right,
    /// Right, and this hash should replace what is stored.
    Outdated(PasswordHash),
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

    /// Whether `password`, as typed, is the stored one. Without a stored one, or with one that is not an Argon2 hash, the
    /// same work is done, so that the time does not tell.
    pub(super) async fn verify(
        &self,
        password: String,
        stored: Option<&PasswordHash>,
        legacy: Legacy,
    ) -> Result<Fit, ErrorCode> {
        let (hashed, original) = match stored {
            Some(stored) if is_argon2(stored.expose()) => (Some(stored.clone()), None),
            other => (None, other.cloned()),
        };
        let (argon2, decoy) = (self.argon2.clone(), self.decoy.clone());
        self.compute(move || {
            let known = hashed.is_some();
            let matches = match argon2.verify_password(password.as_bytes(), hashed.unwrap_or(decoy).expose()) {
                Ok(()) => known,
                Err(HashError::PasswordInvalid) => false,
                Err(error) => return Err(error),
            };
            if !original.is_some_and(|stored| is_original(stored.expose(), &password)) {
                return Ok(if matches { Fit::Right } else { Fit::Wrong });
            }
            Ok(match legacy {
                Legacy::Keep => Fit::Right,
                // Here, because the place is taken already: a second one might not be free in time.
                Legacy::Rehash => Fit::Outdated(hash(&argon2, &password)?),
            })
        })
        .await
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

/// Whether a stored text is an Argon2 hash that can be verified; every other one is from an original server, also one that
/// merely begins like a hash.
fn is_argon2(stored: &str) -> bool {
    phc::PasswordHash::new(stored).is_ok_and(|hash| {
        Algorithm::try_from(hash.algorithm.as_str()).is_ok()
            && Params::try_from(&hash).is_ok()
            && hash.salt.is_some()
            && hash.hash.is_some()
    })
}

/// Originals store what the client sends. PROTOCOL.md, "Passwords".
fn is_original(stored: &str, password: &str) -> bool {
    !stored.is_empty() && same_secret(stored, &xor_password(password))
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

    async fn fit(passwords: &Passwords, typed: &str, stored: Option<&PasswordHash>) -> Result<Fit, ErrorCode> {
        passwords.verify(typed.into(), stored, Legacy::Keep).await
    }

    #[tokio::test]
    async fn only_the_right_password_fits_its_hash() {
        let passwords = Passwords::new(cheap()).unwrap();
        let stored = passwords.hash("secret1!".into()).await.unwrap();
        assert!(stored.expose().starts_with("$argon2id$v=19$m=8,t=1,p=1$"));
        assert_ne!(stored, passwords.hash("secret1!".into()).await.unwrap(), "every hash has its own salt");
        assert_eq!(fit(&passwords, "secret1!", Some(&stored)).await, Ok(Fit::Right));
        assert_eq!(fit(&passwords, "secret1", Some(&stored)).await, Ok(Fit::Wrong));
        assert_eq!(fit(&passwords, "{mkzm|9)", Some(&stored)).await, Ok(Fit::Wrong));
        assert_eq!(fit(&passwords, "secret1!", None).await, Ok(Fit::Wrong));
    }

    #[tokio::test]
    async fn a_hash_of_another_cost_still_fits() {
        let old = Passwords::new(PasswordCost { iterations: 2, ..cheap() }).unwrap();
        let stored = old.hash("secret1!".into()).await.unwrap();
        let passwords = Passwords::new(cheap()).unwrap();
        assert_eq!(fit(&passwords, "secret1!", Some(&stored)).await, Ok(Fit::Right));
    }

    #[tokio::test]
    async fn what_an_original_stored_fits_what_it_was_made_of() {
        let passwords = Passwords::new(cheap()).unwrap();
        let stored = PasswordHash::new("{mkzm|9)");
        assert_eq!(fit(&passwords, "secret1!", Some(&stored)).await, Ok(Fit::Right));
        for wrong in ["{mkzm|9)", "secret1", "secret1! ", "Secret1!", ""] {
            assert_eq!(fit(&passwords, wrong, Some(&stored)).await, Ok(Fit::Wrong), "{wrong:?}");
        }
        let Ok(Fit::Outdated(hash)) = passwords.verify("secret1!".into(), Some(&stored), Legacy::Rehash).await else {
            panic!("not found outdated")
        };
        assert_eq!(fit(&passwords, "secret1!", Some(&hash)).await, Ok(Fit::Right));
        let wrong = passwords.verify("{mkzm|9)".into(), Some(&stored), Legacy::Rehash).await;
        assert_eq!(wrong, Ok(Fit::Wrong));
        assert_eq!(
            fit(&passwords, "", Some(&PasswordHash::new(""))).await,
            Ok(Fit::Wrong),
            "an empty text fits nothing"
        );
    }

    #[tokio::test]
    async fn what_only_looks_like_a_hash_is_an_originals() {
        let passwords = Passwords::new(cheap()).unwrap();
        let whole = passwords.hash("x".into()).await.unwrap();
        let salt_only = whole.expose().rsplit_once('$').unwrap().0;
        let of_no_lanes = whole.expose().replace("p=1", "p=0");
        for stored in ["$argon2id", "$argon2id$v=19", "$scrypt$ln=1$aaaaaaaa", salt_only, &of_no_lanes] {
            let typed = xor_password(stored);
            assert_eq!(fit(&passwords, &typed, Some(&PasswordHash::new(stored))).await, Ok(Fit::Right), "{stored}");
            assert_eq!(fit(&passwords, "x", Some(&PasswordHash::new(stored))).await, Ok(Fit::Wrong), "{stored}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_gets_no_place_in_time_is_refused() {
        let passwords = Passwords::new(PasswordCost { parallel: 1, wait: Duration::from_secs(1), ..cheap() }).unwrap();
        let _taken = passwords.place().await.unwrap();
        assert_eq!(passwords.hash("secret1!".into()).await.err(), Some(ErrorCode::OVERLOADED));
        // Verifying without an Argon2 hash is work, too.
        for stored in [None, Some(&PasswordHash::new("{mkzm|9)"))] {
            assert_eq!(fit(&passwords, "secret1!", stored).await, Err(ErrorCode::OVERLOADED));
        }
    }

    #[test]
    fn an_impossible_cost_is_refused() {
        assert!(Passwords::new(PasswordCost { memory_kib: 0, ..cheap() }).is_err());
    }
}
