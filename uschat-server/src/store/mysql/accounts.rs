use async_trait::async_trait;
use sqlx::{MySqlConnection, Row, mysql::MySqlRow};
use uschat_proto::chat::{Profile, UserId};

use super::{
    MysqlStore,
    database::{Work, uid},
};
use crate::store::{Account, Accounts, CreateAccountError, NewAccount, PasswordHash, StoreError};

// A database that was taken over may compare names and addresses without regard to case, accents or trailing spaces. Its
// index finds the candidates, the comparison of bytes decides.
const BY_EMAIL: &str = "SELECT uid, name, nick, `desc`, sex, icon, email, pwd FROM user
    WHERE email = ? AND CAST(CONVERT(email USING utf8mb4) AS BINARY) = CAST(? AS BINARY) ORDER BY id LIMIT 1";
const BY_UID: &str = "SELECT uid, name, nick, `desc`, sex, icon, email, pwd FROM user WHERE uid = ?";
const BY_NAME: &str = "SELECT uid, name, nick, `desc`, sex, icon, email, pwd FROM user
    WHERE name = ? AND CAST(CONVERT(name USING utf8mb4) AS BINARY) = CAST(? AS BINARY) ORDER BY id LIMIT 1";
/// By the column's own comparison: its unique index would refuse the row.
const EMAIL_TAKEN: &str = "SELECT uid FROM user WHERE email = ? LIMIT 1";
const NAME_TAKEN: &str = "SELECT uid FROM user
    WHERE name = ? AND CAST(CONVERT(name USING utf8mb4) AS BINARY) = CAST(? AS BINARY) LIMIT 1";
const NEXT_UID: &str = "UPDATE user_id SET id = LAST_INSERT_ID(id + 1)";
const INSERT: &str = "INSERT INTO user (uid, name, nick, email, pwd, icon) VALUES (?, ?, ?, ?, ?, ?)";
const SET_PASSWORD: &str = "UPDATE user SET pwd = ? WHERE uid = ?";
const REPLACE_PASSWORD: &str = "UPDATE user SET pwd = ?
    WHERE uid = ? AND CAST(CONVERT(pwd USING utf8mb4) AS BINARY) = CAST(? AS BINARY)";
const NEXT_FENCE: &str = "INSERT INTO user_fence (uid, fence) VALUES (?, LAST_INSERT_ID(1))
    ON DUPLICATE KEY UPDATE fence = LAST_INSERT_ID(fence + 1)";

#[cfg(test)]
pub(super) const LOOK_UPS: &[&str] =
    &[BY_EMAIL, BY_UID, BY_NAME, EMAIL_TAKEN, NAME_TAKEN, SET_PASSWORD, REPLACE_PASSWORD];

#[async_trait]
impl Accounts for MysqlStore {
    async fn create(&self, account: NewAccount) -> Result<UserId, CreateAccountError> {
        self.database.transact(&Create(&account)).await
    }

    async fn by_email(&self, email: &str) -> Result<Option<Account>, StoreError> {
        let rows = self.database.rows(BY_EMAIL, |query| query.bind(email).bind(email)).await?;
        one_account(&rows)
    }

    async fn by_uid(&self, uid: UserId) -> Result<Option<Account>, StoreError> {
        let rows = self.database.rows(BY_UID, |query| query.bind(uid.0)).await?;
        one_account(&rows)
    }

    async fn by_name(&self, name: &str) -> Result<Option<Account>, StoreError> {
        let rows = self.database.rows(BY_NAME, |query| query.bind(name).bind(name)).await?;
        one_account(&rows)
    }

    async fn set_password(&self, uid: UserId, password: PasswordHash) -> Result<bool, StoreError> {
        self.database.transact(&SetPassword { uid, old: None, new: &password }).await
    }

    async fn replace_password(&self, uid: UserId, old: &PasswordHash, new: PasswordHash) -> Result<bool, StoreError> {
        self.database.transact(&SetPassword { uid, old: Some(old), new: &new }).await
    }

    async fn next_fence(&self, uid: UserId) -> Result<i64, StoreError> {
        self.database.transact(&NextFence(uid)).await
    }
}

struct Create<'a>(&'a NewAccount);

impl Work for Create<'_> {
    type Output = UserId;
    type Refusal = CreateAccountError;

    /// The counter first: it is the lock that registrations wait for, so that of two with one name the second one sees
    /// the first. A refusal rolls the counter back.
    async fn run(&self, connection: &mut MySqlConnection) -> Result<Result<UserId, CreateAccountError>, sqlx::Error> {
        let NewAccount { name, email, password, icon } = self.0;
        let counted = sqlx::query(NEXT_UID).execute(&mut *connection).await?;
        if counted.rows_affected() != 1 {
            let rows = counted.rows_affected();
            return Ok(Err(StoreError::Corrupt(format!("the table user_id has {rows} rows instead of one")).into()));
        }
        if sqlx::query(EMAIL_TAKEN).bind(email).fetch_optional(&mut *connection).await?.is_some() {
            return Ok(Err(CreateAccountError::EmailTaken));
        }
        if sqlx::query(NAME_TAKEN).bind(name).bind(name).fetch_optional(&mut *connection).await?.is_some() {
            return Ok(Err(CreateAccountError::NameTaken));
        }
        let Ok(uid) = i32::try_from(counted.last_insert_id()) else {
            return Ok(Err(StoreError::Corrupt("every uid is taken".into()).into()));
        };
        let insert = sqlx::query(INSERT).bind(uid).bind(name).bind(name).bind(email);
        insert.bind(password.expose()).bind(icon).execute(connection).await?;
        Ok(Ok(UserId(uid)))
    }
}

struct SetPassword<'a> {
    uid: UserId,
    old: Option<&'a PasswordHash>,
    new: &'a PasswordHash,
}

impl Work for SetPassword<'_> {
    type Output = bool;
    type Refusal = StoreError;

    /// The driver has the server count the rows it found, not those it changed: the same password again counts too.
    async fn run(&self, connection: &mut MySqlConnection) -> Result<Result<bool, StoreError>, sqlx::Error> {
        let statement = if self.old.is_some() { REPLACE_PASSWORD } else { SET_PASSWORD };
        let mut update = sqlx::query(statement).bind(self.new.expose()).bind(self.uid.0);
        if let Some(old) = self.old {
            update = update.bind(old.expose());
        }
        Ok(Ok(update.execute(connection).await?.rows_affected() == 1))
    }
}

struct NextFence(UserId);

impl Work for NextFence {
    type Output = i64;
    type Refusal = StoreError;

    async fn run(&self, connection: &mut MySqlConnection) -> Result<Result<i64, StoreError>, sqlx::Error> {
        let taken = sqlx::query(NEXT_FENCE).bind(self.0.0).execute(connection).await?;
        Ok(i64::try_from(taken.last_insert_id()).map_err(|_| StoreError::Corrupt("every fence is taken".into())))
    }
}

fn one_account(rows: &[MySqlRow]) -> Result<Option<Account>, StoreError> {
    let account = |row| {
        let profile = profile(row)?;
        Ok(Account {
            profile,
            email: row.try_get("email")?,
            password: PasswordHash::new(row.try_get::<String, _>("pwd")?),
        })
    };
    rows.first().map(account).transpose().map_err(|error: sqlx::Error| StoreError::Corrupt(error.to_string()))
}

pub(super) fn profile(row: &MySqlRow) -> Result<Profile, sqlx::Error> {
    Ok(Profile {
        uid: uid(row, "uid")?,
        name: row.try_get("name")?,
        nick: row.try_get("nick")?,
        desc: row.try_get("desc")?,
        sex: row.try_get_unchecked("sex")?,
        icon: row.try_get("icon")?,
    })
}
