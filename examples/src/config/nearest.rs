/// The known word a misspelt one probably meant.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate))
        .filter(|(similarity, _)| *similarity > 0.8)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, candidate)| candidate)
}

/// The remedy for an unknown word.
pub(super) fn did_you_mean(nearest: Option<&str>, otherwise: &str) -> String {
    nearest.map_or_else(|| otherwise.to_owned(), |nearest| format!("did you mean {nearest}?"))
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn finds_the_similar_and_nothing_else() {
        let known = ["chats", "chat-port", "data-dir"];
        assert_eq!(nearest("chat", known), Some("chats"));
        assert_eq!(nearest("data_dri", known), Some("data-dir"));
        assert_eq!(nearest("xyz", known), None);
    }
}
