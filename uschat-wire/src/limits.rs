//! What one direction of a connection may carry.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use crate::layout::Header;

/// The original C++ servers keep lengths in a signed 16-bit integer, so this is
/// the longest body they can announce.
const DEFAULT_MAX_BODY: usize = i16::MAX as usize;
/// No layout can announce more.
const MAX_IN_ANY_LAYOUT: usize = i32::MAX as usize;

/// What one direction of a connection may carry: the longest body, exceptions
/// for single ids, and which ids there are.
///
/// A receiver and a sender each have limits of their own. Whatever they allow,
/// no body is longer than a header can announce.
///
/// ```
/// use uschat_wire::{DecodeError, FrameDecoder, Limits};
///
/// const LOGIN: u16 = 1005;
/// const TEXT: u16 = 1017;
/// const HEARTBEAT: u16 = 1023;
/// let limits = Limits::default()
///     .max_body(1024)
///     .max_body_of(LOGIN, 512)
///     .max_body_of(TEXT, 16 * 1024)
///     .only_known([HEARTBEAT]);
///
/// let mut decoder = FrameDecoder::new(limits);
/// let mut frames = decoder.frames(b"\x0F\xFF\x00\x00\x03\xFF\x00\x00");
/// let unknown = frames.next().unwrap().unwrap_err();
/// assert_eq!(unknown, DecodeError::UnknownId { id: 4095, len: 0, offset: 0 });
/// assert!(unknown.can_continue());
/// assert_eq!(frames.next().unwrap()?.id, HEARTBEAT);
/// # Ok::<(), DecodeError>(())
/// ```
///
/// # Cost
///
/// A check is one comparison; with exceptions, one look-up more. Clones share
/// the table of exceptions, so give each connection a clone of one value. The
/// table has 8 bytes for each id from the lowest to the highest one named.
#[derive(Clone, PartialEq, Eq)]
pub struct Limits {
    max_body: u32,
    /// Bodies shorter than this are accepted whatever their id: zero with
    /// exceptions.
    bound_of_all: u32,
    exceptions: Option<Arc<Exceptions>>,
}

impl Limits {
    /// As much as the layout can express, under any id.
    pub const fn unrestricted() -> Self {
        Self { max_body: MAX_IN_ANY_LAYOUT as u32, bound_of_all: MAX_IN_ANY_LAYOUT as u32 + 1, exceptions: None }
    }

    /// Sets the longest body of ids without an exception, in bytes. Default
    /// 32,767: the longest one that the original C++ servers, which keep lengths
    /// in signed 16-bit integers, can announce (PROTOCOL.md). Zero admits only
    /// empty bodies.
    #[must_use]
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.max_body = in_any_layout(bytes);
        if self.exceptions.is_none() {
            self.bound_of_all = self.max_body + 1;
        }
        self
    }

    /// Sets the longest body of this id, in bytes. It may be more than the
    /// common one. The id counts as known.
    #[must_use]
    pub fn max_body_of(mut self, id: u16, bytes: usize) -> Self {
        self.exceptions_mut().insert(id, Rule::MaxBody(in_any_layout(bytes)));
        self
    }

    /// Refuses every id but these, those of earlier calls, and those with a
    /// length of their own.
    #[must_use]
    pub fn only_known(mut self, ids: impl IntoIterator<Item = u16>) -> Self {
        let exceptions = self.exceptions_mut();
        exceptions.only_known = true;
        for id in ids {
            if exceptions.rule(id) == Rule::Unnamed {
                exceptions.insert(id, Rule::Known);
            }
        }
        self
    }

    /// The longest body of ids without an exception, in bytes.
    #[inline]
    pub fn max_body_len(&self) -> usize {
        self.max_body as usize
    }

    /// The longest body of this id, in bytes, or `None` if the id is refused.
    #[inline]
    pub fn max_body_len_of(&self, id: u16) -> Option<usize> {
        self.max_of(id).map(|max| max as usize)
    }

    /// Bodies shorter than this are accepted whatever their id.
    pub(crate) const fn bound_of_all(&self) -> u32 {
        self.bound_of_all
    }

    #[inline]
    pub(crate) fn accept(&self, header: Header) -> bool {
        self.max_of(header.id).is_some_and(|max| header.body_len <= max)
    }

    #[inline]
    fn max_of(&self, id: u16) -> Option<u32> {
        let Some(exceptions) = &self.exceptions else {
            return Some(self.max_body);
        };
        match exceptions.rule(id) {
            Rule::MaxBody(max) => Some(max),
            Rule::Unnamed if exceptions.only_known => None,
            Rule::Unnamed | Rule::Known => Some(self.max_body),
        }
    }

    fn exceptions_mut(&mut self) -> &mut Exceptions {
        self.bound_of_all = 0;
        Arc::make_mut(self.exceptions.get_or_insert_default())
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::unrestricted().max_body(DEFAULT_MAX_BODY)
    }
}

impl fmt::Debug for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exceptions = self.exceptions.as_deref();
        f.debug_struct("Limits")
            .field("max_body", &self.max_body)
            .field("only_known", &exceptions.is_some_and(|exceptions| exceptions.only_known))
            .field("named_ids", &exceptions.map_or(0, |exceptions| exceptions.named().count()))
            .finish()
    }
}

fn in_any_layout(bytes: usize) -> u32 {
    bytes.min(MAX_IN_ANY_LAYOUT) as u32
}

/// What does not hold for all ids alike.
#[derive(Debug, Clone, Default)]
struct Exceptions {
    /// Whether ids without a rule are refused.
    only_known: bool,
    /// `rules` has those of the ids from here on, one after another.
    first: u16,
    rules: Vec<Rule>,
}

/// What holds for one id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// It was not named.
    Unnamed,
    /// It exists and has the common maximum.
    Known,
    /// It exists and has a maximum of its own.
    MaxBody(u32),
}

impl Exceptions {
    #[inline]
    fn rule(&self, id: u16) -> Rule {
        let index = usize::from(id.wrapping_sub(self.first));
        self.rules.get(index).copied().unwrap_or(Rule::Unnamed)
    }

    fn insert(&mut self, id: u16, rule: Rule) {
        if self.rules.is_empty() {
            self.first = id;
        }
        if id < self.first {
            let missing = usize::from(self.first - id);
            self.rules.splice(..0, core::iter::repeat_n(Rule::Unnamed, missing));
            self.first = id;
        }
        let index = usize::from(id - self.first);
        if index >= self.rules.len() {
            self.rules.resize(index + 1, Rule::Unnamed);
        }
        self.rules[index] = rule;
    }

    /// The ids that have a rule, and it.
    fn named(&self) -> impl Iterator<Item = (u16, Rule)> {
        (self.first..=u16::MAX).zip(self.rules.iter().copied()).filter(|&(_, rule)| rule != Rule::Unnamed)
    }
}

/// The order of the calls that named the ids leaves no trace.
impl PartialEq for Exceptions {
    fn eq(&self, other: &Self) -> bool {
        self.only_known == other.only_known && self.named().eq(other.named())
    }
}

impl Eq for Exceptions {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_above_what_any_layout_can_say_means_that() {
        let max_of = |bytes| Limits::default().max_body(bytes).max_body_len();
        assert_eq!(max_of(0), 0);
        assert_eq!(max_of(65_535), 65_535);
        assert_eq!(max_of(usize::MAX), 2_147_483_647);
        assert_eq!(Limits::default().max_body_of(1, usize::MAX).max_body_len_of(1), Some(2_147_483_647));
    }

    #[test]
    fn exceptions_hold_for_their_id_alone_whatever_the_order() {
        for ids in [[1005, 1017, 3001], [3001, 1005, 1017], [65_535, 0, 1005]] {
            let limits = ids
                .iter()
                .fold(Limits::default().max_body(100), |limits, &id| limits.max_body_of(id, usize::from(id) + 1));
            for id in 0..=u16::MAX {
                let expected = if ids.contains(&id) { usize::from(id) + 1 } else { 100 };
                assert_eq!(limits.max_body_len_of(id), Some(expected), "{id}");
                let expected = expected as u32;
                let accept = |body_len| limits.accept(Header { id, body_len });
                assert!(accept(expected) && !accept(expected + 1), "{id}");
            }
        }
    }

    #[test]
    fn an_unknown_id_is_refused_even_with_an_empty_body() {
        let limits = Limits::default().only_known([5, 7]).max_body_of(9, 3).only_known([9, 11]);
        let known: Vec<u16> = (0..=u16::MAX).filter(|&id| limits.accept(Header { id, body_len: 0 })).collect();
        assert_eq!(known, [5, 7, 9, 11]);
        assert_eq!(limits.max_body_len_of(9), Some(3));
        assert_eq!(limits.max_body_len_of(6), None);
        assert!(!Limits::default().only_known([]).accept(Header { id: 0, body_len: 0 }));
    }

    #[test]
    fn a_later_common_maximum_holds_for_known_ids_too() {
        let limits = Limits::default().only_known([5]).max_body(10);
        assert_eq!(limits.max_body_len_of(5), Some(10));
    }

    #[test]
    fn equal_limits_are_equal_however_they_were_made() {
        let forth = Limits::default().max_body_of(1, 10).max_body_of(9, 20);
        let back = Limits::default().max_body_of(9, 20).max_body_of(1, 10);
        assert_eq!(forth, back);
        assert_ne!(forth, back.clone().max_body_of(2, 10));
        assert_ne!(forth, back.only_known([]));
    }

    #[test]
    fn debug_is_short() {
        let limits = Limits::default().max_body_of(1, 10).max_body_of(9000, 20);
        assert_eq!(alloc::format!("{limits:?}"), "Limits { max_body: 32767, only_known: false, named_ids: 2 }");
    }
}
