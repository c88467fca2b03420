//! Frames read and written in the most literal way: the whole stream at once, number by number, nothing kept, nothing
//! shared with the crate. What the crate does in any of its ways is compared with this.

/// How a header is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) id_len: usize,
    pub(crate) length_len: usize,
    pub(crate) little_endian: bool,
    pub(crate) counts_header: bool,
}

/// What may travel.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    /// The longest body of ids without an exception.
    pub(crate) max_body: u64,
    /// Ids with a longest body of their own; of two for one id the later one holds.
    pub(crate) exceptions: Vec<(u16, u64)>,
    /// If given, there are no other ids than these and those of the exceptions.
    pub(crate) known: Option<Vec<u16>>,
}

/// What a receiver is told.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Event<'a> {
    Frame { id: u16, body: &'a [u8] },
    UnknownId { id: u16, len: u64 },
    BodyTooLong { id: u16, len: u64, max: u64 },
    LengthTooShort { id: u16, length: u64, min: u64 },
}

/// An event, and where in the stream it belongs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Step<'a> {
    pub(crate) event: Event<'a>,
    /// Bytes in front of the frame.
    pub(crate) offset: u64,
    /// With so many bytes of the stream, and not with fewer, the event is known.
    pub(crate) ready_at: u64,
}

/// What a stream comes to.
#[derive(Debug)]
pub(crate) struct Outcome<'a> {
    pub(crate) steps: Vec<Step<'a>>,
    /// Bytes of the stream that are done with: those of frames, and those of refused frames that were passed over.
    pub(crate) consumed: u64,
    /// Bytes missing, at least, until the next event. Zero after an error that is final.
    pub(crate) needs: u64,
}

/// Why a frame may not be sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Refusal {
    IdTooLarge { max: u64 },
    UnknownId,
    BodyTooLong { max: u64 },
}

impl Shape {
    pub(crate) fn header_len(self) -> u64 {
        self.id_len as u64 + self.length_len as u64
    }

    /// What the length field says beyond the length of the body.
    fn counted(self) -> u64 {
        if self.counts_header { self.header_len() } else { 0 }
    }

    pub(crate) fn longest_body(self) -> u64 {
        (largest(self.length_len) - self.counted()).min(0x7FFF_FFFF)
    }

    fn number(self, bytes: &[u8]) -> u64 {
        let append = |number, &byte: &u8| number * 256 + u64::from(byte);
        if self.little_endian { bytes.iter().rev().fold(0, append) } else { bytes.iter().fold(0, append) }
    }

    fn write_number(self, number: u64, len: usize, out: &mut Vec<u8>) {
        let nth = |place: usize| (number / 256_u64.pow(place as u32) % 256) as u8;
        if self.little_endian { out.extend((0..len).map(nth)) } else { out.extend((0..len).rev().map(nth)) }
    }
}

fn largest(len: usize) -> u64 {
    256_u64.pow(len as u32) - 1
}

impl Rules {
    /// The longest body of this id; none if there is no such id.
    fn max_body_of(&self, id: u16) -> Option<u64> {
        if let Some((_, max)) = self.exceptions.iter().rev().find(|(exception, _)| *exception == id) {
            return Some(*max);
        }
        match &self.known {
            Some(known) if !known.contains(&id) => None,
            _ => Some(self.max_body),
        }
    }
}

/// All that these bytes, and no more, tell a receiver.
pub(crate) fn decode<'a>(stream: &'a [u8], shape: Shape, rules: &Rules) -> Outcome<'a> {
    let header_len = shape.header_len();
    let mut steps = Vec::new();
    let mut offset = 0;
    loop {
        let rest = &stream[offset as usize..];
        if (rest.len() as u64) < header_len {
            return Outcome { steps, consumed: offset, needs: header_len - rest.len() as u64 };
        }
        let (header, behind) = rest.split_at(header_len as usize);
        let id = shape.number(&header[..shape.id_len]) as u16;
        let length = shape.number(&header[shape.id_len..]);
        let known_at = offset + header_len;

        let refused = refusal(id, length, shape, rules);
        if let Some(event @ (Event::BodyTooLong { .. } | Event::LengthTooShort { .. })) = refused {
            steps.push(Step { event, offset, ready_at: known_at });
            return Outcome { steps, consumed: offset, needs: 0 };
        }
        let len = length - shape.counted();
        let end = known_at + len;
        let missing = end.saturating_sub(stream.len() as u64);
        if let Some(event) = refused {
            steps.push(Step { event, offset, ready_at: known_at });
            if missing > 0 {
                return Outcome { steps, consumed: stream.len() as u64, needs: missing + header_len };
            }
        } else {
            if missing > 0 {
                return Outcome { steps, consumed: offset, needs: missing };
            }
            steps.push(Step { event: Event::Frame { id, body: &behind[..len as usize] }, offset, ready_at: end });
        }
        offset = end;
    }
}

/// What is wrong with a header, if anything is.
fn refusal(id: u16, length: u64, shape: Shape, rules: &Rules) -> Option<Event<'static>> {
    let Some(len) = length.checked_sub(shape.counted()) else {
        return Some(Event::LengthTooShort { id, length, min: shape.header_len() });
    };
    let known_max = rules.max_body_of(id);
    let max = known_max.unwrap_or(rules.max_body).min(shape.longest_body());
    if len > max {
        return Some(Event::BodyTooLong { id, len, max });
    }
    if known_max.is_none() { Some(Event::UnknownId { id, len }) } else { None }
}

/// Appends the frame, or says why it may not be sent.
pub(crate) fn encode(id: u16, body: &[u8], shape: Shape, rules: &Rules, out: &mut Vec<u8>) -> Result<(), Refusal> {
    let max_id = largest(shape.id_len);
    if u64::from(id) > max_id {
        return Err(Refusal::IdTooLarge { max: max_id });
    }
    let max = rules.max_body_of(id).ok_or(Refusal::UnknownId)?.min(shape.longest_body());
    if body.len() as u64 > max {
        return Err(Refusal::BodyTooLong { max });
    }
    shape.write_number(u64::from(id), shape.id_len, out);
    shape.write_number(body.len() as u64 + shape.counted(), shape.length_len, out);
    out.extend(body);
    Ok(())
}
