use serde::{Deserialize, Serialize};

use super::UserId;

/// What anyone may know of a user: never the e-mail address, never the password.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Profile {
    /// The user.
    pub uid: UserId,
    /// The unique name.
    pub name: String,
    /// The nickname; the gate sets it to the name.
    #[serde(default)]
    pub nick: String,
    /// A line about oneself.
    #[serde(default)]
    pub desc: String,
    /// 0 unknown or male, 1 female, as the Qt clients count.
    #[serde(default)]
    pub sex: i32,
    /// A built-in picture (`:/res/head_N.jpg`) or a file name.
    #[serde(default)]
    pub icon: String,
}
