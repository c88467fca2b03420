//! The receiving half of a pair: one task.

use std::{rc::Rc, time::Instant};

use uschat_proto::MessageId;
use uschat_wire::FrameRef;

use super::{
    session::{Ended, Session, notice_of_end},
    texts::Told,
    traffic::{Line, Shared},
};

/// Takes what comes until it is stopped or the connection ends.
pub(super) async fn run(mut session: Session, line: Rc<Line>, shared: Rc<Shared>) -> Ended {
    loop {
        let frames = match session.reader.frames().await {
            Ok(Some(frames)) => frames,
            Ok(None) => return Ended::Closed,
            Err(error) => return Ended::Broken(error.to_string()),
        };
        let now = Instant::now();
        for frame in frames {
            let taken = frame.map_err(|error| Ended::Broken(error.to_string()));
            if let Err(ended) = taken.and_then(|frame| take(frame, now, &line, &shared)) {
                return ended;
            }
        }
        shared.noticed();
    }
}

fn take(frame: FrameRef<'_>, now: Instant, line: &Line, shared: &Shared) -> Result<(), Ended> {
    if MessageId(frame.id) != MessageId::TEXT_CHAT_NOTICE {
        return notice_of_end(frame.id);
    }
    let told: Told<'_> =
        serde_json::from_slice(frame.body).map_err(|_| Ended::Broken("a 1019 is not understood".to_owned()))?;
    let (mut ledger, mut meter) = (line.ledger.borrow_mut(), shared.meter.borrow_mut());
    for text in &told.chat_datas {
        // Texts of another run are none of ours.
        let Some(number) = shared.run.number(&text.unique_id) else { continue };
        if let Some(intended) = ledger.delivered(number, text.seq) {
            meter.delivered(intended, now);
        }
    }
    Ok(())
}
