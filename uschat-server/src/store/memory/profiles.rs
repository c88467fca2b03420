use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use uschat_proto::chat::{Profile, UserId};

/// Profiles of at most [`Profiles::MOST`] users; the one kept longest makes room for a new one.
#[derive(Debug, Default)]
pub(super) struct Profiles(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    by_uid: HashMap<UserId, (u64, Arc<Profile>)>,
    by_name: HashMap<String, UserId>,
    by_age: BTreeMap<u64, UserId>,
    newest: u64,
}

impl Profiles {
    const MOST: usize = 10_000;

    pub(super) fn find(&self, uid: UserId) -> Option<Arc<Profile>> {
        self.inner().by_uid.get(&uid).map(|(_, profile)| Arc::clone(profile))
    }

    pub(super) fn named(&self, name: &str) -> Option<Arc<Profile>> {
        let inner = self.inner();
        let (_, profile) = inner.by_uid.get(inner.by_name.get(name)?)?;
        Some(Arc::clone(profile))
    }

    pub(super) fn keep(&self, profile: Profile) {
        let mut inner = self.inner();
        let uid = profile.uid;
        inner.remove(uid);
        if inner.by_uid.len() >= Self::MOST
            && let Some((_, &oldest)) = inner.by_age.first_key_value()
        {
            inner.remove(oldest);
        }
        inner.newest += 1;
        let age = inner.newest;
        inner.by_age.insert(age, uid);
        inner.by_name.insert(profile.name.clone(), uid);
        inner.by_uid.insert(uid, (age, Arc::new(profile)));
    }

    pub(super) fn forget(&self, uid: UserId) {
        self.inner().remove(uid);
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn remove(&mut self, uid: UserId) {
        let Some((age, profile)) = self.by_uid.remove(&uid) else { return };
        self.by_age.remove(&age);
        // A name that was given up may be somebody else's by now.
        if self.by_name.get(&profile.name) == Some(&uid) {
            self.by_name.remove(&profile.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(uid: usize) -> Profile {
        Profile { uid: UserId(i32::try_from(uid).unwrap()), name: format!("user{uid}"), ..Profile::default() }
    }

    #[test]
    fn the_one_kept_longest_makes_room() {
        let profiles = Profiles::default();
        (0..Profiles::MOST).for_each(|uid| profiles.keep(profile(uid)));
        profiles.keep(profile(0)); // renewed, so 1 is the oldest now
        profiles.keep(profile(Profiles::MOST));

        assert_eq!(profiles.find(UserId(1)), None);
        assert_eq!(profiles.named("user1"), None);
        assert!(profiles.find(UserId(0)).is_some());
        assert_eq!(profiles.named("user0").map(|profile| profile.uid), Some(UserId(0)));
        let inner = profiles.inner();
        let kept = [inner.by_uid.len(), inner.by_name.len(), inner.by_age.len()];
        assert_eq!(kept, [Profiles::MOST; 3]);
    }
}
