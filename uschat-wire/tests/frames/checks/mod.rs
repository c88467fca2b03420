//! Every way to decode and every way to encode, each compared with the reference.

pub(crate) mod decoders;
pub(crate) mod encoders;
#[cfg(feature = "tokio")]
mod framed;

use uschat_wire::{ByteOrder, Layout, Limits};

use crate::reference::{Rules, Shape};

/// Rules, for the reference and for the crate.
#[derive(Debug, Clone)]
pub(crate) struct Bounds {
    pub(crate) rules: Rules,
    pub(crate) limits: Limits,
}

impl Bounds {
    pub(crate) fn new(rules: Rules) -> Self {
        let mut limits = Limits::default().max_body(rules.max_body as usize);
        for &(id, max) in &rules.exceptions {
            limits = limits.max_body_of(id, max as usize);
        }
        if let Some(known) = &rules.known {
            limits = limits.only_known(known.iter().copied());
        }
        Self { rules, limits }
    }
}

/// The layout as the reference wants it.
pub(crate) fn shape<L: Layout>() -> Shape {
    Shape {
        id_len: L::ID_LEN,
        length_len: L::LENGTH_LEN,
        little_endian: L::BYTE_ORDER == ByteOrder::LittleEndian,
        counts_header: L::LENGTH_COUNTS_HEADER,
    }
}

/// Cuts `bytes` into pieces of these sizes, over and over; one piece if no size is above zero.
pub(crate) fn pieces<'a>(mut bytes: &'a [u8], sizes: &'a [usize]) -> impl Iterator<Item = &'a [u8]> {
    let endless: &[usize] = if sizes.iter().any(|&size| size > 0) { sizes } else { &[usize::MAX] };
    let mut sizes = endless.iter().cycle();
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let size = (*sizes.next()?).min(bytes.len());
        let (piece, rest) = bytes.split_at(size);
        bytes = rest;
        Some(piece)
    })
}

/// Any layout there can be.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct AnyLayout<const ID: usize, const LENGTH: usize, const LITTLE: bool, const COUNTED: bool>;

impl<const ID: usize, const LENGTH: usize, const LITTLE: bool, const COUNTED: bool> Layout
    for AnyLayout<ID, LENGTH, LITTLE, COUNTED>
{
    const ID_LEN: usize = ID;
    const LENGTH_LEN: usize = LENGTH;
    const BYTE_ORDER: ByteOrder = if LITTLE { ByteOrder::LittleEndian } else { ByteOrder::BigEndian };
    const LENGTH_COUNTS_HEADER: bool = COUNTED;
}
