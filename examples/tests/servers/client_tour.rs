//! The README's five minutes, typed into two line clients, and the client as a script.

use crate::support::{LineClient, Topology, tour};

#[tokio::test]
async fn the_tour_of_the_readme() {
    let topology = Topology::start(&[]).await;
    let (mut ada, ben) = tour(&topology).await;
    assert_eq!(ada.ask("friends").await, "friend 1002 ben: Benny");
    assert_eq!(ada.line().await.unwrap(), "ok friends 1");
    assert_eq!(ada.finish().await, (Some(0), vec![]));
    assert_eq!(ben.finish().await, (Some(0), vec![]));
    topology.assert_no_panic();
}

#[tokio::test]
async fn a_newer_login_ends_the_older_client() {
    let topology = Topology::start(&[]).await;
    let mut old = LineClient::start(&topology, &[]);
    old.ask("signup ada ada@example.org secret1!").await;
    old.ask("login ada@example.org secret1!").await;
    let mut new = LineClient::start(&topology, &[]);
    let answer = new.ask("login ada@example.org secret1!").await;
    assert_eq!(answer, "ok login 1001 ada (friends 0, applications 0)");
    assert_eq!(old.line().await.unwrap(), "replaced by a newer login");
    assert!(old.line().await.unwrap().starts_with("disconnected: "));
    assert_eq!(new.ask("search ada").await, "ok search 1001 ada");
    // It does not come back by itself; it does when it is told to, and then it is the newer one.
    assert_eq!(old.ask("login ada@example.org secret1!").await, answer);
    assert_eq!(new.line().await.unwrap(), "replaced by a newer login");
    assert_eq!(old.ask("search ada").await, "ok search 1001 ada");
}

#[tokio::test]
async fn scripts_wait_for_events() {
    let topology = Topology::start(&[]).await;
    let [mut ada, mut ben] = [LineClient::start(&topology, &["--strict"]), LineClient::start(&topology, &["--strict"])];
    for line in ["signup ada ada@example.org secret1!", "login ada@example.org secret1!"] {
        ada.ask(line).await;
    }
    // From here on nobody reads what is printed before the script is at its end.
    for line in [
        "# comments and empty lines are skipped",
        "",
        "signup ben ben@example.org secret2!",
        "login ben@example.org secret2!",
        "add 1001 hi",
        "wait approved",
        "say 1001 one",
        "wait text",
        "say 1001 three",
    ] {
        ben.enter(line).await;
    }
    for line in ["wait applied", "approve 1002", "wait text", "say 1002 two", "wait text"] {
        ada.enter(line).await;
    }
    let (status, lines) = ada.finish().await;
    assert_eq!(status, Some(0), "{lines:?}");
    let texts: Vec<_> = lines.iter().filter(|line| line.starts_with("text ")).collect();
    assert_eq!(texts, ["text from 1002 ben #3: one", "text from 1002 ben #5: three"]);
    let (status, lines) = ben.finish().await;
    assert_eq!(status, Some(0), "{lines:?}");
    assert!(lines.contains(&"text from 1001 ada #4: two".to_owned()), "{lines:?}");
}

#[tokio::test]
async fn strict_scripts_end_at_the_first_failure() {
    let topology = Topology::start(&["--chats", "1"]).await;
    let script =
        ["signup ada ada@example.org secret1!", "login ada@example.org wrong", "login ada@example.org secret1!"];
    for (options, status, last) in [(&["--strict"][..], 1, "error 1009 "), (&[], 0, "ok login 1001 ada ")] {
        let mut client = LineClient::start(&topology, options);
        for line in script {
            client.enter(line).await;
        }
        let (ended, lines) = client.finish().await;
        assert_eq!(ended, Some(status), "{lines:?}");
        assert!(lines.last().unwrap().starts_with(last), "{lines:?}");
    }
    for (line, error) in [
        ("dance", "error usage "),
        ("say 1001 hello", "error 3001 "),
        ("login nobody@example.org x", "error 1009 "),
        ("reset bob bob@example.org new 12345", "error 1003 "),
        ("wait text 0", "error timeout "),
        ("dev-code nobody@example.org", "error outbox "),
    ] {
        let mut client = LineClient::start(&topology, &["--strict"]);
        let answer = client.ask(line).await;
        assert!(answer.starts_with(error), "{line}: {answer}");
        assert_eq!(client.finish().await, (Some(1), vec![]), "{line}");
    }
}

#[tokio::test]
async fn what_cannot_be_reached_is_said() {
    let mut client = LineClient::start_at("http://127.0.0.1:1", &["--strict"]);
    assert!(client.ask("login ada@example.org x").await.starts_with("error gate is it running"), "says what to do");
    assert_eq!(client.finish().await, (Some(1), vec![]));
    let client = LineClient::start_at("no address", &[]);
    assert_eq!(client.finish().await, (Some(2), vec![]));
}
