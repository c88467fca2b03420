//! How long handlers take is measured for every message id that has one, and panics are counted.

use std::time::Duration;

use metrics_exporter_prometheus::PrometheusBuilder;
use uschat_server::{session::SessionConfig, testing};

use crate::app::*;

/// What a scraper reads, without what another recorder would add.
fn figures(text: &str, metric: &str) -> Vec<String> {
    let mut lines: Vec<_> = text.lines().filter(|line| line.starts_with(metric)).map(str::to_owned).collect();
    lines.sort();
    lines
}

#[tokio::test(start_paused = true)]
async fn every_handler_is_measured_until_it_returns() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let scraper = recorder.handle();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let fixture = serve(SessionConfig::default());
    let mut client = testing::connect(&fixture.server);
    client.send(&Echo(0)).await;
    assert_eq!(client.receive_frame().await.unwrap().id, 4, "refused: not logged in");
    client.send(&Login(1)).await;
    client.receive::<LoggedIn>().await;
    for number in 1..=3 {
        client.send(&Echo(number)).await;
        client.receive::<Echoed>().await;
    }
    for peculiar in [0, 500, u16::MAX] {
        client.send_frame(peculiar, b"{}").await;
    }
    for gate in [1, 2] {
        if gate == 1 {
            client.send(&Wait(gate)).await
        } else {
            client.send(&Defer(gate)).await
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
        fixture.app.open(gate);
        client.receive_frame().await.unwrap();
    }
    client.close().await;

    let text = scraper.render();
    let counted: Vec<_> = figures(&text, "uschat_handler_seconds_count");
    let expected = [(1, 1), (11, 0), (15, 0), (3, 3), (5, 1), (7, 1), (9, 0)];
    let expected = expected.map(|(id, count)| format!("uschat_handler_seconds_count{{id=\"{id}\"}} {count}"));
    let called: Vec<_> = expected.iter().filter(|line| !line.ends_with(" 0")).cloned().collect();
    assert_eq!(counted.iter().filter(|line| !line.ends_with(" 0")).cloned().collect::<Vec<_>>(), called);
    assert!(counted.iter().all(|line| expected.contains(line)), "no peer makes up ids: {counted:?}");
    let sums = figures(&text, "uschat_handler_seconds_sum");
    let sum = |id: u16| {
        let line =
            sums.iter().find_map(|line| line.strip_prefix(&format!("uschat_handler_seconds_sum{{id=\"{id}\"}} ")));
        line.unwrap().parse::<f64>().unwrap()
    };
    assert!((2.0..2.1).contains(&sum(7)), "the handler waited: {}", sum(7));
    assert!(sum(5) < 0.1, "what it deferred is not its time: {}", sum(5));
}

#[tokio::test(start_paused = true)]
async fn panics_are_counted_and_not_measured() {
    async fn panics(_: Cx, Wait(_): Wait) -> Answer<Waited> {
        panic!("expected by the test")
    }
    let recorder = PrometheusBuilder::new().build_recorder();
    let scraper = recorder.handle();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let handlers = uschat_server::LogicSystem::builder().on(panics).without_login_guard();
    let fixture = serve_handlers(handlers, SessionConfig::default());
    for _ in 0..2 {
        let mut client = testing::connect(&fixture.server);
        client.send(&Wait(1)).await;
        assert!(client.receive_frame().await.is_none());
        client.closed().await;
    }
    let text = scraper.render();
    assert_eq!(figures(&text, "uschat_handler_panics_total"), ["uschat_handler_panics_total 2"]);
    assert!(figures(&text, "uschat_handler_seconds_count").iter().all(|line| line.ends_with(" 0")), "{text}");
}
