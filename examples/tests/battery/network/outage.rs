//! How networks between servers fail.

use std::time::Duration;

use tokio::time::sleep;
use uschat_examples::chaos::{Chaos, Direction, End, Fault};

/// One way in which a network fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outage {
    /// Nothing is answered and nothing is refused.
    Silence,
    /// Connections end, and no new ones are taken.
    Refusal,
}

impl Outage {
    pub const BOTH: [Self; 2] = [Self::Silence, Self::Refusal];

    pub async fn begin(self, chaos: &Chaos) {
        match self {
            Self::Silence => chaos.set(Direction::Both, [Fault::BlackHole]),
            Self::Refusal => {
                chaos.refuse().await.unwrap();
                chaos.drop_all(End::Reset);
            }
        }
    }

    pub async fn end(self, chaos: &Chaos) {
        match self {
            Self::Silence => {
                chaos.heal();
                // Connections with a hole in their stream stay silent for good.
                chaos.drop_all(End::Reset);
            }
            Self::Refusal => chaos.accept().await.unwrap(),
        }
    }

    /// All of these networks fail for so long.
    pub async fn during(self, networks: &[&Chaos], time: Duration) {
        for chaos in networks {
            self.begin(chaos).await;
        }
        sleep(time).await;
        for chaos in networks {
            self.end(chaos).await;
        }
    }
}
