//! Project tasks: `cargo xtask test` is what the README names and what CI runs.
//!
//! Nothing here is part of the product.

mod bench;
mod bundle;
mod deb;
mod dist;
mod floors;
mod fuzz;
mod icon;
mod macos;
mod peers;
mod phones;
mod remediation;
mod schema;
mod soak;
mod stage;
mod test;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about = "backupwatch's own tasks")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install the peers that can be had, then run format, lints, floors and every ring of tests
    Test {
        /// Do not install anything; use the peers that are already here
        #[arg(long)]
        no_install: bool,
        /// Only the end-to-end tests, with phones reached this way: idevice, libimobiledevice or auto
        #[arg(long, value_name = "BACKEND")]
        backend: Option<String>,
        /// Passed on to the test runner (a filter, say)
        #[arg(last = true)]
        filter: Vec<String>,
    },
    /// Install the peers that the tests talk to, and say which are here
    Peers,
    /// Measure our backup beside the peers' on one simulated phone
    Bench(bench::Options),
    /// See which functions run, and write crates/backupwatch/often.ld; needs valgrind and a session bus
    Order,
    /// Let phones come and go for a while, and fail on a wrong verdict or on anything that the agent does not give back
    Soak(soak::Options),
    /// Fail on an edge between crates that the architecture forbids
    Floors,
    /// Make Backupwatch.app for macOS, signed ad hoc
    Bundle(bundle::Options),
    /// Make the Debian package
    Deb(deb::Options),
    /// Make what this machine can make of a release, with checksums
    Dist(dist::Options),
    /// Lint the code for macOS, here or anywhere: with the toolchain's own target, or the program that CHECK_MACOS names
    CheckMacos,
    /// Hold docs/remediation against the data that the program reads
    Remediation {
        /// Write the files anew
        #[arg(long)]
        write: bool,
    },
    /// Hold docs/schema against the types that the program writes and reads
    Schema {
        /// Write the files anew
        #[arg(long)]
        write: bool,
    },
    /// Look for inputs that break a promise; needs cargo-fuzz and a nightly toolchain
    Fuzz {
        /// One target; without it all of them, one after the other
        target: Option<String>,
        /// For how long each
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
        minutes: u32,
    },
}

fn main() -> Result<()> {
    match Cli::parse().task {
        Task::Test {
            no_install,
            backend,
            filter,
        } => test::run(no_install, backend.as_deref(), &filter),
        Task::Peers => peers::install().map(|found| found.print()),
        Task::Bench(options) => bench::run(options),
        Task::Order => bench::order(),
        Task::Soak(options) => soak::run(&options),
        Task::Floors => floors::check(),
        Task::Bundle(options) => bundle::run(&options).map(drop),
        Task::Deb(options) => deb::run(&options).map(drop),
        Task::Dist(options) => dist::run(&options),
        Task::CheckMacos => macos::check(),
        Task::Remediation { write } => remediation::run(write),
        Task::Schema { write } => schema::run(write),
        Task::Fuzz { target, minutes } => fuzz::run(target.as_deref(), minutes),
    }
}

/// The workspace's root, wherever the task was started from.
pub(crate) fn root() -> std::path::PathBuf {
    let mut path = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    path.pop();
    path
}
