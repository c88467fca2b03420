//! Whatever happens to connections, a run that keeps the guarantee is found sound; with one thing wrong, that is found.

use std::collections::HashSet;

use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
use uschat_examples::oracle::{Counts, Kind};

use crate::harness::{
    broken, judge,
    mutation::Mutation,
    world::{plans, play},
};

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_sound_run_holds(plan in plans()) {
        let run = play(&plan);
        let verdict = judge(run.records);
        prop_assert!(verdict.holds(), "{verdict}");
        let members_without_history = verdict.counts.members_without_history;
        prop_assert_eq!(verdict.counts, Counts { members_without_history, ..run.counts });
        prop_assert_eq!(members_without_history, 0);
    }

    #[test]
    fn one_thing_wrong_is_found_and_nothing_else(
        plan in plans(),
        mutation in prop::sample::select(&Mutation::ALL[..]),
        choice: usize,
    ) {
        let mut records = play(&plan).records;
        let expected = mutation.apply(&mut records, choice);
        let verdict = judge(records);
        prop_assert_eq!(broken(&verdict), expected.unwrap_or_default(), "{}", verdict);
    }
}

/// The property above would pass if no run had room for a mutation.
#[test]
fn runs_have_room_for_every_mutation() {
    let mut runner = TestRunner::deterministic();
    let runs: Vec<_> = (0..50).map(|_| play(&plans().new_tree(&mut runner).unwrap().current()).records).collect();
    let mut kinds = HashSet::new();
    for mutation in Mutation::ALL {
        let found: Vec<_> = runs.iter().filter_map(|records| mutation.apply(&mut records.clone(), 1)).collect();
        assert!(found.len() >= 15, "{mutation:?} in {} of {} runs", found.len(), runs.len());
        kinds.extend(found.into_iter().flatten().map(|(_, kind)| kind));
    }
    let by_hand = [Kind::StoredElsewhere, Kind::NumberTwice, Kind::NotNumbered];
    let left: Vec<_> = Kind::ALL.into_iter().filter(|kind| !kinds.contains(kind) && !by_hand.contains(kind)).collect();
    assert_eq!(left, []);
}
