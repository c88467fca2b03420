use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// A user: a positive number below 2^31, because the Qt clients read ids into 32-bit integers.
    UserId(i32)
}
number! {
    /// A conversation. Stored as a 64-bit number; existing clients read 32 bits of it.
    ThreadId(i64)
}
number! {
    /// The global key of a stored text, `message_id` or `msg_id` on the wire. Rises with the number (`seq`) inside its conversation.
    MessageKey(i64)
}
