//! What the chaos proxy does at random, it does again with the same seed.

use tokio::{io::AsyncWriteExt, net::TcpStream};
use tokio_util::sync::CancellationToken;
use uschat_examples::chaos::{Chaos, ChaosConfig, Direction, Fault};

use crate::harness::{Link, chaos_to, echo_server, pattern, read_exactly};

const BYTES: usize = 20_000;

/// What three connections in a row get back through a noisy proxy, when they write so many bytes at a time.
async fn noise(seed: u64, chunk: usize) -> Vec<Vec<u8>> {
    let config = ChaosConfig::to(echo_server().await).seed(seed);
    let chaos = Chaos::start(config, CancellationToken::new()).await.unwrap();
    assert_eq!(chaos.seed(), seed);
    chaos.set(Direction::Both, [Fault::Corrupt { probability: 0.002 }]);
    let mut all = Vec::new();
    for _ in 0..3 {
        let mut client = TcpStream::connect(chaos.address()).await.unwrap();
        for bytes in pattern(BYTES).chunks(chunk) {
            client.write_all(bytes).await.unwrap();
            tokio::task::yield_now().await;
        }
        all.push(read_exactly(&mut client, BYTES).await);
    }
    let seen = chaos.stop().await;
    let flipped = all.iter().flat_map(|bytes| flips(bytes)).count() as u64;
    // A bit that was flipped on both ways is as it was.
    assert!(flipped > 0 && flipped.abs_diff(seen.to_server.flipped_bits + seen.to_client.flipped_bits) % 2 == 0);
    all
}

/// The offsets of the changed bits.
fn flips(bytes: &[u8]) -> Vec<usize> {
    let changed = bytes.iter().zip(pattern(bytes.len())).map(|(after, before)| after ^ before);
    changed
        .enumerate()
        .flat_map(|(at, bits)| (0..8).filter(move |bit| bits >> bit & 1 == 1).map(move |bit| at * 8 + bit))
        .collect()
}

#[tokio::test]
async fn the_same_seed_gives_the_same_faults() {
    let first = noise(42, BYTES).await;
    assert_eq!(first, noise(42, BYTES).await);
    assert_eq!(first, noise(42, 700).await, "however the bytes are written");
    assert_ne!(first, noise(43, BYTES).await);
    assert!(first[0] != first[1] && first[1] != first[2], "each connection has faults of its own");
}

#[tokio::test]
async fn without_a_seed_each_run_is_another() {
    let server = echo_server().await;
    let seed = async || Chaos::start(ChaosConfig::to(server), CancellationToken::new()).await.unwrap().seed();
    assert_ne!(seed().await, seed().await);
}

#[tokio::test]
async fn exactly_one_bit_is_flipped_at_the_chosen_place() {
    let mut link = Link::new().await;
    link.chaos.set(Direction::ToServer, [Fault::CorruptAt { offset: 77, bit: 5 }]);
    link.client.write_all(&pattern(200)).await.unwrap();
    let seen = read_exactly(&mut link.server, 200).await;
    assert_eq!(flips(&seen), [77 * 8 + 5]);
    // Once in a connection, and in this direction only.
    link.client.write_all(&pattern(200)).await.unwrap();
    assert!(read_exactly(&mut link.server, 200).await == pattern(200));
    link.server.write_all(&pattern(200)).await.unwrap();
    assert!(read_exactly(&mut link.client, 200).await == pattern(200));
    assert_eq!(link.chaos.stop().await.to_server.flipped_bits, 1);
}

#[tokio::test]
async fn certain_corruption_flips_one_bit_of_every_byte() {
    let chaos = chaos_to(echo_server().await).await;
    chaos.set(Direction::ToServer, [Fault::Corrupt { probability: 1.0 }]);
    let mut client = TcpStream::connect(chaos.address()).await.unwrap();
    client.write_all(&pattern(1_000)).await.unwrap();
    let bits = flips(&read_exactly(&mut client, 1_000).await);
    assert!(bits.iter().map(|bit| bit / 8).eq(0..1_000), "one in each");
}
