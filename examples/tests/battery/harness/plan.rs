use std::{str::FromStr, time::Duration};

use rand::{RngExt, SeedableRng, rngs::StdRng};

/// How a run is laid out, besides what goes wrong in it.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What it is called in the table, such as `K1`.
    pub id: &'static str,
    /// Decides every choice of the run.
    pub seed: u64,
    /// How often the fault is repeated.
    pub rounds: u64,
    /// How many members there are, at least two.
    pub members: usize,
    /// Who is a friend of whom.
    pub friends: Friends,
    /// How many more there are who only listen, each to one of the members, and whose programs end and start again all the
    /// time. At most as many as members.
    pub restless: usize,
    /// How many requests of a member are under way at most.
    pub window: usize,
    /// The pause between two requests of a member; one request has up to four texts.
    pub pause: Duration,
}

/// Who is a friend of whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Friends {
    /// The first and the second, the third and the fourth, and so on.
    Pairs,
    /// Everybody and the next one, the last and the first.
    Ring,
}

impl Plan {
    /// Six members in a ring, nobody who only listens, sixteen requests under way each, at most a hundred requests a second each, one round; seed
    /// and rounds as the environment says.
    pub fn new(id: &'static str) -> Self {
        Self {
            id,
            seed: from_environment("USCHAT_BATTERY_SEED").unwrap_or_else(rand::random),
            rounds: from_environment("USCHAT_BATTERY_ROUNDS").unwrap_or(1),
            members: 6,
            friends: Friends::Ring,
            restless: 0,
            window: 16,
            pause: Duration::from_millis(10),
        }
    }

    /// So many rounds, unless the environment says otherwise.
    #[must_use]
    pub fn rounds(self, rounds: u64) -> Self {
        Self { rounds: from_environment("USCHAT_BATTERY_ROUNDS").unwrap_or(rounds), ..self }
    }

    /// So many members, who are friends like this.
    #[must_use]
    pub fn members(self, members: usize, friends: Friends) -> Self {
        Self { members, friends, ..self }
    }

    /// So many more who only listen and are restless.
    #[must_use]
    pub fn restless(self, restless: usize) -> Self {
        Self { restless, ..self }
    }

    /// So many requests of a member under way at most, and this pause between two of them.
    #[must_use]
    pub fn load(self, window: usize, pause: Duration) -> Self {
        Self { window, pause, ..self }
    }

    /// Members, friends, window and pause as the seed says.
    #[must_use]
    pub fn varied(self) -> Self {
        let mut random = StdRng::seed_from_u64(self.seed);
        let members = random.random_range(4..=10);
        Self {
            members,
            friends: if random.random() { Friends::Pairs } else { Friends::Ring },
            restless: random.random_range(0..=3),
            window: random.random_range(1..=64),
            pause: Duration::from_millis(random.random_range(2..=20)),
            ..self
        }
    }

    /// The pairs of friends, as numbers of members; those who only listen have the last numbers.
    pub fn pairs(&self) -> Vec<(usize, usize)> {
        let talkers: Vec<_> = match self.friends {
            // Whoever would be left over is the last one's friend as well.
            Friends::Pairs => (1..self.members)
                .filter(|member| member % 2 == 1 || member + 1 == self.members)
                .map(|member| (member - 1, member))
                .collect(),
            // Of two, everybody's next one is the other.
            Friends::Ring if self.members == 2 => vec![(0, 1)],
            Friends::Ring => (0..self.members).map(|member| (member, (member + 1) % self.members)).collect(),
        };
        let listeners = (0..self.restless).map(|number| (number, self.members + number));
        talkers.into_iter().chain(listeners).collect()
    }
}

fn from_environment<T: FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}
