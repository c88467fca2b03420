use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicI64, Ordering},
};

use uschat_proto::{
    ErrorCode, Message,
    chat::{DrainNotice, Profile, UserId, features},
};
use uschat_wire::Frame;

use super::delivery::{Delivery, ProgressKeeper, SessionTexts};
use crate::{
    Application,
    session::{CloseReason, Session},
    store::{Accounts, Chain, Contacts, Conversations, State, StoreError, state::ProfileCache},
};

/// The ports a chat server stores in.
#[derive(Clone)]
pub struct ChatStores {
    /// Who the users are.
    pub accounts: Arc<dyn Accounts>,
    /// Who knows whom.
    pub contacts: Arc<dyn Contacts>,
    /// What was said.
    pub conversations: Arc<dyn Conversations>,
    /// Tokens, presence, living servers, cached profiles.
    pub state: Arc<dyn State>,
}

/// What all chat handlers share.
pub(super) struct ChatApp {
    pub(super) name: String,
    pub(super) stores: ChatStores,
    pub(super) delivery: Delivery,
    pub(super) progress: ProgressKeeper,
    pub(super) lease: std::time::Duration,
}

/// What a chat session remembers besides its user.
#[derive(Default)]
pub(super) struct ChatSession {
    fence: AtomicI64,
    arrays: Mutex<TextArrays>,
    chain: Chain,
    /// What it was told.
    pub(super) texts: SessionTexts,
}

/// Which of the two arrays with texts the client wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum TextArrays {
    #[default]
    Both,
    TextArray,
    ChatDatas,
}

impl Application for ChatApp {
    type User = UserId;
    type Session = ChatSession;

    fn supersedes(&self, newer: &Session<Self>, current: &Session<Self>) -> bool {
        newer.state().fence() > current.state().fence()
    }

    fn farewell(&self, _: &Session<Self>) -> Option<Frame> {
        let body = DrainNotice { error: ErrorCode::SUCCESS }.to_body().ok()?;
        Some(Frame::new(DrainNotice::ID.0, body))
    }

    async fn closed(&self, session: &Session<Self>, _: &CloseReason) {
        let Some(uid) = session.user() else { return };
        self.progress.session_ended(session);
        if let Err(error) = self.stores.state.release_presence(*uid, session.state().fence()).await {
            // The lease ends by itself.
            tracing::warn!(%uid, %error, "could not give up a presence lease");
        }
    }

    async fn settled(&self, session: &Session<Self>) {
        self.progress.session_ended(session);
    }
}

impl ChatApp {
    /// What anyone may know of a user, from the cache or the truth.
    pub(super) async fn profile(&self, uid: UserId) -> Result<Option<Profile>, StoreError> {
        profile(&*self.stores.state, &*self.stores.accounts, uid).await
    }

    /// The same for a name.
    pub(super) async fn profile_named(&self, name: &str) -> Result<Option<Profile>, StoreError> {
        profile_named(&*self.stores.state, &*self.stores.accounts, name).await
    }
}

impl ChatSession {
    /// The fence of its login; 0 before.
    pub(super) fn fence(&self) -> i64 {
        self.fence.load(Ordering::Relaxed)
    }

    pub(super) fn set_fence(&self, fence: i64) {
        self.fence.store(fence, Ordering::Relaxed);
    }

    /// What ties its texts together.
    pub(super) fn chain(&self) -> &Chain {
        &self.chain
    }

    pub(super) fn arrays(&self) -> TextArrays {
        *self.arrays.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_arrays(&self, features: &[String]) {
        let has = |feature| features.iter().any(|declared| declared == feature);
        *self.arrays.lock().unwrap_or_else(PoisonError::into_inner) =
            match (has(features::TEXT_ARRAY), has(features::CHAT_DATAS)) {
                (true, false) => TextArrays::TextArray,
                (false, true) => TextArrays::ChatDatas,
                _ => TextArrays::Both,
            };
    }
}

/// A cache that fails costs a look at the truth, never the request.
async fn profile(
    cache: &dyn ProfileCache,
    accounts: &dyn Accounts,
    uid: UserId,
) -> Result<Option<Profile>, StoreError> {
    if let Some(profile) = survive(cache.cached_profile(uid).await).flatten() {
        return Ok(Some(profile));
    }
    let Some(account) = accounts.by_uid(uid).await? else { return Ok(None) };
    survive(cache.cache_profile(&account.profile).await);
    Ok(Some(account.profile))
}

async fn profile_named(
    cache: &dyn ProfileCache,
    accounts: &dyn Accounts,
    name: &str,
) -> Result<Option<Profile>, StoreError> {
    if let Some(profile) = survive(cache.cached_profile_named(name).await).flatten() {
        return Ok(Some(profile));
    }
    let Some(account) = accounts.by_name(name).await? else { return Ok(None) };
    survive(cache.cache_profile(&account.profile).await);
    Ok(Some(account.profile))
}

fn survive<T>(cached: Result<T, StoreError>) -> Option<T> {
    cached.inspect_err(|error| tracing::warn!(%error, "the profile cache failed")).ok()
}

/// The one place where failures of stores become codes: the cause goes to the log, the code to the client.
pub(super) fn unavailable(doing: &'static str) -> impl Fn(StoreError) -> ErrorCode {
    move |error| {
        tracing::error!(doing, %error, "a store failed");
        ErrorCode::UNAVAILABLE
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;
    use crate::store::{
        NewAccount, PasswordHash,
        memory::{MemoryState, MemoryStore},
    };

    struct Gone;

    #[async_trait]
    impl ProfileCache for Gone {
        async fn cached_profile(&self, _: UserId) -> Result<Option<Profile>, StoreError> {
            Err(StoreError::unavailable("gone"))
        }

        async fn cached_profile_named(&self, _: &str) -> Result<Option<Profile>, StoreError> {
            Err(StoreError::unavailable("gone"))
        }

        async fn cache_profile(&self, _: &Profile) -> Result<(), StoreError> {
            Err(StoreError::unavailable("gone"))
        }

        async fn forget_profile(&self, _: UserId) -> Result<(), StoreError> {
            Err(StoreError::unavailable("gone"))
        }
    }

    #[tokio::test]
    async fn a_name_is_looked_up_once() {
        let (cache, accounts) = (MemoryState::new(), MemoryStore::new());
        let (name, email) = ("ada".to_owned(), "ada@example.org".to_owned());
        let account = NewAccount { name, email, password: PasswordHash::new("-"), icon: String::new() };
        let uid = accounts.create(account).await.unwrap();
        for accounts in [&accounts, &MemoryStore::new()] {
            let found = profile_named(&cache, accounts, "ada").await.unwrap();
            assert_eq!(found.map(|profile| profile.uid), Some(uid));
        }
    }

    #[tokio::test]
    async fn profiles_are_found_without_their_cache() {
        let accounts = MemoryStore::new();
        let (name, email) = ("ada".to_owned(), "ada@example.org".to_owned());
        let account = NewAccount { name, email, password: PasswordHash::new("-"), icon: String::new() };
        let uid = accounts.create(account).await.unwrap();
        let found = profile(&Gone, &accounts, uid).await.unwrap();
        assert_eq!(found.map(|profile| profile.name).as_deref(), Some("ada"));
        assert_eq!(profile(&Gone, &accounts, UserId(7)).await.unwrap(), None);
        let found = profile_named(&Gone, &accounts, "ada").await.unwrap();
        assert_eq!(found.map(|profile| profile.uid), Some(uid));
        assert_eq!(profile_named(&Gone, &accounts, "bob").await.unwrap(), None);
    }
}
