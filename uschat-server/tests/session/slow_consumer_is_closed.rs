//! A client that stops reading: pushes beyond the queue's bounds close its session, answers make it wait; nobody else
//! notices.

use std::time::Duration;

use tokio::{
    io::AsyncWriteExt,
    time::{Instant, timeout},
};
use uschat_server::session::{CloseReason, Idle, PushError, SessionConfig};

use crate::app::*;

#[tokio::test(start_paused = true)]
async fn pushes_beyond_the_frames_close_it() {
    let fixture = serve(SessionConfig { outbound_frames: 100, ..SessionConfig::default() });
    let mut other = fixture.log_in(2).await;
    let (_near, session) = connect_deaf(&fixture).await;
    let slow = fixture.session(1);
    let mut pushed = 0;
    let error = loop {
        match slow.push(&Told(pushed)) {
            Ok(()) if pushed > 1_000 => panic!("nobody minds"),
            Ok(()) => pushed += 1,
            Err(error) => break error,
        }
        tokio::task::yield_now().await;
    };
    assert!(matches!(error, PushError::SlowConsumer));
    // The queue, what the writer has in hand, and what the pipe holds.
    assert!((100..=200).contains(&pushed), "{pushed}");
    assert!(matches!(slow.push(&Told(0)), Err(PushError::Closed)));
    assert!(matches!(session.await.unwrap(), CloseReason::SlowConsumer));
    assert!(fixture.server.sessions().of(&1).is_none());
    other.send(&Echo(3)).await;
    assert_eq!(other.receive::<Echoed>().await, Echoed(3));
}

#[tokio::test(start_paused = true)]
async fn pushes_beyond_the_bytes_close_it() {
    let fixture = serve(SessionConfig { outbound_bytes: 200, ..SessionConfig::default() });
    let (_near, session) = connect_deaf(&fixture).await;
    let slow = fixture.session(1);
    let pushed = (0..1_000).take_while(|number| slow.push(&Told(*number)).is_ok()).count();
    assert!((20..60).contains(&pushed), "{pushed}");
    assert!(matches!(session.await.unwrap(), CloseReason::SlowConsumer));
}

#[tokio::test(start_paused = true)]
async fn it_ends_at_once_even_with_answers_that_wait_for_room() {
    let fixture = serve(SessionConfig { outbound_frames: 10, ..SessionConfig::default() });
    let (mut near, session) = connect_deaf(&fixture).await;
    near.write_all(&bytes_of(&Defer(0))).await.unwrap();
    for number in 0..100 {
        if timeout(Duration::from_millis(1), near.write_all(&bytes_of(&Echo(number)))).await.is_err() {
            break;
        }
    }
    fixture.app.open(0);
    tokio::time::sleep(Duration::from_millis(10)).await;
    let since = Instant::now();
    assert!(matches!(fixture.session(1).push(&Told(0)), Err(PushError::SlowConsumer)));
    assert!(matches!(session.await.unwrap(), CloseReason::SlowConsumer));
    assert!(since.elapsed() < Duration::from_millis(100), "{:?}", since.elapsed());
    fixture.assert_nothing_left();
}

#[tokio::test(start_paused = true)]
async fn answers_wait_and_the_session_reads_no_further() {
    const REQUESTS: u32 = 5_000;
    let config = SessionConfig { outbound_frames: 10, idle: Idle::After(Duration::from_secs(5)), ..Default::default() };
    let fixture = serve(config);
    let (near, _session) = connect_deaf(&fixture).await;
    let (mut reading, mut writing) = tokio::io::split(near);
    let sending = tokio::spawn(async move {
        for number in 0..REQUESTS {
            writing.write_all(&bytes_of(&Echo(number))).await.unwrap();
        }
        writing
    });
    // Longer than silence may last, shorter than a write: a session that the server does not read counts as alive.
    tokio::time::sleep(Duration::from_secs(15)).await;
    assert!(!sending.is_finished());
    assert!(fixture.app.journal().len() < 100, "{}", fixture.app.journal().len());

    let mut expected = bytes_of(&LoggedIn(1));
    (0..REQUESTS).for_each(|number| expected.extend(bytes_of(&Echoed(number))));
    let mut seen = vec![0; expected.len()];
    tokio::io::AsyncReadExt::read_exact(&mut reading, &mut seen).await.unwrap();
    assert!(seen == expected, "every request was answered, in order");
    sending.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_write_that_makes_no_end_closes_it() {
    let fixture = serve(SessionConfig::default());
    let (_near, session) = connect_deaf(&fixture).await;
    let since = Instant::now();
    (0..100).for_each(|number| fixture.session(1).push(&Told(number)).unwrap());
    assert!(matches!(session.await.unwrap(), CloseReason::WriteDeadline));
    assert_eq!(since.elapsed().as_secs(), SessionConfig::default().write.as_secs());
    fixture.assert_nothing_left();
}
