use rand::{RngExt, SeedableRng, rngs::StdRng};
use uschat_client::Text;

/// What a member says: texts of many lengths under ids that count up.
#[derive(Debug)]
pub struct Words {
    name: String,
    next: u64,
    random: StdRng,
}

impl Words {
    /// Those of this member of a run.
    pub fn new(name: &str, seed: u64) -> Self {
        Self { name: name.to_owned(), next: 0, random: StdRng::seed_from_u64(seed) }
    }

    /// One request's texts, and the number of the friend they go to, of so many.
    pub fn next(&mut self, friends: usize) -> (usize, Vec<Text>) {
        let friend = self.random.random_range(0..friends);
        let texts = (0..self.random.random_range(1..=4)).map(|_| self.text()).collect();
        (friend, texts)
    }

    fn text(&mut self) -> Text {
        self.next += 1;
        let client_id = format!("{}-{}", self.name, self.next);
        let filling = "é".repeat(self.random.random_range(0..100));
        Text { content: format!("{client_id} {filling}"), client_id }
    }
}
