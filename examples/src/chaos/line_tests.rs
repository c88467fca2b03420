#![allow(clippy::unwrap_used, reason = "tests only")]

use std::time::Duration;

use tokio::time::Instant;

use super::{
    super::{Direction, End, Fault, fault::Faults, seed::Seed},
    Line, Step,
};

const MS: Duration = Duration::from_millis(1);

fn line(bound: usize) -> Line {
    seeded(bound, 1, 0)
}

fn seeded(bound: usize, seed: u64, connection: u64) -> Line {
    Line::new(bound, Seed { seed, connection, direction: Direction::ToServer })
}

fn faults(faults: &[Fault]) -> Faults {
    Faults::new(faults.iter().copied(), 1)
}

/// Writes whatever may leave until nothing more does: when, and which bytes, from `start` on.
fn drain(line: &mut Line, start: Instant, faults: &Faults) -> Vec<(Duration, Vec<u8>)> {
    let (mut now, mut writes) = (start, Vec::new());
    loop {
        match line.step(now, faults) {
            Step::Write(count) => {
                writes.push((now - start, line.front()[..count].to_vec()));
                line.pass(count, now, faults);
            }
            Step::Wait(until) => now = until,
            Step::Idle | Step::End(_) | Step::Cut(_) => return writes,
        }
    }
}

#[test]
fn without_faults_a_read_becomes_a_write_at_once() {
    let (mut line, now, none) = (line(10), Instant::now(), Faults::default());
    line.push(b"abc".to_vec(), now, &none);
    line.push(b"de".to_vec(), now, &none);
    assert_eq!(line.room(), 5);
    assert_eq!(drain(&mut line, now, &none), [(Duration::ZERO, b"abc".to_vec()), (Duration::ZERO, b"de".to_vec())]);
    assert_eq!((line.room(), line.step(now, &none)), (10, Step::Idle));
    line.push_end(End::Fin, now, &none);
    assert_eq!((line.room(), line.step(now, &none)), (0, Step::End(End::Fin)));
    line.push_end(End::Reset, now, &none);
    assert_eq!(line.step(now, &none), Step::End(End::Reset));
}

#[test]
fn a_line_takes_no_more_than_its_bound_nor_a_chunk_for_every_byte() {
    let (now, none) = (Instant::now(), Faults::default());
    let mut few = line(8);
    few.push(vec![0; 8], now, &none);
    assert_eq!(few.room(), 0);
    let mut many = line(1 << 20);
    let mut chunks = 0;
    while many.room() > 0 {
        many.push(vec![0], now, &none);
        chunks += 1;
    }
    assert_eq!(chunks, Line::CHUNKS);
}

#[test]
fn a_delay_counts_from_the_arrival_of_each_read() {
    let (mut line, start) = (line(100), Instant::now());
    let late = faults(&[Fault::Delay { base: 200 * MS, jitter: Duration::ZERO }]);
    line.push(b"a".to_vec(), start, &late);
    line.push(b"b".to_vec(), start + 50 * MS, &late);
    assert_eq!(drain(&mut line, start, &late), [(200 * MS, b"a".to_vec()), (250 * MS, b"b".to_vec())]);
}

#[test]
fn jitter_stays_in_its_range_and_in_order() {
    let late = faults(&[Fault::Delay { base: 200 * MS, jitter: 100 * MS }]);
    let (mut seen, mut overtaken) = (Vec::new(), 0);
    for connection in 0..20 {
        let (mut line, start) = (seeded(100, 1, connection), Instant::now());
        for byte in 0..50 {
            line.push(vec![byte], start, &late);
        }
        let writes = drain(&mut line, start, &late);
        assert!(writes.iter().map(|(_, bytes)| bytes[0]).eq(0..50), "order");
        seen.push(writes[0].0);
        overtaken += usize::from(writes[0].0 == writes[1].0);
    }
    assert!(seen.iter().all(|delay| (100 * MS..=300 * MS).contains(delay)), "{seen:?}");
    assert!(seen.iter().any(|delay| *delay < 180 * MS) && seen.iter().any(|delay| *delay > 220 * MS), "{seen:?}");
    assert!(overtaken > 0, "some second read had the shorter delay and waited for the first");
}

#[test]
fn a_new_delay_concerns_what_is_held() {
    let (mut line, start) = (line(100), Instant::now());
    let hours = faults(&[Fault::Delay { base: Duration::MAX, jitter: Duration::MAX }]);
    line.push(b"a".to_vec(), start, &hours);
    assert!(matches!(line.step(start, &hours), Step::Wait(_)));
    assert_eq!(line.step(start, &Faults::default()), Step::Write(1));
}

#[test]
fn bandwidth_is_exact_but_for_one_portion() {
    for rate in [1_u64, 49, 1_000, 64_000, 10_000_000] {
        let (mut line, start) = (line(1 << 20), Instant::now());
        let slow = faults(&[Fault::Bandwidth { bytes_per_second: rate }]);
        let count = usize::try_from(rate).unwrap().clamp(2, 1 << 20);
        line.push(vec![0; count], start, &slow);
        let writes = drain(&mut line, start, &slow);
        let took = writes.last().unwrap().0.as_secs_f64();
        let portion = writes.iter().map(|(_, bytes)| bytes.len()).max().unwrap();
        assert_eq!(portion as u64, (rate / 50).max(1).min(count as u64), "{rate}");
        // The first portion needs no wait, nor what the line did not use in the 20 ms before.
        let least = (count - portion) as f64 / rate as f64 - 0.02;
        assert!(took >= least - 1e-6 && took <= least + 0.02 + 1e-6, "{rate}: {took} s for {count} bytes");
    }
}

#[test]
fn dribbling_waits_after_each_write_and_composes_with_a_cut() {
    let (mut line, start) = (line(100), Instant::now());
    let dribble = Fault::Dribble { bytes: 2, pause: 5 * MS };
    let both = faults(&[dribble, Fault::Cut { after: 3, end: End::Fin }]);
    line.push(b"abcdef".to_vec(), start, &both);
    assert_eq!(drain(&mut line, start, &both), [(Duration::ZERO, b"ab".to_vec()), (5 * MS, b"c".to_vec())]);
    assert!(matches!(line.step(start, &both), Step::Cut(cut) if cut.end == End::Fin));
    let rest = faults(&[dribble]);
    let writes = drain(&mut line, start, &rest);
    assert_eq!(writes, [(10 * MS, b"de".to_vec()), (15 * MS, b"f".to_vec())]);
}

#[test]
fn a_stall_holds_bytes_and_the_end_and_no_bandwidth_is_a_stall() {
    for stall in [Fault::Stall, Fault::Bandwidth { bytes_per_second: 0 }] {
        let (mut line, now, stalled) = (line(100), Instant::now(), faults(&[stall]));
        line.push(b"abc".to_vec(), now, &stalled);
        line.push_end(End::Fin, now, &stalled);
        assert_eq!(line.step(now, &stalled), Step::Idle);
        assert_eq!(drain(&mut line, now, &Faults::default()).len(), 1);
        assert_eq!(line.step(now, &stalled), Step::Idle);
        assert_eq!(line.step(now, &Faults::default()), Step::End(End::Fin));
    }
}

#[test]
fn corruption_depends_on_the_seed_and_the_offset_not_on_reads() {
    let noisy = faults(&[Fault::Corrupt { probability: 0.01 }]);
    let corrupted = |seed, connection, read: usize| {
        let (mut line, now) = (seeded(1 << 20, seed, connection), Instant::now());
        let flipped: u64 = (0..10_000).step_by(read).map(|_| line.push(vec![0; read], now, &noisy).flipped).sum();
        let bytes: Vec<u8> = drain(&mut line, now, &noisy).into_iter().flat_map(|(_, bytes)| bytes).collect();
        assert_eq!(flipped, bytes.iter().map(|byte| u64::from(byte.count_ones())).sum::<u64>());
        bytes
    };
    let whole = corrupted(1, 0, 10_000);
    let flips = whole.iter().filter(|byte| **byte != 0).count();
    assert!((50..200).contains(&flips), "{flips} of 10,000");
    assert!(whole.iter().all(|byte| byte.count_ones() <= 1));
    assert_eq!(whole, corrupted(1, 0, 100));
    assert_eq!(whole, corrupted(1, 0, 16));
    assert_ne!(whole, corrupted(2, 0, 10_000));
    assert_ne!(whole, corrupted(1, 1, 10_000));
}

#[test]
fn a_probability_may_be_anything() {
    for (probability, expected) in [(0.0, 0), (-1.0, 0), (f64::NAN, 0), (1.0, 64), (f64::INFINITY, 64)] {
        let (mut line, now) = (line(100), Instant::now());
        assert_eq!(line.push(vec![0; 64], now, &faults(&[Fault::Corrupt { probability }])).flipped, expected);
    }
}

#[test]
fn one_chosen_bit_is_flipped_in_whichever_read_it_comes() {
    let (mut line, now) = (line(100), Instant::now());
    let chosen = faults(&[Fault::CorruptAt { offset: 5, bit: 3 }]);
    for read in [3, 4, 2] {
        line.push(vec![0; read], now, &chosen);
    }
    let bytes: Vec<u8> = drain(&mut line, now, &chosen).into_iter().flat_map(|(_, bytes)| bytes).collect();
    assert_eq!(bytes, [0, 0, 0, 0, 0, 8, 0, 0, 0]);
}

#[test]
fn after_a_loss_everything_is_lost() {
    let (mut line, now, none) = (line(100), Instant::now(), Faults::default());
    let hole = faults(&[Fault::BlackHole]);
    line.push(b"held".to_vec(), now, &none);
    assert_eq!(line.swallow(), 4);
    assert_eq!(line.push(b"later".to_vec(), now, &none).swallowed, 5);
    assert!(line.is_lossy() && !line.is_swallowed());
    assert_eq!((line.step(now, &none), line.room()), (Step::Idle, 100));
    line.push_end(End::Fin, now, &none);
    assert!(line.is_swallowed());

    let mut idle = seeded(100, 1, 0);
    assert_eq!(idle.swallow(), 0);
    assert!(!idle.is_lossy(), "nothing was lost");
    idle.push_end(End::Fin, now, &hole);
    assert!(idle.is_swallowed(), "the end was");
}
