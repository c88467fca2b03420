//! A9: how long it took until things went on.

use std::{fmt, time::Duration};

use serde::Serialize;

use super::evidence::{Event, Evidence};

/// How long after a fault had healed texts were acknowledged again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Recovery {
    /// The fault's name.
    pub fault: Box<str>,
    /// Until the first acknowledgement of any client, in microseconds. `None`: there was none.
    pub first_us: Option<u64>,
    /// Until every client that was acknowledged anything after the fault had its first, in microseconds.
    pub all_us: Option<u64>,
    /// How many clients those are.
    pub clients: u64,
}

impl fmt::Display for Recovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fault = self.fault.replace(char::is_control, " ");
        match (self.first_us.map(Duration::from_micros), self.all_us.map(Duration::from_micros)) {
            (Some(first), Some(all)) => {
                write!(f, "{fault}: acknowledged again after {first:.3?}, all {} clients after {all:.3?}", self.clients)
            }
            _ => write!(f, "{fault}: nothing was acknowledged after it"),
        }
    }
}

/// The times to recover, in the order of healing. The second number is the work, in steps.
pub(super) fn measure(evidence: &Evidence) -> (Vec<Recovery>, u64) {
    let mut healed: Vec<_> = evidence.healed.iter().collect();
    healed.sort_by_key(|(_, at_us)| *at_us);
    let none =
        |(fault, _): &&(Box<str>, u64)| Recovery { fault: fault.clone(), first_us: None, all_us: None, clients: 0 };
    let mut recoveries: Vec<Recovery> = healed.iter().map(none).collect();
    let mut steps = 0;
    if healed.is_empty() {
        return (recoveries, steps);
    }
    for client in &evidence.clients {
        // Slot i: this client's first acknowledgement after fault i has healed and before fault i + 1 has.
        let mut first = vec![None; healed.len()];
        for (event, _) in &client.events {
            steps += 1;
            let Event::Ack { at_us, .. } = event else { continue };
            let after = healed.partition_point(|(_, healed_us)| healed_us <= at_us);
            if let Some(slot) = after.checked_sub(1) {
                first[slot] = Some(first[slot].map_or(*at_us, |known: u64| known.min(*at_us)));
            }
        }
        // An acknowledgement after a later fault is one after an earlier fault, too.
        let mut next = None;
        for (recovery, ((_, healed_us), own)) in recoveries.iter_mut().zip(healed.iter().zip(first)).rev() {
            steps += 1;
            next = own.or(next);
            if let Some(at_us) = next {
                let took = at_us - *healed_us;
                recovery.first_us = Some(recovery.first_us.map_or(took, |known| known.min(took)));
                recovery.all_us = recovery.all_us.max(Some(took));
                recovery.clients += 1;
            }
        }
    }
    (recoveries, steps)
}
