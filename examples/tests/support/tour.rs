use super::{LineClient, Topology};

/// The README's five minutes, typed into two line clients, which stay logged in: 1001 is Ada and 1002 Ben, and their
/// conversation holds four texts.
pub async fn tour(topology: &Topology) -> (LineClient, LineClient) {
    let mut ada = LineClient::start(topology, &[]);
    assert_eq!(ada.ask("signup ada ada@example.org secret1!").await, "ok signup 1001 ada");
    let answer = ada.ask("login ada@example.org secret1!").await;
    assert_eq!(answer, "ok login 1001 ada (friends 0, applications 0)");
    let mut ben = LineClient::start(topology, &[]);
    assert_eq!(ben.ask("signup ben ben@example.org secret2!").await, "ok signup 1002 ben");
    let answer = ben.ask("login ben@example.org secret2!").await;
    assert_eq!(answer, "ok login 1002 ben (friends 0, applications 0)");

    assert_eq!(ben.ask("add 1001 It is me, Ben").await, "ok add 1001");
    assert_eq!(ada.line().await.unwrap(), "applied from 1002 ben: It is me, Ben");
    assert_eq!(ada.ask("approve 1002 Benny").await, "ok approve 1002 ben");
    assert_eq!(ben.line().await.unwrap(), "approved by 1001 ada");
    assert_eq!(ada.ask("say 1002 hello, 你好").await, "ok say 1002 #3 (message 3, conversation 1)");
    assert_eq!(ben.line().await.unwrap(), "text from 1001 ada #3: hello, 你好");
    assert_eq!(ben.ask("say 1001 hello, Countess").await, "ok say 1001 #4 (message 4, conversation 1)");
    assert_eq!(ada.line().await.unwrap(), "text from 1002 ben #4: hello, Countess");
    (ada, ben)
}
