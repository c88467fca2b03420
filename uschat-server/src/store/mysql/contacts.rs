use async_trait::async_trait;
use sqlx::{MySqlConnection, Row, mysql::MySqlRow};
use uschat_proto::chat::{ThreadId, UserId};

use super::{
    MysqlStore,
    accounts::profile,
    conversations::stored_text,
    database::{Database, Work, int},
    known::{self, Locks},
    write,
};
use crate::store::{
    Applied, Approval, ApproveError, Contact, Contacts, PendingApplication, StoreError, StoredTexts,
    plan::{Pair, Plan},
};

const KNOWN_USERS: &str = "SELECT uid FROM user WHERE uid IN (?, ?)";
const APPLY: &str = "INSERT INTO friend_apply (from_uid, to_uid, descs, back_name) VALUES (?, ?, ?, ?)
    ON DUPLICATE KEY UPDATE descs = IF(status = 0, VALUES(descs), descs),
        back_name = IF(status = 0, VALUES(back_name), back_name)";
const STATUS: &str = "SELECT status FROM friend_apply WHERE from_uid = ? AND to_uid = ?";
/// The newest of each kind, so that the index gives both without sorting; the caller takes as many as were asked for.
const APPLICATIONS: &str = "SELECT u.uid, u.name, u.nick, u.`desc`, u.sex, u.icon,
        chosen.id, chosen.status, COALESCE(chosen.descs, '') AS descs
    FROM ((SELECT id, from_uid, descs, status FROM friend_apply WHERE to_uid = ? AND status = 0
            ORDER BY id DESC LIMIT ?)
        UNION ALL (SELECT id, from_uid, descs, status FROM friend_apply WHERE to_uid = ? AND status = 1
            ORDER BY id DESC LIMIT ?)) chosen
    JOIN user u ON u.uid = chosen.from_uid";
const APPLICATION: &str = "SELECT id, COALESCE(descs, '') AS descs, COALESCE(back_name, '') AS back_name,
        thread_id, first_seq, last_seq
    FROM friend_apply WHERE from_uid = ? AND to_uid = ? FOR UPDATE";
const OPENING: &str = "SELECT message_id, thread_id, seq, sender_id, client_id, content,
        CAST(COALESCE(sent_at_ms, UNIX_TIMESTAMP(created_at) * 1000) AS SIGNED) AS sent_at_ms
    FROM chat_message WHERE thread_id = ? AND seq BETWEEN ? AND ? ORDER BY seq";
const SET_APPROVED: &str =
    "UPDATE friend_apply SET status = 1, thread_id = ?, first_seq = ?, last_seq = ? WHERE id = ?";
const SET_REMARK: &str = "INSERT INTO friend (self_id, friend_id, back) VALUES (?, ?, ?)
    ON DUPLICATE KEY UPDATE back = VALUES(back)";
const KEEP_REMARK: &str = "INSERT INTO friend (self_id, friend_id, back) VALUES (?, ?, ?)
    ON DUPLICATE KEY UPDATE back = back";
const FRIENDS: &str = "SELECT u.uid, u.name, u.nick, u.`desc`, u.sex, u.icon, COALESCE(f.back, '') AS back
    FROM friend f JOIN user u ON u.uid = f.friend_id WHERE f.self_id = ? ORDER BY f.friend_id";
const ARE_FRIENDS: &str = "SELECT self_id FROM friend WHERE self_id = ? AND friend_id = ?";

#[cfg(test)]
pub(super) const LOOK_UPS: &[&str] =
    &[KNOWN_USERS, STATUS, APPLICATIONS, APPLICATION, OPENING, SET_APPROVED, FRIENDS, ARE_FRIENDS];

#[async_trait]
impl Contacts for MysqlStore {
    async fn apply(&self, from: UserId, to: UserId, introduction: &str, remark: &str) -> Result<Applied, StoreError> {
        self.database.transact(&Apply { from, to, introduction, remark }).await
    }

    async fn applications_to(&self, uid: UserId, limit: usize) -> Result<Vec<PendingApplication>, StoreError> {
        let most = i64::try_from(limit).unwrap_or(i64::MAX);
        let bound = |query| sqlx::query::Query::bind(query, uid.0).bind(most).bind(uid.0).bind(most);
        let rows = self.database.rows(APPLICATIONS, bound).await?;
        let mut chosen = read(&rows, application)?;
        chosen.sort_by_key(|(id, application)| (application.approved, -id));
        chosen.truncate(limit);
        chosen.sort_by_key(|(id, _)| *id);
        Ok(chosen.into_iter().map(|(_, application)| application).collect())
    }

    async fn approve(&self, approver: UserId, applicant: UserId, remark: &str) -> Result<Approval, ApproveError> {
        self.database.transact(&Approve { database: &self.database, approver, applicant, remark }).await
    }

    async fn friends(&self, uid: UserId) -> Result<Vec<Contact>, StoreError> {
        let rows = self.database.rows(FRIENDS, |query| query.bind(uid.0)).await?;
        read(&rows, |row| Ok(Contact { profile: profile(row)?, remark: row.try_get("back")? }))
    }

    async fn are_friends(&self, uid: UserId, other: UserId) -> Result<bool, StoreError> {
        let rows = self.database.rows(ARE_FRIENDS, |query| query.bind(uid.0).bind(other.0)).await?;
        Ok(!rows.is_empty())
    }
}

struct Apply<'a> {
    from: UserId,
    to: UserId,
    introduction: &'a str,
    remark: &'a str,
}

impl Work for Apply<'_> {
    type Output = Applied;
    type Refusal = StoreError;

    async fn run(&self, connection: &mut MySqlConnection) -> Result<Result<Applied, StoreError>, sqlx::Error> {
        let Self { from, to, introduction, remark } = *self;
        let known = sqlx::query(KNOWN_USERS).bind(from.0).bind(to.0).fetch_all(&mut *connection).await?;
        if known.len() < if from == to { 1 } else { 2 } {
            return Ok(Ok(Applied::UnknownUser));
        }
        let insert = sqlx::query(APPLY).bind(from.0).bind(to.0).bind(introduction).bind(remark);
        insert.execute(&mut *connection).await?;
        // The insert has locked the row, so this is what it found.
        let status = sqlx::query(STATUS).bind(from.0).bind(to.0).fetch_one(connection).await?;
        Ok(Ok(if int(&status, "status")? == 0 { Applied::Pending } else { Applied::AlreadyApproved }))
    }
}

struct Approve<'a> {
    database: &'a Database,
    approver: UserId,
    applicant: UserId,
    remark: &'a str,
}

impl Work for Approve<'_> {
    type Output = Approval;
    type Refusal = ApproveError;

    async fn run(&self, connection: &mut MySqlConnection) -> Result<Result<Approval, ApproveError>, sqlx::Error> {
        let Self { database, approver, applicant, remark } = *self;
        let application = sqlx::query(APPLICATION).bind(applicant.0).bind(approver.0);
        let Some(application) = application.fetch_optional(&mut *connection).await? else {
            return Ok(Err(ApproveError::NoApplication));
        };
        // An application that an original server approved has no such numbers; approving it again stores the greeting once.
        if let Some(first) = first_outcome(connection, &application).await? {
            return Ok(Ok(first));
        }

        // In the order of the index, the one in which every transaction of ours locks friends: from here on nobody else
        // opens a conversation of the two.
        let theirs: String = application.try_get("back_name")?;
        let mut friends =
            [(SET_REMARK, approver, applicant, remark), (KEEP_REMARK, applicant, approver, theirs.as_str())];
        friends.sort_by_key(|&(_, user, ..)| user);
        for (statement, user, friend, remark) in friends {
            sqlx::query(statement).bind(user.0).bind(friend.0).bind(remark).execute(&mut *connection).await?;
        }

        let mut known = known::load(connection, &[Pair::new(approver, applicant)], Locks::Wait, database).await?;
        let mut plan = Plan::default();
        let introduction: String = application.try_get("descs")?;
        let now = chrono::Utc::now().timestamp_millis();
        let mut said = known.known.plan_opening(approver, applicant, &introduction, now, &mut plan);
        write::write(connection, &plan, &database.meter).await?.settle(&mut said);
        let StoredTexts { thread, texts, .. } = said;
        let numbers = (texts.first().map(|text| text.seq), texts.last().map(|text| text.seq));
        let id = int(&application, "id")?;
        sqlx::query(SET_APPROVED).bind(thread.0).bind(numbers.0).bind(numbers.1).bind(id).execute(connection).await?;
        Ok(Ok(Approval { thread_id: thread, texts, first: true }))
    }
}

/// What approving this application stored earlier.
async fn first_outcome(
    connection: &mut MySqlConnection,
    application: &MySqlRow,
) -> Result<Option<Approval>, sqlx::Error> {
    let number = |column| application.try_get_unchecked::<Option<i64>, _>(column);
    let (Some(thread), Some(first), Some(last)) = (number("thread_id")?, number("first_seq")?, number("last_seq")?)
    else {
        return Ok(None);
    };
    let rows = sqlx::query(OPENING).bind(thread).bind(first).bind(last).fetch_all(connection).await?;
    let texts = rows.iter().map(stored_text).collect::<Result<_, _>>()?;
    Ok(Some(Approval { thread_id: ThreadId(thread), texts, first: false }))
}

fn application(row: &MySqlRow) -> Result<(i64, PendingApplication), sqlx::Error> {
    let approved = int(row, "status")? == 1;
    let introduction = row.try_get("descs")?;
    Ok((int(row, "id")?, PendingApplication { applicant: profile(row)?, introduction, approved }))
}

pub(super) fn read<T>(
    rows: &[MySqlRow],
    one: impl Fn(&MySqlRow) -> Result<T, sqlx::Error>,
) -> Result<Vec<T>, StoreError> {
    rows.iter().map(one).collect::<Result<_, _>>().map_err(|error| StoreError::Corrupt(error.to_string()))
}
