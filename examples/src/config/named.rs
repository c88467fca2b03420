use serde::{Deserialize, Serialize};

/// A value and the key that set it, for the line that says what is wrong with it: `--sql`, or `Port of [GateServer] in
/// gate.ini`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named<T> {
    /// The key.
    pub key: String,
    /// Its value.
    pub value: T,
}

impl<T> Named<T> {
    /// A value of a key.
    pub fn new(key: impl Into<String>, value: T) -> Self {
        Self { key: key.into(), value }
    }
}
