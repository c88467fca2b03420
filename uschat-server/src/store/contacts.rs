use async_trait::async_trait;
use uschat_proto::chat::{Profile, ThreadId, UserId};

use super::{StoreError, StoredText};

/// Who knows whom: applications and friendships.
#[async_trait]
pub trait Contacts: Send + Sync + 'static {
    /// Stores the wish of `from` to become a friend of `to`. A second application replaces introduction and remark of the
    /// first while that is pending, and changes nothing once it was approved.
    async fn apply(&self, from: UserId, to: UserId, introduction: &str, remark: &str) -> Result<Applied, StoreError>;

    /// The applications to a user: pending ones first served by `limit` (the newest of each kind), returned oldest first.
    async fn applications_to(&self, uid: UserId, limit: usize) -> Result<Vec<PendingApplication>, StoreError>;

    /// Approves the application of `applicant` to `approver`, in one transaction: marks it, makes both friends of each
    /// other (the approver's remark for the applicant is `remark`, the applicant's is the one given when applying, unless
    /// they are friends already: then the applicant's stays as it is), opens
    /// their private conversation unless there is one, and stores the texts it starts with: the introduction, said by
    /// the applicant, unless it is empty, then [`NOW_FRIENDS`], said by the approver.
    ///
    /// Approving twice returns the first outcome again.
    async fn approve(&self, approver: UserId, applicant: UserId, remark: &str) -> Result<Approval, ApproveError>;

    /// The user's friends with the user's own remarks, ascending by uid.
    async fn friends(&self, uid: UserId) -> Result<Vec<Contact>, StoreError>;

    /// Whether `uid` has `other` as a friend.
    async fn are_friends(&self, uid: UserId, other: UserId) -> Result<bool, StoreError>;
}

/// The text every conversation of new friends begins with, after the introduction.
pub const NOW_FRIENDS: &str = "We are friends now, let's chat!";

/// What became of an application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// It waits for approval.
    Pending,
    /// It was approved earlier.
    AlreadyApproved,
    /// There is no user to apply to.
    UnknownUser,
}

/// An application as its receiver sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingApplication {
    /// Who applied.
    pub applicant: Profile,
    /// How they introduced themselves.
    pub introduction: String,
    /// Whether it was approved already.
    pub approved: bool,
}

/// A friend, as one side of the friendship sees them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    /// Who.
    pub profile: Profile,
    /// The remark of the user whose list this is.
    pub remark: String,
}

/// An approved application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// The private conversation of the two.
    pub thread_id: ThreadId,
    /// The texts stored at the approval, ascending, at least one.
    pub texts: Vec<StoredText>,
    /// False when the application had been approved before, and this is a repetition.
    pub first: bool,
}

/// Why an application was not approved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApproveError {
    /// `applicant` never applied to `approver`.
    #[error("there is no application to approve")]
    NoApplication,
    /// The store failed; nothing was changed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
