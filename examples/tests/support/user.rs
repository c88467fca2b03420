use serde_json::{Value, json};

use super::{Topology, in_time};

/// An account, and what its last login at the gate returned.
#[derive(Debug, Clone)]
pub struct User {
    pub uid: i64,
    pub name: String,
    pub email: String,
    pub password: String,
    pub token: String,
    pub host: String,
    pub port: String,
}

impl User {
    /// Where the gate sent the user.
    pub fn chat_address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

/// A gate, wherever it runs.
#[derive(Debug, Clone)]
pub struct Gate(pub String);

impl Topology {
    /// Its gate.
    pub fn gate(&self) -> Gate {
        Gate(self.ready.gate.clone())
    }

    /// See [`Gate::sign_up`].
    pub async fn sign_up(&self, name: &str) -> User {
        self.gate().sign_up(name).await
    }

    /// See [`Gate::log_in`].
    pub async fn log_in_at_gate(&self, user: &mut User) {
        self.gate().log_in(user).await;
    }

    /// See [`Gate::newest_code`].
    pub async fn newest_code(&self, email: &str) -> String {
        self.gate().newest_code(email).await
    }

    /// See [`Gate::post`].
    pub async fn post(&self, path: &str, body: &Value) -> Value {
        self.gate().post(path, body).await
    }

    /// See [`Gate::get`].
    pub async fn get(&self, path: &str) -> (u16, Value) {
        self.gate().get(path).await
    }
}

impl Gate {
    /// Registers `NAME` with `NAME@example.org` by the code from the outbox, and logs in.
    pub async fn sign_up(&self, name: &str) -> User {
        let email = format!("{name}@example.org");
        let mailed = self.post("/get_varifycode", &json!({ "email": email })).await;
        assert_eq!(mailed["error"], 0, "{mailed}");
        let code = self.newest_code(&email).await;
        self.sign_up_with_code(name, &code).await
    }

    /// The same with a code that came in some other way.
    pub async fn sign_up_with_code(&self, name: &str, code: &str) -> User {
        let mut user = User {
            uid: 0,
            name: name.to_owned(),
            email: format!("{name}@example.org"),
            password: format!("secret of {name}"),
            token: String::new(),
            host: String::new(),
            port: String::new(),
        };
        let sent = xor_password(&user.password);
        let registered = self
            .post(
                "/user_register",
                &json!({
                    "user": user.name, "email": user.email, "passwd": sent, "confirm": sent,
                    "varifycode": code, "icon": ":/res/head_1.jpg",
                }),
            )
            .await;
        assert_eq!(registered["error"], 0, "{registered}");
        self.log_in(&mut user).await;
        user
    }

    /// Takes a new token, and perhaps another chat server.
    pub async fn log_in(&self, user: &mut User) {
        let reply =
            self.post("/user_login", &json!({ "email": user.email, "passwd": xor_password(&user.password) })).await;
        assert_eq!(reply["error"], 0, "{reply}");
        let text = |key: &str| reply[key].as_str().unwrap_or_else(|| panic!("{key} is text: {reply}")).to_owned();
        (user.token, user.host, user.port) = (text("token"), text("host"), text("port"));
        user.uid = reply["uid"].as_i64().unwrap();
    }

    /// The newest code mailed to an address.
    pub async fn newest_code(&self, email: &str) -> String {
        let (status, reply) = self.get(&format!("/dev/outbox?email={email}")).await;
        assert_eq!((status, reply["email"].as_str()), (200, Some(email)), "{reply}");
        reply["code"].as_str().unwrap().to_owned()
    }

    /// Posts JSON; the reply, which must be JSON with status 200.
    pub async fn post(&self, path: &str, body: &Value) -> Value {
        let request = reqwest::Client::new().post(format!("{}{path}", self.0)).json(body).send();
        let response = in_time("an answer of the gate", request).await.unwrap();
        assert_eq!(response.status(), 200);
        in_time("a body of the gate", response.json()).await.unwrap()
    }

    /// Gets a path; status, and the body if it is JSON.
    pub async fn get(&self, path: &str) -> (u16, Value) {
        let response = in_time("an answer of the gate", reqwest::get(format!("{}{path}", self.0))).await.unwrap();
        let status = response.status().as_u16();
        let body = in_time("a body of the gate", response.bytes()).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }
}

/// How the clients transform passwords: every UTF-16 unit XOR the number of units modulo 255.
pub fn xor_password(password: &str) -> String {
    let key = u16::try_from(password.encode_utf16().count() % 255).unwrap();
    String::from_utf16(&password.encode_utf16().map(|unit| unit ^ key).collect::<Vec<_>>()).unwrap()
}
