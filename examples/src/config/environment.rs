use super::{
    command_line,
    nearest::{did_you_mean, nearest},
};
use crate::StartError;

const OURS: &str = "USCHAT_";

/// Variables of the test suites; no option of a server begins so.
const OF_TESTS: &str = "USCHAT_TEST_";

/// Read by the `client`, which may run in the same shell.
const OF_THE_CLIENT: &str = "USCHAT_GATE";

/// A misspelt variable would be ignored in silence, and the server run on a default that nobody asked for.
pub(super) fn refuse_unknown(names: impl IntoIterator<Item = String>) -> Result<(), StartError> {
    let known = command_line::variables();
    let mut unknown: Vec<String> = names
        .into_iter()
        .filter(|name| {
            name.starts_with(OURS) && !name.starts_with(OF_TESTS) && name != OF_THE_CLIENT && !known.contains(name)
        })
        .collect();
    unknown.sort();
    let Some(name) = unknown.into_iter().next() else { return Ok(()) };
    // What all of them begin with would make any two alike.
    let end = |name: &'_ str| name.strip_prefix(OURS).unwrap_or(name).to_owned();
    let ends: Vec<_> = known.iter().map(|known| end(known)).collect();
    let meant = nearest(&end(&name), ends.iter().map(String::as_str)).map(|end| format!("{OURS}{end}"));
    let remedy = did_you_mean(meant.as_deref(), "unset it; `topology --help` lists the options");
    Err(StartError::new(name, "no option has this environment variable", remedy))
}

#[cfg(test)]
mod tests {
    use super::refuse_unknown;

    #[test]
    fn only_ours_and_only_unknown_ones_are_refused() {
        let names = ["PATH", "USCHAT_CHATS", "USCHAT_GATE", "USCHAT_TEST_ANYTHING", "USCHATTER"];
        assert_eq!(refuse_unknown(names.map(str::to_owned)), Ok(()));
        let error = refuse_unknown(["USCHAT_CHAT_PROT".to_owned()]).unwrap_err().to_string();
        assert!(error.starts_with("USCHAT_CHAT_PROT: ") && error.contains("did you mean USCHAT_CHAT_PORT?"), "{error}");
        let error = refuse_unknown(["USCHAT_COLOUR".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("unset it"), "{error}");
    }
}
