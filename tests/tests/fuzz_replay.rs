//! The inputs that fuzzing found worth keeping, and those that once broke something, through the targets of `tests/fuzz` again.
//! Nothing of what finding them needs is needed here. New ones: `cargo xtask fuzz`, see `docs/fuzzing.md`.

#[path = "../fuzz/src/lib.rs"]
mod fuzz;

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

/// Each corpus stays small enough to be replayed in seconds, and all of them small enough for a repository.
const MAX_FILES: usize = 300;
const MAX_BYTES: u64 = 3 << 20;

fn corpora() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus")
}

fn inputs(target: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(corpora().join(target)).expect("a corpus");
    let mut inputs: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    inputs.sort();
    inputs
}

fn replay(target: &str) {
    let inputs = inputs(target);
    let broken: Vec<&PathBuf> = inputs
        .iter()
        .filter(|path| {
            let input = fs::read(path).unwrap();
            catch_unwind(|| fuzz::run(target, &input)).is_err()
        })
        .collect();
    assert!(!inputs.is_empty());
    assert!(
        broken.is_empty(),
        "what must always hold does not: {broken:#?}"
    );
}

/// One test for each target, so that they run beside each other.
macro_rules! replay {
    ($($target:ident)*) => {
        $(#[test]
        fn $target() {
            replay(stringify!($target));
        })*

        /// The targets that have a test, in the order of their names.
        const TESTED: &[&str] = &[$(stringify!($target)),*];
    };
}

replay! {
    afc api books config devicelink keybag lockdown manifest page pair_record phone_log property_list session store_files upload usbmux
}

#[test]
fn no_target_is_left_out_and_no_corpus_is_large() {
    assert_eq!(fuzz::TARGETS.map(|(name, _)| name), *TESTED);
    let mut bytes = 0;
    for target in TESTED {
        let inputs = inputs(target);
        assert!(inputs.len() <= MAX_FILES, "{target}: {}", inputs.len());
        bytes += inputs
            .iter()
            .map(|path| fs::metadata(path).unwrap().len())
            .sum::<u64>();
    }
    assert!(bytes <= MAX_BYTES, "{bytes} bytes");
}
