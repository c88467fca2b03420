use std::time::Duration;

use serde_json::{Value, json};

use super::{RawClient, Topology, until, xor_password};

impl Topology {
    /// Lets newcomers try until one gets in; returns how long that took. They are called `NAME1`, `NAME2` and so on.
    pub async fn until_a_newcomer_gets_in(&self, name: &str) -> Duration {
        let mut tries = 0;
        until("a newcomer gets in", async || {
            tries += 1;
            self.try_sign_up(&format!("{name}{tries}")).await.is_some()
        })
        .await
    }

    /// All that a newcomer does, up to the first frame of the chat server. Where it fails, the account may exist.
    async fn try_sign_up(&self, name: &str) -> Option<Value> {
        let http = reqwest::Client::builder().timeout(Duration::from_secs(5)).build().unwrap();
        let gate = &self.ready.gate;
        let post = async |path: &str, body: Value| {
            let reply: Value = http.post(format!("{gate}{path}")).json(&body).send().await.ok()?.json().await.ok()?;
            (reply["error"] == 0).then_some(reply)
        };
        let (email, password) = (format!("{name}@example.org"), xor_password("secret1!"));
        post("/get_varifycode", json!({ "email": email })).await?;
        let mailed = http.get(format!("{gate}/dev/outbox?email={email}")).send().await.ok()?;
        let code = mailed.json::<Value>().await.ok()?["code"].clone();
        let registering = json!({
            "user": name, "email": email, "passwd": password, "confirm": password, "varifycode": code, "icon": "",
        });
        post("/user_register", registering).await?;
        let login = post("/user_login", json!({ "email": email, "passwd": password })).await?;
        let address = format!("{}:{}", login["host"].as_str()?, login["port"].as_str()?);
        let mut client = RawClient::connect(&address).await;
        let reply = client.ask(1005, &json!({ "uid": login["uid"], "token": login["token"] })).await;
        (reply["error"] == 0).then_some(reply)
    }
}
