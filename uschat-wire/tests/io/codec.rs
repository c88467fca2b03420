//! The tokio-util codec on a real stream.

use bytes::BytesMut;
use futures_util::{SinkExt, StreamExt};
use tokio::io::AsyncWriteExt;
use tokio_util::codec::{Decoder, Encoder, Framed, FramedRead};
use uschat_wire::{CodecError, DecodeError, EncodeError, Frame, FrameCodec, Limits};

#[tokio::test]
async fn frames_cross_a_stream_smaller_than_one_of_them() {
    let (near, far) = tokio::io::duplex(64);
    let mut near = Framed::new(near, FrameCodec::default());
    let mut far = Framed::new(far, FrameCodec::default());
    let frames = [Frame::new(1005, "{}"), Frame::new(1023, ""), Frame::new(1017, vec![9; 30_000])];

    let send = async {
        for frame in frames.clone() {
            near.send(frame).await.unwrap();
        }
        near.close().await.unwrap();
    };
    let receive = async {
        let mut received = Vec::new();
        while let Some(frame) = far.next().await {
            received.push(frame.unwrap());
        }
        received
    };
    let ((), received) = tokio::join!(send, receive);
    assert_eq!(received, frames);
}

#[tokio::test]
async fn a_stream_that_ends_inside_a_frame_is_an_error() {
    for (bytes, expected_missing) in [(&b"\x00"[..], 3), (b"\x00\x01\x00\x05ab", 3)] {
        let mut reader = FramedRead::new(bytes, FrameCodec::default());
        let error = reader.next().await.unwrap().unwrap_err();
        let CodecError::UnexpectedEof { received, missing } = error else {
            panic!("{error:?}");
        };
        assert_eq!((received, missing), (bytes.len(), expected_missing));
    }
}

#[test]
fn a_stream_that_ends_inside_a_refused_frame_is_an_error_too() {
    let mut codec = FrameCodec::new(Limits::default().only_known([1]));
    let mut buf = BytesMut::from(&b"\x00\x09\x00\x05ab"[..]);
    let unknown = codec.decode_eof(&mut buf).unwrap_err();
    assert!(matches!(unknown, CodecError::Decode(DecodeError::UnknownId { id: 9, .. })));
    let cut = codec.decode_eof(&mut buf).unwrap_err();
    assert!(matches!(cut, CodecError::UnexpectedEof { received: 0, missing: 3 }), "{cut:?}");

    let mut buf = BytesMut::from(&b"cde"[..]);
    assert_eq!(codec.decode_eof(&mut buf).unwrap(), None);
}

#[test]
fn at_the_end_whole_frames_come_before_the_verdict() {
    let mut codec = FrameCodec::default();
    let mut buf = BytesMut::from(&b"\x00\x01\x00\x01a\x00\x02\x00\x00"[..]);
    assert_eq!(codec.decode_eof(&mut buf).unwrap().unwrap().id, 1);
    assert_eq!(codec.decode_eof(&mut buf).unwrap().unwrap().id, 2);
    assert_eq!(codec.decode_eof(&mut buf).unwrap(), None);
}

#[tokio::test]
async fn a_refused_frame_ends_the_stream_for_good() {
    let (mut near, far) = tokio::io::duplex(64);
    let limits = Limits::default().max_body(4);
    let mut reader = FramedRead::new(far, FrameCodec::new(limits));

    near.write_all(b"\x00\x01\x00\x05hello").await.unwrap();
    let refused =
        |error| matches!(error, CodecError::Decode(DecodeError::BodyTooLong { id: 1, len: 5, max: 4, offset: 0 }));
    assert!(refused(reader.next().await.unwrap().unwrap_err()));
    assert!(reader.next().await.is_none());

    // `FramedRead` may be polled again after its `None`.
    near.write_all(b"\x00\x01\x00\x00").await.unwrap();
    assert!(refused(reader.next().await.unwrap().unwrap_err()));
}

#[test]
fn a_frame_too_long_to_send_leaves_the_output_alone() {
    let mut codec = FrameCodec::default();
    let mut out = BytesMut::from(&b"earlier"[..]);
    let error = codec.encode(Frame::new(1, vec![0; 65_536]), &mut out).unwrap_err();
    assert!(matches!(error, CodecError::Encode(EncodeError::BodyTooLong { len: 65_536, .. })));
    assert_eq!(&out[..], b"earlier");
}

#[test]
fn the_receive_limit_does_not_bind_the_sender() {
    let mut codec = FrameCodec::new(Limits::default().max_body(10));
    let mut out = BytesMut::new();
    codec.encode(Frame::new(1, vec![0; 65_535]), &mut out).unwrap();
    assert_eq!(out.len(), 65_539);
}
