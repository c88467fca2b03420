//! Senders on many threads, one writer, a real socket: every frame arrives, once, whole, and in its sender's order.

use tokio::net::{TcpListener, TcpStream};
use uschat_wire::{FrameReader, FrameWriter, Limits, WriterConfig};

use crate::sockets::soon;

const SENDERS: u16 = 8;
const FRAMES: u32 = 10_000;

/// A body that tells its number, and is checked byte for byte.
fn body(sender: u16, number: u32) -> Vec<u8> {
    let mut body = vec![number as u8 ^ sender as u8; 4 + (number % 150) as usize];
    body[..4].copy_from_slice(&number.to_be_bytes());
    body
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn every_frame_arrives_once_and_in_its_senders_order() {
    for config in [
        WriterConfig::default(),
        WriterConfig { max_bytes: 500, ..WriterConfig::default() },
        WriterConfig { max_frames: 3, ..WriterConfig::default() },
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
        let (sender, mut writer) = FrameWriter::new(near.unwrap(), config);
        let writing = tokio::spawn(async move { writer.run().await });
        let sending: Vec<_> = (0..SENDERS)
            .map(|id| {
                let sender = sender.clone();
                tokio::spawn(async move {
                    for number in 0..FRAMES {
                        sender.send(id, &body(id, number)).await.unwrap();
                    }
                })
            })
            .collect();
        drop(sender);

        let mut reader = FrameReader::new(far.unwrap().0, Limits::default());
        let mut next = [0; SENDERS as usize];
        let mut received = 0;
        while received < u32::from(SENDERS) * FRAMES {
            for frame in soon(reader.frames()).await.unwrap().expect("ended early") {
                let frame = frame.unwrap();
                let number = &mut next[usize::from(frame.id)];
                assert_eq!(frame.body, body(frame.id, *number));
                *number += 1;
                received += 1;
            }
        }
        assert_eq!(next, [FRAMES; SENDERS as usize]);
        for task in sending {
            soon(task).await.unwrap();
        }
        soon(writing).await.unwrap().unwrap();
    }
}
