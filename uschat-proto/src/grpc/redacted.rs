//! `Debug` of the messages that carry a token or a code: everything but the secret.

use std::fmt;

use super::s1::{GetChatServerRsp, GetVarifyRsp, LoginReq, LoginRsp};

/// Prints `***` for a secret and nothing for an absent one, which matters when a call has failed.
struct Redacted<'a>(&'a str);

impl fmt::Debug for Redacted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "\"\"" } else { "***" })
    }
}

impl fmt::Debug for GetVarifyRsp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GetVarifyRsp")
            .field("error", &self.error)
            .field("email", &self.email)
            .field("code", &Redacted(&self.code))
            .finish()
    }
}

impl fmt::Debug for GetChatServerRsp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GetChatServerRsp")
            .field("error", &self.error)
            .field("host", &self.host)
            .field("port", &self.port)
            .field("token", &Redacted(&self.token))
            .finish()
    }
}

impl fmt::Debug for LoginReq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginReq").field("uid", &self.uid).field("token", &Redacted(&self.token)).finish()
    }
}

impl fmt::Debug for LoginRsp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginRsp")
            .field("error", &self.error)
            .field("uid", &self.uid)
            .field("token", &Redacted(&self.token))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "5c1f-secret";

    #[test]
    fn a_secret_is_not_printed() {
        let printed = [
            format!("{:?}", GetVarifyRsp { error: 0, email: "a@b".into(), code: SECRET.into() }),
            format!("{:?}", GetChatServerRsp { token: SECRET.into(), ..Default::default() }),
            format!("{:?}", LoginReq { uid: 7, token: SECRET.into() }),
            format!("{:#?}", LoginRsp { error: 0, uid: 7, token: SECRET.into() }),
        ];
        for text in printed {
            assert!(text.contains("***") && !text.contains(SECRET), "{text}");
        }
    }

    #[test]
    fn the_rest_is_printed() {
        let response =
            GetChatServerRsp { error: 1002, host: "127.0.0.1".into(), port: "8090".into(), token: String::new() };
        assert_eq!(
            format!("{response:?}"),
            r#"GetChatServerRsp { error: 1002, host: "127.0.0.1", port: "8090", token: "" }"#
        );
    }
}
