//! The bodies of the HTTP gate. PROTOCOL.md, "The gate".
//!
//! Their `Debug` leaves out passwords, codes and tokens.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::UserId;
use crate::ErrorCode;

/// `POST /get_varifycode`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct VerifyCodeRequest {
    /// Where the code is to be mailed.
    pub email: String,
}

/// Answers `/get_varifycode`, failures included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyCodeReply {
    /// 0, 1 (the state store failed), 2 (the mail was not accepted), or another code.
    pub error: ErrorCode,
    /// The address asked for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub email: String,
}

/// `POST /user_register`. Passwords are as the client transforms them ([`xor_password`](super::xor_password)).
#[derive(Clone, Serialize, Deserialize)]
pub struct RegisterRequest {
    /// The wanted name.
    pub user: String,
    /// The e-mail address the code was mailed to.
    pub email: String,
    /// The transformed password.
    pub passwd: String,
    /// The same again.
    pub confirm: String,
    /// The mailed code.
    pub varifycode: String,
    /// The wanted picture.
    #[serde(default)]
    pub icon: String,
}

impl fmt::Debug for RegisterRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegisterRequest").field("user", &self.user).field("email", &self.email).finish_non_exhaustive()
    }
}

/// Answers `/user_register`; nothing secret is echoed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisterReply {
    /// 0.
    pub error: ErrorCode,
    /// The new user.
    pub uid: UserId,
    /// Their e-mail address.
    pub email: String,
    /// Their name.
    pub user: String,
    /// Their picture.
    pub icon: String,
}

/// `POST /reset_pwd`.
#[derive(Clone, Serialize, Deserialize)]
pub struct ResetPasswordRequest {
    /// The user's name.
    pub user: String,
    /// Their e-mail address.
    pub email: String,
    /// The new password, transformed.
    pub passwd: String,
    /// The mailed code.
    pub varifycode: String,
}

impl fmt::Debug for ResetPasswordRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResetPasswordRequest")
            .field("user", &self.user)
            .field("email", &self.email)
            .finish_non_exhaustive()
    }
}

/// Answers `/reset_pwd`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResetPasswordReply {
    /// 0.
    pub error: ErrorCode,
    /// The user's e-mail address.
    pub email: String,
    /// Their name.
    pub user: String,
}

/// `POST /user_login`. One client generation says `user` where the others say `email`; the value is an e-mail address either way.
#[derive(Clone, Serialize, Deserialize)]
pub struct LoginRequest {
    /// The e-mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The e-mail address, other spelling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The transformed password.
    pub passwd: String,
}

impl fmt::Debug for LoginRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginRequest").field("email", &self.email).field("user", &self.user).finish_non_exhaustive()
    }
}

/// Answers `/user_login`: where to chat and with which token. Ports are text, because the clients read them as text.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginReply {
    /// 0.
    pub error: ErrorCode,
    /// The e-mail address.
    pub email: String,
    /// The user.
    pub uid: UserId,
    /// What 1005 wants.
    pub token: String,
    /// The chat server, first-season spelling; a later gate leaves it and its port out.
    #[serde(default)]
    pub host: String,
    /// Its port, first-season spelling.
    #[serde(default)]
    pub port: String,
    /// The chat server, later spelling; a first-season gate leaves it and the next three out.
    #[serde(default)]
    pub chathost: String,
    /// Its port, later spelling.
    #[serde(default)]
    pub chatport: String,
    /// The resource server.
    #[serde(default)]
    pub reshost: String,
    /// Its port.
    #[serde(default)]
    pub resport: String,
}

impl fmt::Debug for LoginReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginReply")
            .field("error", &self.error)
            .field("uid", &self.uid)
            .field("host", &self.host)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}
