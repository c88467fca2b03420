//! A verification code is spent by the registration or reset that succeeds, and by no other.

use std::{future::Future, sync::Arc};

use tracing::warn;
use uschat_proto::ErrorCode;

use super::{Inner, attempts::Limited, connection::Caller, unavailable};
use crate::store::state::CodeVerdict;

impl Inner {
    /// Compares a code without spending it; wrong tries count against the code and the network address.
    pub(super) async fn check_code(&self, caller: Caller, email: &str, code: &str) -> Result<(), ErrorCode> {
        self.check_address(caller.0, Limited::Wrong).await?;
        match self.state.check_code(email, code, self.config.max_wrong_codes).await.map_err(unavailable)? {
            CodeVerdict::Right => Ok(()),
            CodeVerdict::Missing => Err(ErrorCode::CODE_EXPIRED),
            CodeVerdict::Wrong => {
                self.count_address(caller.0, Limited::Wrong).await;
                Err(ErrorCode::CODE_WRONG)
            }
        }
    }
}

/// Spends the code, then does `work`; gives the code back with its remaining time if that fails. Of two callers with the
/// same code one is told that it has expired.
///
/// Goes on to its end when the caller is dropped: a client that hangs up must not lose its code, or leave half a reset.
pub(super) async fn spending<T, F>(gate: Arc<Inner>, email: String, code: String, work: F) -> Result<T, ErrorCode>
where
    T: Send + 'static,
    F: Future<Output = Result<T, ErrorCode>> + Send + 'static,
{
    let tasks = gate.tasks.running.clone();
    let spending = tasks.spawn(async move {
        let Some(remaining) = gate.state.spend_code(&email, &code).await.map_err(unavailable)? else {
            return Err(ErrorCode::CODE_EXPIRED);
        };
        let outcome = work.await;
        if outcome.is_err()
            && let Err(error) = gate.state.code_or_insert(&email, &code, remaining).await
        {
            warn!(%error, "a code could not be given back");
        }
        outcome
    });
    spending.await.unwrap_or_else(|error| {
        warn!(%error, "spending a code ended abnormally");
        Err(ErrorCode::UNAVAILABLE)
    })
}
