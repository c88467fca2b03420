use serde_json::{Value, json};

use super::{RawClient, Topology, User};

impl Topology {
    /// Signs two users up who are friends: the first applied, the second approved. Nobody said anything, so their
    /// conversation begins with the line that they are friends, number 1.
    pub async fn sign_up_friends(&self, applicant: &str, approver: &str) -> (User, User) {
        let (applicant, approver) = (self.sign_up(applicant).await, self.sign_up(approver).await);
        self.befriend(&applicant, &approver).await;
        (applicant, approver)
    }

    /// Makes friends of two users, in sessions that end with it; returns the number of their conversation.
    pub async fn befriend(&self, applicant: &User, approver: &User) -> i64 {
        let (mut one, _) = RawClient::log_in(applicant).await;
        let (mut other, _) = RawClient::log_in(approver).await;
        let applied = one.ask(1009, &json!({ "touid": approver.uid })).await;
        assert_eq!(applied["error"], 0, "{applied}");
        let approved = other.ask(1013, &json!({ "touid": applicant.uid })).await;
        assert_eq!(approved["error"], 0, "{approved}");
        approved["chat_datas"][0]["thread_id"].as_i64().unwrap()
    }
}

/// The body of a 1017 with these texts, each an id of the client and a content.
pub fn texts(to: i64, texts: &[(&str, &str)]) -> Value {
    let texts: Vec<_> = texts.iter().map(|(id, content)| json!({ "content": content, "msgid": id })).collect();
    json!({ "touid": to, "text_array": texts })
}

/// The same without the times in its `chat_datas`, each of which must look like one.
#[track_caller]
pub fn without_times(mut body: Value) -> Value {
    for row in body["chat_datas"].as_array_mut().unwrap() {
        let time = row.as_object_mut().unwrap().remove("chat_time").unwrap();
        let time = time.as_str().unwrap();
        let shape: String = time.chars().map(|c| if c.is_ascii_digit() { '9' } else { c }).collect();
        assert_eq!(shape, "9999-99-99 99:99:99", "{time}");
    }
    body
}
