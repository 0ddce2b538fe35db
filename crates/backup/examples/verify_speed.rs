//! Measures how long it takes to verify a backup of many small files, level by level, and with how much memory:
//!
//! `cargo run --release -p backupwatch-backup --example verify_speed -- 150000`
//!
//! The backup is made here, from rows as the simulated phone writes them; that is not part of what is measured.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a tool for developers"
)]

#[path = "../src/verify/tests/handmade.rs"]
mod handmade;

use std::fs;
use std::sync::Arc;
use std::time::Instant;

use backupwatch_backup::verify::{Deep, Password, Sample, deep};
use backupwatch_core::{Level, Udid};
use backupwatch_sim::contents::Contents;
use backupwatch_sim::keybag::Rounds;
use backupwatch_sim::manifest::Secrets;
use handmade::{PASSWORD, UDID, make};

/// What phones ask for.
const ROUNDS: Rounds = Rounds {
    dpic: 10_000_000,
    iter: 10_000,
};

fn main() {
    let count = (std::env::args().nth(1)).map_or(150_000_u32, |count| count.parse().unwrap());
    let contents: Contents = toml::from_str(&format!(
        "seed = 7
         [[groups]]
         domain = \"CameraRollDomain\"
         prefix = \"Media/DCIM/100APPLE\"
         count = {count}
         size = [0, 200]"
    ))
    .unwrap();
    for secrets in [None, Some(Secrets::generate(7))] {
        let dir = tempfile::tempdir().unwrap();
        make(
            dir.path(),
            &contents,
            secrets.as_ref().map(|secrets| (secrets, ROUNDS)),
        );
        println!("{count} files, encrypted: {}", secrets.is_some());
        let password = Password::new(PASSWORD.to_owned());
        for level in [Level::L1, Level::L2, Level::L3, Level::L4] {
            let how = Deep {
                level,
                password: Some(&password),
                sample: Sample::All,
                ledger: None,
                scratch: &std::env::temp_dir(),
            };
            let (udid, begun) = (Udid::parse(UDID).unwrap(), Instant::now());
            let report = deep(dir.path(), &udid, &how, &|_| {}, &Arc::default()).unwrap();
            assert_eq!(report.wrong, 0, "{report:?}");
            println!(
                "  {level:?} {:.2} s, {}",
                begun.elapsed().as_secs_f64(),
                peak()
            );
        }
    }
}

/// The most memory that was ever used, making the backup included, where the system says so.
fn peak() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM"));
    line.unwrap_or("memory not known")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}
