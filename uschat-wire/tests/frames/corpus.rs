//! What fuzzing has found worth keeping passes, on any toolchain: every file of `fuzz/corpus` through its target.

use std::fs;
use std::path::Path;

/// The name of a fuzz target, and its check.
type Target = (&'static str, fn(&[u8]));

const TARGETS: [Target; 3] = [
    ("decode", crate::targets::decode::check),
    ("encode", crate::targets::encode::check),
    ("layouts", crate::targets::layouts::check),
];

/// A target's corpus has dozens of files; fewer mean that a checkout lost some.
const FEWEST_FILES: usize = 12;

#[test]
fn every_corpus_passes_its_target() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for (name, check) in TARGETS {
        let corpus = corpora.join(name);
        let files: Vec<_> = fs::read_dir(&corpus)
            .unwrap_or_else(|error| panic!("{}: {error}", corpus.display()))
            .map(|entry| entry.unwrap().path())
            .collect();
        assert!(files.len() >= FEWEST_FILES, "{}: {} files", corpus.display(), files.len());
        for file in files {
            // Shown only if the check below panics.
            println!("{}", file.display());
            check(&fs::read(&file).unwrap());
        }
    }
}

#[test]
fn every_corpus_has_a_target() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for entry in fs::read_dir(corpora).unwrap() {
        let name = entry.unwrap().file_name();
        assert!(TARGETS.iter().any(|(target, _)| name == *target), "{name:?}");
    }
}
