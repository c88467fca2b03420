//! The sending half of a pair: one task.

use std::{rc::Rc, time::Instant};

use tokio::io::AsyncWriteExt;
use uschat_proto::MessageId;
use uschat_wire::{FrameRef, Limits, WriteBuffer};

use super::{
    session::{Ended, Session, notice_of_end},
    texts::{TextWriter, Told},
    traffic::{Line, Mode, Shared},
};

/// In an open loop: texts of one sender under way, beyond which they wait in the generator. Their intended times stand.
const OPEN_WINDOW: u64 = 4_096;

/// Sends until it is stopped or the connection ends. What one read brings is answered by one write.
pub(super) async fn run(mut session: Session, writer: TextWriter, line: Rc<Line>, shared: Rc<Shared>) -> Ended {
    let mut out = WriteBuffer::new(Limits::unrestricted());
    loop {
        if let Err(ended) = fill(&mut out, &writer, &line, &shared) {
            return ended;
        }
        tokio::select! {
            biased;
            written = session.writer.write_buf(&mut out), if out.frame_count() > 0 => {
                if let Err(error) = written {
                    return error.into();
                }
            }
            frames = session.reader.frames() => {
                let frames = match frames {
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
            () = line.due.notified() => {}
        }
    }
}

/// Sends what may be sent.
fn fill(out: &mut WriteBuffer, writer: &TextWriter, line: &Line, shared: &Shared) -> Result<(), Ended> {
    let mut ledger = line.ledger.borrow_mut();
    let mut owed = line.owed.borrow_mut();
    let now = Instant::now();
    loop {
        let intended = match shared.mode {
            Mode::Closed { window } if shared.sending.get() && ledger.under_way() < u64::from(window) => now,
            Mode::Open { .. } if ledger.under_way() < OPEN_WINDOW => match owed.pop_front() {
                Some(intended) => intended,
                None => return Ok(()),
            },
            _ => return Ok(()),
        };
        let number = ledger.send(intended);
        let id = MessageId::TEXT_CHAT_REQUEST.0;
        out.push_with(id, |body| writer.write(number, body)).map_err(|error| Ended::Broken(error.to_string()))?;
    }
}

fn take(frame: FrameRef<'_>, now: Instant, line: &Line, shared: &Shared) -> Result<(), Ended> {
    if MessageId(frame.id) != MessageId::TEXT_CHAT_RESPONSE {
        return notice_of_end(frame.id);
    }
    let told: Told<'_> =
        serde_json::from_slice(frame.body).map_err(|_| Ended::Broken("a 1018 is not understood".to_owned()))?;
    let mut ledger = line.ledger.borrow_mut();
    if told.error != 0 {
        ledger.refused(told.error);
        return Ok(());
    }
    let mut meter = shared.meter.borrow_mut();
    for number in told.chat_datas.iter().filter_map(|text| shared.run.number(&text.unique_id)) {
        if let Some(intended) = ledger.acknowledged(number) {
            meter.acknowledged(intended, now);
        }
    }
    Ok(())
}
