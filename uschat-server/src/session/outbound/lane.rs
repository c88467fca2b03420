use std::{any::Any, collections::VecDeque};

use uschat_wire::Frame;

/// A push that can take a later one into itself while both wait: several texts of one conversation become one frame.
///
/// Only paced sessions merge; the others get each push as a frame of its own.
pub trait Mergeable: Any + Send {
    /// Bytes it stands for in the outbound queue, about those of its frame.
    fn size(&self) -> usize;

    /// What must keep its order: of all waiting pushes with one key only the last is asked to absorb.
    fn key(&self) -> u64;

    /// Takes `later`, of any type but with the same key, into itself and says so; or leaves it as it is and returns false.
    fn absorb(&mut self, later: &mut dyn Any) -> bool;

    /// The frame it stands for; `None` if it has no form on the wire.
    fn to_frame(&self) -> Option<Frame>;
}

/// What waits, in order.
#[derive(Default)]
pub(super) struct Lane {
    items: VecDeque<Item>,
    frames: usize,
    bytes: usize,
}

pub(super) enum Item {
    Frame(Frame),
    Mergeable(Box<dyn Mergeable>),
    /// A place behind what was pushed before; takes no room.
    Mark(u64),
}

impl Lane {
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Places for items that it keeps in memory.
    pub(super) fn places(&self) -> usize {
        self.items.capacity()
    }

    #[inline]
    pub(super) fn frames(&self) -> usize {
        self.frames
    }

    #[inline]
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    #[inline]
    pub(super) fn add(&mut self, item: Item) {
        self.frames += item.frames();
        self.bytes += item.size();
        self.items.push_back(item);
    }

    /// Adds a mark, in the place of one that nothing followed: there are never more marks than frames and one.
    pub(super) fn mark(&mut self, mark: u64) {
        match self.items.back_mut() {
            Some(Item::Mark(last)) => *last = mark.max(*last),
            _ => self.add(Item::Mark(mark)),
        }
    }

    pub(super) fn append(&mut self, later: Self) {
        self.frames += later.frames;
        self.bytes += later.bytes;
        self.items.extend(later.items);
    }

    /// Takes the next one; only a mark unless `frames_too`.
    #[inline]
    pub(super) fn pop(&mut self, frames_too: bool) -> Option<Item> {
        if !frames_too && !matches!(self.items.front(), Some(Item::Mark(_))) {
            return None;
        }
        let item = self.items.pop_front()?;
        self.frames -= item.frames();
        self.bytes = self.bytes.saturating_sub(item.size());
        Some(item)
    }

    /// Lets the last waiting push with its key take `push` in.
    pub(super) fn absorb(&mut self, push: &mut dyn Mergeable, max_bytes: usize) -> bool {
        if self.bytes + push.size() > max_bytes {
            return false;
        }
        let last = self.items.iter_mut().rev().find_map(|item| match item {
            Item::Mergeable(last) if last.key() == push.key() => Some(last),
            _ => None,
        });
        let Some(last) = last else { return false };
        let before = last.size();
        let absorbed = last.absorb(push);
        self.bytes = self.bytes.saturating_sub(before) + last.size();
        absorbed
    }
}

impl Item {
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Frame(frame) => frame.encoded_len(),
            Self::Mergeable(push) => push.size(),
            Self::Mark(_) => 0,
        }
    }

    fn frames(&self) -> usize {
        usize::from(!matches!(self, Self::Mark(_)))
    }
}
