use std::fmt;

use async_trait::async_trait;
use uschat_proto::chat::{Profile, UserId};

use super::StoreError;

/// Who may log in, and who they are.
#[async_trait]
pub trait Accounts: Send + Sync + 'static {
    /// Stores a new account under the next uid. The e-mail address is looked at first, then the name; both are unique,
    /// also between concurrent calls. E-mail addresses and names are compared exactly as given.
    async fn create(&self, account: NewAccount) -> Result<UserId, CreateAccountError>;

    /// The account of an e-mail address.
    async fn by_email(&self, email: &str) -> Result<Option<Account>, StoreError>;

    /// The account of a uid.
    async fn by_uid(&self, uid: UserId) -> Result<Option<Account>, StoreError>;

    /// The account of a name.
    async fn by_name(&self, name: &str) -> Result<Option<Account>, StoreError>;

    /// Replaces the password; false when there is no such user.
    async fn set_password(&self, uid: UserId, password: PasswordHash) -> Result<bool, StoreError>;

    /// Replaces the password if it still is `old`; false when it is another one by now, or there is no such user. Of two
    /// concurrent calls with the same `old` one is told true.
    async fn replace_password(&self, uid: UserId, old: &PasswordHash, new: PasswordHash) -> Result<bool, StoreError>;

    /// Takes the user's next fence: a number that is higher than any handed out for this user before, for ever.
    /// A session with a lower fence than another one of the same user has been replaced.
    async fn next_fence(&self, uid: UserId) -> Result<i64, StoreError>;
}

/// What registration stores.
#[derive(Debug, Clone)]
pub struct NewAccount {
    /// Unique name, also the first nickname.
    pub name: String,
    /// Unique e-mail address.
    pub email: String,
    /// The hashed password.
    pub password: PasswordHash,
    /// The picture.
    pub icon: String,
}

/// A stored account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// What anyone may know.
    pub profile: Profile,
    /// For the user themselves only.
    pub email: String,
    /// For the gate only.
    pub password: PasswordHash,
}

/// The text a password is stored as: an Argon2 hash, or what an original server stored. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// Wraps the stored text.
    pub fn new(stored: impl Into<String>) -> Self {
        Self(stored.into())
    }

    /// The stored text, for verification and for the database only.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

/// Why an account was not created.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CreateAccountError {
    /// Another account has this e-mail address.
    #[error("the e-mail address is taken")]
    EmailTaken,
    /// Another account has this name.
    #[error("the name is taken")]
    NameTaken,
    /// The store failed; nothing was created.
    #[error(transparent)]
    Store(#[from] StoreError),
}
