use std::ops::RangeInclusive;

use async_trait::async_trait;
use uschat_proto::chat::{ThreadId, UserId};

use super::MemoryStore;
use crate::store::{Applied, Approval, ApproveError, Contact, Contacts, PendingApplication, StoreError, plan::Plan};

pub(super) struct Application {
    from: UserId,
    introduction: String,
    remark: String,
    /// The conversation and the numbers of the texts that the approval stored in it.
    approved: Option<(ThreadId, RangeInclusive<i64>)>,
}

#[async_trait]
impl Contacts for MemoryStore {
    async fn apply(&self, from: UserId, to: UserId, introduction: &str, remark: &str) -> Result<Applied, StoreError> {
        let mut tables = self.tables();
        if tables.account(to).is_none() || tables.account(from).is_none() {
            return Ok(Applied::UnknownUser);
        }
        let (introduction, remark) = (introduction.to_owned(), remark.to_owned());
        if let Some(&index) = tables.application_of.get(&(from, to)) {
            let application = &mut tables.applications[index];
            if application.approved.is_some() {
                return Ok(Applied::AlreadyApproved);
            }
            application.introduction = introduction;
            application.remark = remark;
            return Ok(Applied::Pending);
        }
        let index = tables.applications.len();
        tables.applications.push(Application { from, introduction, remark, approved: None });
        tables.application_of.insert((from, to), index);
        tables.applications_to.entry(to).or_default().push(index);
        Ok(Applied::Pending)
    }

    async fn applications_to(&self, uid: UserId, limit: usize) -> Result<Vec<PendingApplication>, StoreError> {
        let tables = &*self.tables();
        let all = tables.applications_to.get(&uid).map_or(&[][..], Vec::as_slice);
        let newest = |approved: bool| {
            let of_kind = all.iter().rev().copied();
            of_kind.filter(move |&index| tables.applications[index].approved.is_some() == approved)
        };
        let mut chosen: Vec<usize> = newest(false).chain(newest(true)).take(limit).collect();
        chosen.sort_unstable();
        let found = chosen.into_iter().filter_map(|index| {
            let application = &tables.applications[index];
            Some(PendingApplication {
                applicant: tables.account(application.from)?.profile.clone(),
                introduction: application.introduction.clone(),
                approved: application.approved.is_some(),
            })
        });
        Ok(found.collect())
    }

    async fn approve(&self, approver: UserId, applicant: UserId, remark: &str) -> Result<Approval, ApproveError> {
        let mut tables = self.tables();
        let index = *tables.application_of.get(&(applicant, approver)).ok_or(ApproveError::NoApplication)?;
        let application = &tables.applications[index];
        if let Some((thread_id, numbers)) = &application.approved {
            let texts = tables.texts.get(thread_id).into_iter().flatten();
            let texts = texts.filter(|text| numbers.contains(&text.seq)).cloned().collect();
            return Ok(Approval { thread_id: *thread_id, texts, first: false });
        }
        let (introduction, theirs) = (application.introduction.clone(), application.remark.clone());
        tables.friends.entry(approver).or_default().insert(applicant, remark.to_owned());
        tables.friends.entry(applicant).or_default().entry(approver).or_insert(theirs);
        tables.known.friends.extend([(approver, applicant), (applicant, approver)]);

        let mut plan = Plan::default();
        let now = chrono::Utc::now().timestamp_millis();
        let said = tables.known.plan_opening(approver, applicant, &introduction, now, &mut plan);
        tables.write(plan);
        let last = said.texts.last().map_or(0, |text| text.seq);
        let numbers = last + 1 - said.texts.len() as i64..=last;
        tables.applications[index].approved = Some((said.thread, numbers));
        Ok(Approval { thread_id: said.thread, texts: said.texts, first: true })
    }

    async fn friends(&self, uid: UserId) -> Result<Vec<Contact>, StoreError> {
        let tables = self.tables();
        let friends = tables.friends.get(&uid).into_iter().flatten();
        let found = friends.filter_map(|(&friend, remark)| {
            Some(Contact { profile: tables.account(friend)?.profile.clone(), remark: remark.clone() })
        });
        Ok(found.collect())
    }

    async fn are_friends(&self, uid: UserId, other: UserId) -> Result<bool, StoreError> {
        Ok(self.tables().known.friends.contains(&(uid, other)))
    }
}
