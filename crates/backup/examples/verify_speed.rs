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
use std::path::Path;
use std::process::Command;
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
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["make", folder, count, sealed] => {
            let secrets = (sealed == "true").then(|| Secrets::generate(7));
            let locks = secrets.as_ref().map(|secrets| (secrets, ROUNDS));
            make(Path::new(folder), &contents(count), locks);
        }
        [] => measure("150000"),
        [count] => measure(count),
        _ => println!("how many files?"),
    }
}

fn measure(count: &str) {
    for sealed in ["false", "true"] {
        let dir = tempfile::tempdir().unwrap();
        // In a process of its own, so that its memory is not counted.
        let made = Command::new(std::env::current_exe().unwrap())
            .arg("make")
            .arg(dir.path())
            .args([count, sealed])
            .status();
        assert!(made.unwrap().success());
        println!("{count} files, encrypted: {sealed}");
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

fn contents(count: &str) -> Contents {
    toml::from_str(&format!(
        "seed = 7
         [[groups]]
         domain = \"CameraRollDomain\"
         prefix = \"Media/DCIM/100APPLE\"
         count = {count}
         size = [0, 200]"
    ))
    .unwrap()
}

/// The most memory that was used so far, where the system says so.
fn peak() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM"));
    line.unwrap_or("memory not known")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}
