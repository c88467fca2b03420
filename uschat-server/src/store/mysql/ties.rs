use foldhash::HashSet;
use uschat_proto::chat::UserId;

use crate::store::{NewTexts, plan::Pair};

/// Conversations and senders of whom something has to wait. Whatever comes behind it there waits too, so that numbers are
/// given in the order of the calls, a client id belongs to the first who used it, and nothing is stored without what was said
/// before it: a chain has one sender.
#[derive(Debug, Clone, Default)]
pub(super) struct Ties {
    conversations: HashSet<Pair>,
    senders: HashSet<UserId>,
}

impl Ties {
    /// Whether the request comes behind something that waits.
    pub(super) fn hold(&self, request: &NewTexts) -> bool {
        self.conversations.contains(&Pair::of(request)) || self.senders.contains(&request.sender)
    }

    /// The request waits.
    pub(super) fn add(&mut self, request: &NewTexts) {
        self.conversations.insert(Pair::of(request));
        self.senders.insert(request.sender);
    }

    /// Whether the request comes behind something that waits, in which case it waits as well.
    pub(super) fn hold_back(&mut self, request: &NewTexts) -> bool {
        let held = self.hold(request);
        if held {
            self.add(request);
        }
        held
    }

    /// A conversation waits.
    pub(super) fn add_conversation(&mut self, pair: Pair) {
        self.conversations.insert(pair);
    }
}
