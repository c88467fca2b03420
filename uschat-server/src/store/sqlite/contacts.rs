use async_trait::async_trait;
use sqlx::{Row, SqliteConnection, sqlite::SqliteRow};
use uschat_proto::chat::{ThreadId, UserId};

use super::{
    SqliteStore,
    accounts::profile,
    batch,
    conversations::stored_text,
    database::{begin, end, failed},
};
use crate::store::{
    Applied, Approval, ApproveError, Contact, Contacts, PendingApplication, StoreError,
    meter::Meter,
    plan::{Pair, Plan},
};

const KNOWN_USERS: &str =
    "SELECT EXISTS (SELECT 1 FROM user WHERE uid = ?1) AND EXISTS (SELECT 1 FROM user WHERE uid = ?2)";
const APPLY: &str = "INSERT INTO friend_apply (from_uid, to_uid, descs, back_name) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (from_uid, to_uid) DO UPDATE SET descs = excluded.descs, back_name = excluded.back_name WHERE status = 0";
const APPLICATIONS: &str = r#"SELECT u.uid, u.name, u.nick, u."desc", u.sex, u.icon, chosen.descs, chosen.status
    FROM (SELECT id, from_uid, descs, status FROM friend_apply WHERE to_uid = ?1 ORDER BY status, id DESC LIMIT ?2) chosen
    JOIN user u ON u.uid = chosen.from_uid ORDER BY chosen.id"#;
const APPLICATION: &str = "SELECT id, descs, back_name, thread_id, first_seq, last_seq
    FROM friend_apply WHERE from_uid = ?1 AND to_uid = ?2";
const OPENING: &str = "SELECT message_id, thread_id, seq, sender_id, client_id, content, sent_at_ms
    FROM chat_message WHERE thread_id = ?1 AND seq BETWEEN ?2 AND ?3 ORDER BY seq";
const SET_APPROVED: &str =
    "UPDATE friend_apply SET status = 1, thread_id = ?2, first_seq = ?3, last_seq = ?4 WHERE id = ?1";
const SET_REMARK: &str = "INSERT INTO friend (self_id, friend_id, back) VALUES (?1, ?2, ?3)
    ON CONFLICT (self_id, friend_id) DO UPDATE SET back = excluded.back";
const KEEP_REMARK: &str = "INSERT INTO friend (self_id, friend_id, back) VALUES (?1, ?2, ?3)
    ON CONFLICT (self_id, friend_id) DO NOTHING";
const FRIENDS: &str = r#"SELECT u.uid, u.name, u.nick, u."desc", u.sex, u.icon, coalesce(f.back, '') AS back
    FROM friend f JOIN user u ON u.uid = f.friend_id WHERE f.self_id = ?1 ORDER BY f.friend_id"#;
const ARE_FRIENDS: &str = "SELECT 1 FROM friend WHERE self_id = ?1 AND friend_id = ?2";

#[cfg(test)]
pub(super) const LOOK_UPS: &[&str] = &[APPLICATIONS, APPLICATION, OPENING, SET_APPROVED, FRIENDS, ARE_FRIENDS];

#[async_trait]
impl Contacts for SqliteStore {
    async fn apply(&self, from: UserId, to: UserId, introduction: &str, remark: &str) -> Result<Applied, StoreError> {
        let mut writer = self.database.writer().await?;
        let mut transaction = begin(&mut writer).await?;
        let applied = apply(&mut transaction, from, to, introduction, remark).await.map_err(failed);
        end(transaction, applied).await
    }

    async fn applications_to(&self, uid: UserId, limit: usize) -> Result<Vec<PendingApplication>, StoreError> {
        let mut reader = self.database.reader().await?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = sqlx::query(APPLICATIONS).bind(uid.0).bind(limit).try_map(application);
        rows.fetch_all(&mut *reader).await.map_err(failed)
    }

    async fn approve(&self, approver: UserId, applicant: UserId, remark: &str) -> Result<Approval, ApproveError> {
        let mut writer = self.database.writer().await?;
        let mut transaction = begin(&mut writer).await?;
        let approved = approve(&mut transaction, approver, applicant, remark, &self.database.meter).await;
        end(transaction, approved).await
    }

    async fn friends(&self, uid: UserId) -> Result<Vec<Contact>, StoreError> {
        let mut reader = self.database.reader().await?;
        let rows = sqlx::query(FRIENDS).bind(uid.0).try_map(contact);
        rows.fetch_all(&mut *reader).await.map_err(failed)
    }

    async fn are_friends(&self, uid: UserId, other: UserId) -> Result<bool, StoreError> {
        let mut reader = self.database.reader().await?;
        let row = sqlx::query(ARE_FRIENDS).bind(uid.0).bind(other.0).fetch_optional(&mut *reader).await;
        Ok(row.map_err(failed)?.is_some())
    }
}

async fn apply(
    connection: &mut SqliteConnection,
    from: UserId,
    to: UserId,
    introduction: &str,
    remark: &str,
) -> Result<Applied, sqlx::Error> {
    let known: bool = sqlx::query_scalar(KNOWN_USERS).bind(from.0).bind(to.0).fetch_one(&mut *connection).await?;
    if !known {
        return Ok(Applied::UnknownUser);
    }
    let insert = sqlx::query(APPLY).bind(from.0).bind(to.0).bind(introduction).bind(remark);
    let changed = insert.execute(connection).await?.rows_affected();
    Ok(if changed == 0 { Applied::AlreadyApproved } else { Applied::Pending })
}

/// The conversation and the first and last number of what an approval stored.
type Stored = (Option<i64>, Option<i64>, Option<i64>);

async fn approve(
    connection: &mut SqliteConnection,
    approver: UserId,
    applicant: UserId,
    remark: &str,
    meter: &Meter,
) -> Result<Approval, ApproveError> {
    let application = sqlx::query(APPLICATION).bind(applicant.0).bind(approver.0).try_map(|row: SqliteRow| {
        let stored: Stored = (row.try_get("thread_id")?, row.try_get("first_seq")?, row.try_get("last_seq")?);
        Ok((row.try_get("id")?, row.try_get("descs")?, row.try_get("back_name")?, stored))
    });
    let application = application.fetch_optional(&mut *connection).await.map_err(failed)?;
    let (id, introduction, theirs, stored): (i64, String, String, Stored) =
        application.ok_or(ApproveError::NoApplication)?;

    // An application that an original server approved has no such numbers; approving it again stores the greeting once.
    if let (Some(thread), Some(first), Some(last)) = stored {
        let texts = sqlx::query(OPENING).bind(thread).bind(first).bind(last).try_map(|row| stored_text(&row));
        let texts = texts.fetch_all(connection).await.map_err(failed)?;
        return Ok(Approval { thread_id: ThreadId(thread), texts, first: false });
    }

    for (statement, user, friend, remark) in
        [(SET_REMARK, approver, applicant, remark), (KEEP_REMARK, applicant, approver, &theirs)]
    {
        let insert = sqlx::query(statement).bind(user.0).bind(friend.0).bind(remark);
        insert.execute(&mut *connection).await.map_err(failed)?;
    }
    let mut known = batch::load(connection, [Pair::new(approver, applicant)], meter).await?;
    let mut plan = Plan::default();
    let now = chrono::Utc::now().timestamp_millis();
    let said = known.plan_opening(approver, applicant, &introduction, now, &mut plan);
    batch::write(connection, &plan, meter).await?;
    let numbers = (said.texts.first().map(|text| text.seq), said.texts.last().map(|text| text.seq));
    let update = sqlx::query(SET_APPROVED).bind(id).bind(said.thread.0).bind(numbers.0).bind(numbers.1);
    update.execute(connection).await.map_err(failed)?;
    Ok(Approval { thread_id: said.thread, texts: said.texts, first: true })
}

fn application(row: SqliteRow) -> Result<PendingApplication, sqlx::Error> {
    let approved = row.try_get::<i64, _>("status")? == 1;
    Ok(PendingApplication { applicant: profile(&row)?, introduction: row.try_get("descs")?, approved })
}

fn contact(row: SqliteRow) -> Result<Contact, sqlx::Error> {
    Ok(Contact { profile: profile(&row)?, remark: row.try_get("back")? })
}
