use async_trait::async_trait;
use sqlx::{Row, SqliteConnection, sqlite::SqliteRow};
use uschat_proto::chat::{Profile, UserId};

use super::{
    SqliteStore,
    database::{begin, end, failed},
};
use crate::store::{Account, Accounts, CreateAccountError, NewAccount, PasswordHash, StoreError};

const BY_EMAIL: &str = r#"SELECT uid, name, nick, "desc", sex, icon, email, pwd FROM user WHERE email = ?1"#;
const BY_UID: &str = r#"SELECT uid, name, nick, "desc", sex, icon, email, pwd FROM user WHERE uid = ?1"#;
const BY_NAME: &str = r#"SELECT uid, name, nick, "desc", sex, icon, email, pwd FROM user WHERE name = ?1"#;
const TAKEN: &str = "SELECT EXISTS (SELECT 1 FROM user WHERE email = ?1), EXISTS (SELECT 1 FROM user WHERE name = ?2)";
const NEXT_UID: &str = "UPDATE user_id SET id = id + 1 RETURNING id";
const INSERT: &str = "INSERT INTO user (uid, name, nick, email, pwd, icon) VALUES (?1, ?2, ?2, ?3, ?4, ?5)";
const SET_PASSWORD: &str = "UPDATE user SET pwd = ?2 WHERE uid = ?1";
const REPLACE_PASSWORD: &str = "UPDATE user SET pwd = ?3 WHERE uid = ?1 AND pwd = ?2";
const NEXT_FENCE: &str = "INSERT INTO user_fence (uid, fence) VALUES (?1, 1) ON CONFLICT (uid) DO UPDATE SET fence = fence + 1 RETURNING fence";

#[cfg(test)]
pub(super) const LOOK_UPS: &[&str] = &[BY_EMAIL, BY_UID, BY_NAME, SET_PASSWORD, REPLACE_PASSWORD];

#[async_trait]
impl Accounts for SqliteStore {
    async fn create(&self, account: NewAccount) -> Result<UserId, CreateAccountError> {
        let mut writer = self.database.writer().await?;
        let mut transaction = begin(&mut writer).await?;
        let created = create(&mut transaction, &account).await;
        end(transaction, created).await
    }

    async fn by_email(&self, email: &str) -> Result<Option<Account>, StoreError> {
        let mut reader = self.database.reader().await?;
        sqlx::query(BY_EMAIL).bind(email).try_map(account).fetch_optional(&mut *reader).await.map_err(failed)
    }

    async fn by_uid(&self, uid: UserId) -> Result<Option<Account>, StoreError> {
        let mut reader = self.database.reader().await?;
        sqlx::query(BY_UID).bind(uid.0).try_map(account).fetch_optional(&mut *reader).await.map_err(failed)
    }

    async fn by_name(&self, name: &str) -> Result<Option<Account>, StoreError> {
        let mut reader = self.database.reader().await?;
        sqlx::query(BY_NAME).bind(name).try_map(account).fetch_optional(&mut *reader).await.map_err(failed)
    }

    async fn set_password(&self, uid: UserId, password: PasswordHash) -> Result<bool, StoreError> {
        let mut writer = self.database.writer().await?;
        let mut transaction = begin(&mut writer).await?;
        let update = sqlx::query(SET_PASSWORD).bind(uid.0).bind(password.expose());
        let updated = update.execute(&mut *transaction).await;
        end(transaction, updated.map(|done| done.rows_affected() == 1).map_err(failed)).await
    }

    async fn replace_password(&self, uid: UserId, old: &PasswordHash, new: PasswordHash) -> Result<bool, StoreError> {
        let mut writer = self.database.writer().await?;
        let mut transaction = begin(&mut writer).await?;
        let update = sqlx::query(REPLACE_PASSWORD).bind(uid.0).bind(old.expose()).bind(new.expose());
        let updated = update.execute(&mut *transaction).await;
        end(transaction, updated.map(|done| done.rows_affected() == 1).map_err(failed)).await
    }

    async fn next_fence(&self, uid: UserId) -> Result<i64, StoreError> {
        let mut writer = self.database.writer().await?;
        let mut transaction = begin(&mut writer).await?;
        let fence = sqlx::query_scalar(NEXT_FENCE).bind(uid.0).fetch_one(&mut *transaction).await;
        end(transaction, fence.map_err(failed)).await
    }
}

async fn create(connection: &mut SqliteConnection, account: &NewAccount) -> Result<UserId, CreateAccountError> {
    let taken = sqlx::query_as(TAKEN).bind(&account.email).bind(&account.name);
    let (email, name): (bool, bool) = taken.fetch_one(&mut *connection).await.map_err(failed)?;
    if email {
        return Err(CreateAccountError::EmailTaken);
    }
    if name {
        return Err(CreateAccountError::NameTaken);
    }
    let uid: i64 = sqlx::query_scalar(NEXT_UID).fetch_one(&mut *connection).await.map_err(failed)?;
    let uid = i32::try_from(uid).map_err(|_| StoreError::Corrupt("every uid is taken".into()))?;
    sqlx::query(INSERT)
        .bind(uid)
        .bind(&account.name)
        .bind(&account.email)
        .bind(account.password.expose())
        .bind(&account.icon)
        .execute(connection)
        .await
        .map_err(failed)?;
    Ok(UserId(uid))
}

fn account(row: SqliteRow) -> Result<Account, sqlx::Error> {
    let profile = profile(&row)?;
    Ok(Account { profile, email: row.try_get("email")?, password: PasswordHash::new(row.try_get::<String, _>("pwd")?) })
}

pub(super) fn profile(row: &SqliteRow) -> Result<Profile, sqlx::Error> {
    Ok(Profile {
        uid: UserId(row.try_get("uid")?),
        name: row.try_get("name")?,
        nick: row.try_get("nick")?,
        desc: row.try_get("desc")?,
        sex: row.try_get("sex")?,
        icon: row.try_get("icon")?,
    })
}
