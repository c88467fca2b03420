use std::collections::HashSet;

use crate::store::{Chain, NewTexts, plan::Pair};

/// Conversations and chains of which something has to wait. Whatever comes behind it there waits too, so that numbers are
/// given in the order of the calls and nothing is stored without what was said before it.
#[derive(Debug, Clone, Default)]
pub(super) struct Ties {
    conversations: HashSet<Pair>,
    chains: HashSet<Chain>,
}

impl Ties {
    /// Whether the request comes behind something that waits.
    pub(super) fn hold(&self, request: &NewTexts) -> bool {
        self.conversations.contains(&Pair::of(request)) || self.chains.contains(&request.chain)
    }

    /// The request waits.
    pub(super) fn add(&mut self, request: &NewTexts) {
        self.conversations.insert(Pair::of(request));
        self.chains.insert(request.chain.clone());
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

    pub(super) fn extend(&mut self, other: &Self) {
        self.conversations.extend(&other.conversations);
        self.chains.extend(other.chains.iter().cloned());
    }
}
