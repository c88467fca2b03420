use async_trait::async_trait;
use uschat_proto::chat::{Profile, UserId};

use super::{MemoryStore, Tables};
use crate::store::{Account, Accounts, CreateAccountError, NewAccount, PasswordHash, StoreError};

pub(super) const FIRST_UID: i32 = 1001;

#[async_trait]
impl Accounts for MemoryStore {
    async fn create(&self, account: NewAccount) -> Result<UserId, CreateAccountError> {
        let mut tables = self.tables();
        if tables.by_email.contains_key(&account.email) {
            return Err(CreateAccountError::EmailTaken);
        }
        if tables.by_name.contains_key(&account.name) {
            return Err(CreateAccountError::NameTaken);
        }
        let uid = i32::try_from(tables.accounts.len()).ok().and_then(|taken| FIRST_UID.checked_add(taken));
        let uid = UserId(uid.ok_or_else(|| StoreError::Corrupt("every uid is taken".into()))?);
        tables.by_email.insert(account.email.clone(), uid);
        tables.by_name.insert(account.name.clone(), uid);
        let profile =
            Profile { uid, name: account.name.clone(), nick: account.name, icon: account.icon, ..Profile::default() };
        tables.accounts.push(Account { profile, email: account.email, password: account.password });
        Ok(uid)
    }

    async fn by_email(&self, email: &str) -> Result<Option<Account>, StoreError> {
        let tables = self.tables();
        Ok(tables.by_email.get(email).and_then(|&uid| tables.account(uid)).cloned())
    }

    async fn by_uid(&self, uid: UserId) -> Result<Option<Account>, StoreError> {
        Ok(self.tables().account(uid).cloned())
    }

    async fn by_name(&self, name: &str) -> Result<Option<Account>, StoreError> {
        let tables = self.tables();
        Ok(tables.by_name.get(name).and_then(|&uid| tables.account(uid)).cloned())
    }

    async fn set_password(&self, uid: UserId, password: PasswordHash) -> Result<bool, StoreError> {
        let mut tables = self.tables();
        let account = Tables::index(uid).and_then(|index| tables.accounts.get_mut(index));
        Ok(account.map(|account| account.password = password).is_some())
    }

    async fn replace_password(&self, uid: UserId, old: &PasswordHash, new: PasswordHash) -> Result<bool, StoreError> {
        let mut tables = self.tables();
        let account = Tables::index(uid).and_then(|index| tables.accounts.get_mut(index));
        Ok(account.filter(|account| account.password == *old).map(|account| account.password = new).is_some())
    }

    async fn next_fence(&self, uid: UserId) -> Result<i64, StoreError> {
        let mut tables = self.tables();
        let fence = tables.fences.entry(uid).or_default();
        *fence += 1;
        Ok(*fence)
    }
}

impl Tables {
    pub(super) fn account(&self, uid: UserId) -> Option<&Account> {
        self.accounts.get(Self::index(uid)?)
    }

    fn index(uid: UserId) -> Option<usize> {
        uid.0.checked_sub(FIRST_UID).and_then(|index| usize::try_from(index).ok())
    }
}
