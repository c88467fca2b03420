//! A reader that waits holds nothing but what it received.

use uschat_wire::{Frame, FrameReader, Id16Length32, Limits};

use crate::sockets::{Arrival, Script, run_until_stalled};

fn reader_after(bytes: &[u8]) -> FrameReader<Script> {
    let script = Script::new([Arrival::Bytes(bytes.to_vec())]).then_silence();
    let mut reader = FrameReader::new(script, Limits::unrestricted());
    while let Some(frame) = run_until_stalled(reader.next()) {
        frame.expect("readable");
    }
    reader
}

#[test]
fn between_frames_nothing_is_held() {
    assert_eq!(FrameReader::new(Script::default(), Limits::default()).capacity(), 0);
    assert_eq!(reader_after(b"").capacity(), 0);
    let frames: Vec<_> = (0..1000).map(|id| Frame::new(id, vec![7; 100])).collect();
    assert_eq!(reader_after(&crate::sockets::stream_of(&frames)).capacity(), 0);
}

#[test]
fn a_large_frame_leaves_nothing_behind() {
    let reader = reader_after(&crate::sockets::stream_of(&[Frame::new(1, vec![1; 65_535]), Frame::new(2, "")]));
    assert_eq!(reader.capacity(), 0);
}

#[test]
fn at_the_end_of_the_stream_nothing_is_held() {
    let mut reader = FrameReader::new(&b"\x00\x01\x00\x00"[..], Limits::default());
    assert!(run_until_stalled(reader.next()).unwrap().unwrap().is_some());
    assert!(run_until_stalled(reader.next()).unwrap().unwrap().is_none());
    assert_eq!(reader.capacity(), 0);
}

#[test]
fn ten_thousand_readers_with_three_bytes_each_hold_thirty_thousand() {
    let readers: Vec<_> = (0..10_000).map(|_| reader_after(b"\x00\x01\xFF")).collect();
    assert!(readers.iter().all(FrameReader::is_mid_frame));
    assert_eq!(readers.iter().map(FrameReader::capacity).sum::<usize>(), 30_000);
}

#[test]
fn up_to_four_kib_of_an_unfinished_frame_are_held_in_as_many_bytes() {
    for len in [1, 3, 4, 100, 4096, 5000, 20_000, 60_000] {
        let mut bytes = vec![7; len];
        bytes[..4.min(len)].copy_from_slice(&b"\x00\x01\xFF\xFF"[..4.min(len)]);
        let capacity = reader_after(&bytes).capacity();
        let allowed = if len <= 4096 { len } else { (4 * len).max(96 * 1024) };
        assert!(capacity <= allowed, "{len}: {capacity}");
    }
}

#[test]
fn an_announced_length_costs_no_memory_and_a_long_frame_at_most_four_times_what_came() {
    let script = Script::new([Arrival::Bytes(b"\x00\x01\x7F\xFF\xFF\xFF".to_vec())]).then_silence();
    let mut reader = FrameReader::<_, Id16Length32>::with_layout(script, Limits::unrestricted());
    assert!(run_until_stalled(reader.frames()).is_none());
    assert_eq!(reader.capacity(), 6);
    for megabyte in 1..=20 {
        reader.get_mut().arrivals.push_back(Arrival::Bytes(vec![0; 1 << 20]));
        assert!(run_until_stalled(reader.frames()).is_none());
        assert!(reader.capacity() <= 4 * (megabyte << 20), "{megabyte}: {}", reader.capacity());
    }
}

#[test]
fn an_unknown_frame_is_thrown_away_as_it_comes() {
    let limits = Limits::default().only_known([]).max_body(1 << 30);
    let script = Script::new([Arrival::Bytes(b"\x00\x01\x3F\xFF\xFF\xFF".to_vec())]).then_silence();
    let mut reader = FrameReader::<_, Id16Length32>::with_layout(script, limits);
    assert!(run_until_stalled(reader.next()).unwrap().is_err());
    for _ in 0..50 {
        reader.get_mut().arrivals.push_back(Arrival::Bytes(vec![0; 100_000]));
        assert!(run_until_stalled(reader.next()).is_none());
        assert_eq!(reader.capacity(), 0);
        assert!(reader.is_mid_frame());
    }
}

#[test]
fn a_reader_moves_on_with_its_unfinished_frame() {
    let mut reader = reader_after(b"\x00\x01\x00\x05he");
    assert_eq!(reader.capacity(), 6);
    reader.get_mut().arrivals.push_back(Arrival::Bytes(b"llo\x00\x02".to_vec()));
    assert_eq!(run_until_stalled(reader.next()).unwrap().unwrap().unwrap().body, b"hello");
    assert!(run_until_stalled(reader.next()).is_none());
    assert_eq!(reader.capacity(), 2);
}
