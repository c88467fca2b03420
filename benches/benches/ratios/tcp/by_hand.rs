//! What the machine can do: bytes without frames, and frames written and read
//! by loops that can do nothing else.

use std::hint::black_box;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::spawn_local;
use uschat_benches::{FRAME_ID, HEADER_LEN};

use super::Load;

/// Bytes of a read and of a write.
const PIECE: usize = 64 * 1024;
/// Bytes of a batch of frames: what was best of 16 to 256 KiB, because it stays
/// in the first cache.
const BATCH: usize = 40 * 1024;

/// As many bytes as the frames have, in pieces of 64 KiB.
pub(super) async fn raw(load: Load, mut from: TcpStream, mut to: TcpStream) -> usize {
    let frame_len = HEADER_LEN + load.body.len();
    let total = load.frames * frame_len;
    let writer = spawn_local(async move {
        let piece = vec![7; PIECE];
        let mut left = total;
        while left > 0 {
            let len = left.min(PIECE);
            from.write_all(&piece[..len]).await.unwrap();
            left -= len;
        }
    });
    let mut piece = vec![0; PIECE];
    let mut received = 0;
    loop {
        match to.read(&mut piece).await.unwrap() {
            0 => break,
            read => received += read,
        }
    }
    writer.await.unwrap();
    received / frame_len
}

/// One task fills a `Vec` and writes it when it is full; the other parses what
/// a read brought where it lies.
pub(super) async fn batched(load: Load, mut from: TcpStream, mut to: TcpStream) -> usize {
    let writer = spawn_local(async move {
        let body = black_box(&load.body[..]);
        let mut batch = Vec::new();
        for _ in 0..load.frames {
            batch.reserve(HEADER_LEN + body.len());
            batch.extend_from_slice(&((u32::from(FRAME_ID) << 16) | body.len() as u32).to_be_bytes());
            batch.extend_from_slice(body);
            if batch.len() >= BATCH {
                from.write_all(&batch).await.unwrap();
                batch.clear();
            }
        }
        from.write_all(&batch).await.unwrap();
    });
    let max_body = black_box(PIECE);
    let mut buf = vec![0; 2 * PIECE];
    let (mut filled, mut seen) = (0, 0);
    loop {
        match to.read(&mut buf[filled..]).await.unwrap() {
            0 => break,
            read => filled += read,
        }
        let mut rest = &buf[..filled];
        while let Some((&[_, _, c, d], behind)) = rest.split_first_chunk::<HEADER_LEN>() {
            let len = usize::from(u16::from_be_bytes([c, d]));
            assert!(len <= max_body, "a body of {len} bytes");
            let Some((body, behind)) = behind.split_at_checked(len) else {
                break;
            };
            black_box(body.as_ptr());
            seen += 1;
            rest = behind;
        }
        let start = filled - rest.len();
        buf.copy_within(start..filled, 0);
        filled -= start;
    }
    writer.await.unwrap();
    seen
}
