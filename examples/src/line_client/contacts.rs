//! Who this user knows: the lists of the login, kept up with what happened since.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use uschat_client::{Chat, Profile, UserId};

use super::incoming::{Line, applied, approved};
use super::print::escape;

/// Shared by the commands and the events.
#[derive(Default)]
pub(crate) struct Contacts(Mutex<Known>);

#[derive(Default)]
struct Known {
    /// Servers send only the uid with a text.
    names: HashMap<UserId, String>,
    /// With this user's remark.
    friends: BTreeMap<UserId, String>,
    /// Pending ones, with the introduction.
    applications: BTreeMap<UserId, String>,
}

impl Contacts {
    /// Starts again with what a login told.
    pub(crate) fn reset(&self, chat: &Chat) {
        *self.known() = Known::default();
        for friend in chat.friends() {
            self.befriend(&friend.profile, &friend.back);
        }
        for application in chat.applications().iter().filter(|application| application.status == 0) {
            self.applied(&application.applicant);
        }
    }

    /// Takes over the lists of a later session; returns the lines for what they have new.
    pub(crate) fn catch_up(&self, chat: &Chat) -> Vec<Line> {
        let mut news = Vec::new();
        for friend in chat.friends() {
            let known = self.known().friends.contains_key(&friend.profile.uid);
            self.befriend(&friend.profile, &friend.back);
            if !known {
                news.push(approved(&friend.profile, self));
            }
        }
        for application in chat.applications().iter().filter(|application| application.status == 0) {
            let known = self.known().applications.contains_key(&application.applicant.uid);
            self.applied(&application.applicant);
            if !known {
                news.push(applied(&application.applicant, self));
            }
        }
        news
    }

    pub(crate) fn met(&self, profile: &Profile) {
        // First-season servers put the introduction where the name of an applicant should be; the nickname is the name.
        let name = if profile.nick.is_empty() { &profile.name } else { &profile.nick };
        self.known().names.insert(profile.uid, name.clone());
    }

    pub(crate) fn befriend(&self, profile: &Profile, remark: &str) {
        self.met(profile);
        let mut known = self.known();
        known.applications.remove(&profile.uid);
        known.friends.insert(profile.uid, remark.into());
    }

    pub(crate) fn applied(&self, applicant: &Profile) {
        self.met(applicant);
        self.known().applications.insert(applicant.uid, applicant.desc.clone());
    }

    /// `1002 grace`, or `1002 ?` for somebody not met yet.
    pub(crate) fn name(&self, uid: UserId) -> String {
        format!("{uid} {}", self.known().names.get(&uid).map_or_else(|| "?".into(), |name| escape(name)))
    }

    /// `1002 grace: remark`, by uid.
    pub(crate) fn friends(&self) -> Vec<String> {
        let friends = self.known().friends.clone();
        self.lines(friends)
    }

    /// `1002 grace: introduction`, by uid.
    pub(crate) fn applications(&self) -> Vec<String> {
        let applications = self.known().applications.clone();
        self.lines(applications)
    }

    fn lines(&self, list: BTreeMap<UserId, String>) -> Vec<String> {
        list.into_iter().map(|(uid, text)| format!("{}: {}", self.name(uid), escape(&text))).collect()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Every change is one call on a map, so a panic elsewhere leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(uid: i32, name: &str, desc: &str) -> Profile {
        Profile { uid: UserId(uid), name: name.into(), desc: desc.into(), ..Profile::default() }
    }

    #[test]
    fn an_application_ends_when_it_is_approved() {
        let contacts = Contacts::default();
        contacts.applied(&profile(7, "eve", "hi\n"));
        assert_eq!(contacts.applications(), [r"7 eve: hi\n"]);
        contacts.befriend(&profile(7, "eve", ""), "E");
        assert!(contacts.applications().is_empty());
        assert_eq!(contacts.friends(), ["7 eve: E"]);
    }

    #[test]
    fn the_nickname_is_the_name_and_strangers_have_none() {
        let contacts = Contacts::default();
        contacts.met(&Profile { nick: "eve".into(), ..profile(7, "what I typed", "") });
        assert_eq!((contacts.name(UserId(7)), contacts.name(UserId(8))), ("7 eve".into(), "8 ?".into()));
    }
}
