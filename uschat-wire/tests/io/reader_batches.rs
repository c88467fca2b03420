//! One read brings many frames; no byte is lost or doubled, however they come.

use std::io;

use uschat_wire::{ByteOrder, DecodeError, Frame, FrameEncoder, FrameReader, Layout, Limits, ReadError};

use crate::sockets::{Arrival, Script, read_to_end, run_until_stalled, stream_of};

fn frames_of_all_sizes() -> Vec<Frame> {
    [0, 1, 3, 64, 200, 5000, 32_767, 0, 17]
        .iter()
        .zip(1..)
        .map(|(&len, id)| Frame::new(id, vec![id as u8; len]))
        .collect()
}

#[test]
fn all_frames_of_one_read_are_given_without_another() {
    let frames: Vec<_> = (0..100).map(|id| Frame::new(id, vec![1; 60])).collect();
    let script = Script::new([Arrival::Bytes(stream_of(&frames))]).then_silence();
    let mut reader = FrameReader::new(script, Limits::default());
    let batch = run_until_stalled(reader.frames()).unwrap().unwrap().unwrap();
    let ids: Vec<u16> = batch.map(|frame| frame.unwrap().id).collect();
    assert_eq!(ids, (0..100).collect::<Vec<_>>());
    assert_eq!(reader.get_ref().reads, 1);
    assert!(run_until_stalled(reader.frames()).is_none(), "nothing more came");
}

#[test]
fn frames_that_were_not_taken_come_first_and_without_a_read() {
    let script =
        Script::new([Arrival::Bytes(stream_of(&[Frame::new(1, "a"), Frame::new(2, "b"), Frame::new(3, "c")]))]);
    let mut reader = FrameReader::new(script, Limits::default());
    let mut batch = run_until_stalled(reader.frames()).unwrap().unwrap().unwrap();
    assert_eq!(batch.next().unwrap().unwrap().id, 1);
    let next = run_until_stalled(reader.next()).unwrap().unwrap().unwrap();
    assert_eq!((next.id, next.body), (2, &b"b"[..]));
    let batch = run_until_stalled(reader.frames()).unwrap().unwrap().unwrap();
    assert_eq!(batch.count(), 1);
    assert_eq!(reader.get_ref().reads, 1);
    assert!(run_until_stalled(reader.next()).unwrap().unwrap().is_none());
}

#[test]
fn every_cut_gives_the_same_frames_though_each_wait_is_cancelled() {
    let frames = frames_of_all_sizes();
    let stream = stream_of(&frames);
    for piece in [1, 2, 7, 1448, 4097, stream.len()] {
        for read_size in [0, 100, 4096, 65_536] {
            let mut reader =
                FrameReader::new(Script::in_pieces(&stream, piece), Limits::default()).read_size(read_size);
            let (received, end) = read_to_end(&mut reader);
            assert_eq!(received, frames, "pieces of {piece}, reads of {read_size}");
            assert!(end.is_ok());
        }
    }
}

#[test]
fn frame_by_frame_is_the_same() {
    let frames = frames_of_all_sizes();
    let mut reader = FrameReader::new(Script::in_pieces(&stream_of(&frames), 100), Limits::default());
    for frame in frames {
        assert_eq!(run_until_stalled(reader.next()).unwrap().unwrap().unwrap().to_frame(), frame);
    }
    assert!(run_until_stalled(reader.next()).unwrap().unwrap().is_none());
    assert!(run_until_stalled(reader.next()).unwrap().unwrap().is_none(), "the end is the end");
}

#[test]
fn other_layouts() {
    #[derive(Debug, Clone, Copy, Default)]
    struct Meter;
    impl Layout for Meter {
        const ID_LEN: usize = 1;
        const LENGTH_LEN: usize = 4;
        const BYTE_ORDER: ByteOrder = ByteOrder::LittleEndian;
    }

    let frames: Vec<_> = (0..20).map(|id| Frame::new(id, vec![id as u8; 1000 * usize::from(id)])).collect();
    let mut stream = Vec::new();
    let encoder = FrameEncoder::<Meter>::with_layout(Limits::unrestricted());
    for frame in &frames {
        encoder.encode(frame.id, &frame.body, &mut stream).unwrap();
    }
    let mut reader = FrameReader::<_, Meter>::with_layout(Script::in_pieces(&stream, 777), Limits::default());
    assert_eq!(read_to_end(&mut reader).0, frames);
}

#[test]
fn a_frame_far_longer_than_a_read() {
    let frames = [Frame::new(1, vec![1; 65_535]), Frame::new(2, "b"), Frame::new(3, vec![3; 65_535])];
    for read_size in [64, 1000] {
        let script = Script::in_pieces(&stream_of(&frames), 1448);
        let mut reader = FrameReader::new(script, Limits::unrestricted()).read_size(read_size);
        assert_eq!(read_to_end(&mut reader).0, frames);
    }
}

#[test]
fn the_end_inside_a_frame_is_an_error_that_says_what_is_missing() {
    for (bytes, expected) in [(&b"\x00"[..], (1, 3)), (b"\x00\x01\x00\x05", (4, 5)), (b"\x00\x01\x00\x05ab", (6, 3))] {
        let stream = [b"\x00\x09\x00\x00", bytes].concat();
        for piece in [1, stream.len()] {
            let mut reader = FrameReader::new(Script::in_pieces(&stream, piece), Limits::default());
            let (received, end) = read_to_end(&mut reader);
            assert_eq!(received.len(), 1);
            let Err(ReadError::UnexpectedEof { received, missing }) = end else { panic!("{end:?}") };
            assert_eq!((received, missing), expected);
        }
    }
}

#[test]
fn unknown_ids_are_reported_and_stepped_over() {
    let frames = [Frame::new(1, "a"), Frame::new(9, vec![9; 5000]), Frame::new(2, "b"), Frame::new(9, "")];
    let limits = Limits::default().only_known([1, 2]);
    for piece in [1, 7, 100_000] {
        let mut reader = FrameReader::new(Script::in_pieces(&stream_of(&frames), piece), limits.clone());
        let mut seen = Vec::new();
        loop {
            match run_until_stalled(reader.next()).unwrap() {
                Ok(Some(frame)) => seen.push(frame.id),
                Ok(None) => break,
                Err(ReadError::Decode(DecodeError::UnknownId { id, len, .. })) => {
                    assert!((id, len) == (9, 5000) || (id, len) == (9, 0));
                    seen.push(id);
                }
                Err(error) => panic!("{error:?}"),
            }
        }
        assert_eq!(seen, [1, 9, 2, 9], "pieces of {piece}");
        let mut reader = FrameReader::new(Script::in_pieces(&stream_of(&frames), piece), limits.clone());
        let (received, end) = read_to_end(&mut reader);
        assert_eq!(received.iter().map(|frame| frame.id).collect::<Vec<_>>(), [1, 2]);
        assert!(end.is_ok());
    }
}

#[test]
fn the_end_inside_a_frame_that_was_refused_is_an_error_too() {
    let limits = Limits::default().only_known([]);
    for piece in [1, 100] {
        let mut reader = FrameReader::new(Script::in_pieces(b"\x00\x09\x00\x05abc", piece), limits.clone());
        let (_, end) = read_to_end(&mut reader);
        let Err(ReadError::UnexpectedEof { received: 0, missing: 2 }) = end else { panic!("{end:?}") };
        assert!(reader.is_mid_frame());
    }
}

#[test]
fn a_final_error_comes_behind_the_good_frames_and_stays() {
    let stream = b"\x00\x01\x00\x00\x00\x02\x00\x05hello\x00\x03\x00\x00";
    let mut reader = FrameReader::new(&stream[..], Limits::default().max_body(4));
    let refused = DecodeError::BodyTooLong { id: 2, len: 5, max: 4, offset: 4 };
    let batch = run_until_stalled(reader.frames()).unwrap().unwrap().unwrap();
    let items: Vec<_> = batch.map(|frame| frame.map(|frame| frame.id)).collect();
    assert_eq!(items, [Ok(1), Err(refused.clone())]);
    for _ in 0..2 {
        let Err(ReadError::Decode(error)) = run_until_stalled(reader.next()).unwrap() else { panic!("read on") };
        assert_eq!(error, refused);
        let batch = run_until_stalled(reader.frames()).unwrap().unwrap().unwrap();
        let mut items = batch.map(|frame| frame.map(|frame| frame.id));
        assert_eq!((items.next(), items.next()), (Some(Err(refused.clone())), None));
    }
    assert!(!reader.is_mid_frame());
}

#[test]
fn an_error_of_the_transport_loses_no_byte() {
    let script = Script::new([
        Arrival::Bytes(b"\x00\x01\x00".to_vec()),
        Arrival::Error(io::ErrorKind::ConnectionReset),
        Arrival::Bytes(b"\x02hi".to_vec()),
    ]);
    let mut reader = FrameReader::new(script, Limits::default());
    let Err(ReadError::Io(error)) = run_until_stalled(reader.frames()).unwrap() else { panic!("no error") };
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(run_until_stalled(reader.next()).unwrap().unwrap().unwrap().body, b"hi");
}

#[test]
fn mid_frame_is_what_a_timeout_wants_to_know() {
    let mut reader = FrameReader::new(Script::default().then_silence(), Limits::default().only_known([1]));
    let mut after = |bytes: &[u8]| {
        reader.get_mut().arrivals.push_back(Arrival::Bytes(bytes.to_vec()));
        while run_until_stalled(reader.next()).is_some() {}
        reader.is_mid_frame()
    };
    assert!(!after(b"\x00\x01\x00\x01a"), "between frames");
    assert!(after(b"\x00"), "in a header");
    assert!(after(b"\x01\x00\x04abc"), "in a body, four bytes from its end or less");
    assert!(!after(b"d"), "complete");
    assert!(after(b"\x00\x02\x00\x02a"), "in a frame that was refused");
    assert!(!after(b"b"), "behind it");
    assert!(after(b"\x00\x02\x00\x00\x00"), "in the header behind a refused frame");
}

#[test]
fn a_refused_frame_that_is_all_there_does_not_count_as_unfinished() {
    let mut reader = FrameReader::new(&b"\x00\x02\x00\x02ab"[..], Limits::default().only_known([1]));
    assert!(run_until_stalled(reader.next()).unwrap().is_err());
    assert!(!reader.is_mid_frame());
    assert!(run_until_stalled(reader.next()).unwrap().unwrap().is_none());
}

#[test]
fn what_was_read_ahead_can_be_had_back() {
    let mut reader = FrameReader::new(&b"\x00\x01\x00\x00GET /"[..], Limits::default());
    assert_eq!(run_until_stalled(reader.next()).unwrap().unwrap().unwrap().id, 1);
    let (socket, unread) = reader.into_parts();
    assert_eq!((socket, &unread[..]), (&b""[..], &b"GET /"[..]));
}

#[test]
fn debug_shows_no_byte_of_what_was_received() {
    let mut reader = FrameReader::new(&b"\x00\x01\x00\x09hunter2"[..], Limits::default());
    assert!(run_until_stalled(reader.frames()).unwrap().is_err());
    let shown = format!("{reader:?}");
    assert!(shown.contains("buffered: 11"), "{shown}");
    assert!(!shown.contains("104") && !shown.contains("hunter"), "{shown}");
}
