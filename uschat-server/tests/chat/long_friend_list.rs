//! A friend list that does not fit one frame is cut, marked and continued; nobody is lost.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{TOKEN, World};

fn uids(list: &Value) -> Vec<i64> {
    list.as_array().into_iter().flatten().filter_map(|friend| friend["uid"].as_i64()).collect()
}

#[tokio::test]
async fn two_thousand_friends_come_in_parts_after_the_answer_to_the_login() {
    let world = World::new();
    let ada = world.user("ada").await;
    let mut expected = BTreeSet::new();
    for number in 0..2_000 {
        let friend = world.user(&format!("a friend with a rather long name, number {number}")).await;
        world.friends(ada, friend).await;
        expected.insert(i64::from(friend.0));
    }
    let server = world.server("ours").await;
    let mut client = server.connect().await;
    client.send(1005, &json!({"uid": ada, "token": TOKEN, "features": ["coalesced"]})).await;
    let first = client.expect(1006).await;
    assert_eq!((&first["error"], &first["friend_list_cut"]), (&json!(0), &json!(true)));
    let mut seen = uids(&first["friend_list"]);
    loop {
        let part = client.expect(3001).await;
        seen.extend(uids(&part["friend_list"]));
        if part["last"] == true {
            assert!(part.get("friend_list_cut").is_none());
            break;
        }
    }
    assert_eq!(seen.len(), expected.len());
    assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), expected);
    client.is_alive().await;
    server.stop().await;
}
