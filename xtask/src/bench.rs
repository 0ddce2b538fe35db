//! `cargo xtask bench`: our backup beside the peers', on the same simulated phone, in one go.
//!
//! What is measured is in `bench/cases`, who is measured in `bench/clients`; `bench/round` runs the one on the other. This
//! file says in which order, and with what result. A client that fails is a cell of the table that says why; a budget
//! that is not kept is a word in it. Nothing here fails because something is slow.

mod cases;
mod clients;
mod disk;
mod floor;
mod machine;
pub(crate) mod measure;
mod order;
mod phone;
mod phones;
pub(crate) mod report;
mod round;

use anyhow::{Context as _, Result, bail};
use cases::{CASES, Case};
use std::{fs, path::PathBuf, process::Command, time::Instant};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only these cases: large, small, incremental, many, verify, phones
    #[arg(value_name = "CASE")]
    cases: Vec<String>,
    /// A tenth of the files, to see that everything runs
    #[arg(long)]
    quick: bool,
    /// How often each client runs; the medians count. Without it three times, and slow ones less often
    #[arg(long, value_name = "N")]
    runs: Option<usize>,
    /// Only these clients: backupwatch, idevicebackup2, pymobiledevice3, idevice, drain, copy
    #[arg(long, value_name = "CLIENT", value_delimiter = ',')]
    only: Vec<String>,
    /// Where the backups are written, and removed again; below the target folder if not given
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
    /// Measure the release that is built already
    #[arg(long)]
    no_build: bool,
    /// Write docs/benchmarks.md
    #[arg(long)]
    write: bool,
    /// Write a tree as our store would, and end; the bench calls itself with this
    #[arg(long, num_args = 2, value_names = ["FROM", "TO"], hide = true)]
    copy: Vec<PathBuf>,
    /// As `--copy`, on top of the tree that is there
    #[arg(long, num_args = 2, value_names = ["HOME", "TO"], hide = true)]
    copy_again: Vec<PathBuf>,
}

/// No backup, so it is no case of the table.
const PHONES: &str = "phones";

/// What all rounds share.
struct Bench {
    /// Where the programs that are measured were built.
    release: PathBuf,
    scratch: PathBuf,
    /// Where trees of small files wait for the end; see `disk::put_aside`.
    aside: PathBuf,
    /// One of so many files.
    divisor: u64,
    runs: usize,
    /// Nobody asked for a number of runs, so all of it must end within minutes.
    in_time: bool,
    started: Instant,
    only: Vec<String>,
}

pub(crate) use order::run as order;

pub(crate) fn run(options: Options) -> Result<()> {
    if let [from, to] = &options.copy[..] {
        return floor::copy(from, to);
    }
    if let [home, to] = &options.copy_again[..] {
        return floor::again(home, to);
    }
    let wanted = wanted(&options.cases)?;
    let started = Instant::now();
    let target = target()?;
    if !options.no_build {
        build()?;
    }
    let disk = options.scratch.unwrap_or_else(|| target.clone());
    let bench = Bench {
        release: target.join("release"),
        // A folder of its own, for it is emptied.
        scratch: disk.join("backupwatch-bench/now"),
        aside: disk.join("backupwatch-bench/aside"),
        divisor: if options.quick { 10 } else { 1 },
        runs: options.runs.unwrap_or(3).max(1),
        in_time: options.runs.is_none(),
        started,
        only: options.only,
    };
    let machine = machine::describe(&disk);
    // What an earlier run may have left when it was interrupted.
    disk::forget(&[&bench.scratch, &bench.aside]);
    let mut sections = Vec::new();
    for case in wanted {
        println!("\n== {}", case.title());
        let section = if disk::make_room(&bench, case.room / bench.divisor)? {
            round::of(&bench, case)
        } else {
            report::Section::left_out(case, "there is no room on this disk for it")
        };
        println!("{}", section.text());
        sections.push((case.title(), section.text()));
        if case.small_files {
            disk::put_aside(&bench, &bench.scratch)?;
        } else {
            fs::remove_dir_all(&bench.scratch).context("failed to clean up")?;
        }
    }
    if names_it(&options.cases, PHONES) {
        println!("\n== {}", phones::TITLE);
        fs::create_dir_all(&bench.scratch)?;
        let text = phones::text(&bench);
        println!("{text}");
        sections.push((phones::TITLE.to_owned(), text));
    }
    fs::remove_dir_all(disk.join("backupwatch-bench")).context("failed to clean up")?;
    println!("all of it took {} s", started.elapsed().as_secs());
    if options.write {
        let path = crate::root().join("docs/benchmarks.md");
        fs::write(&path, report::page(&machine, &sections, options.quick))
            .with_context(|| format!("failed to write {}", path.display()))?;
        println!("written: {}", path.display());
    }
    Ok(())
}

fn wanted(names: &[String]) -> Result<Vec<&'static Case>> {
    for name in names {
        if name != PHONES && !CASES.iter().any(|case| case.name == name) {
            bail!("there is no case {name}");
        }
    }
    let named = |case: &&Case| names_it(names, case.name);
    Ok(CASES.iter().filter(named).collect())
}

fn names_it(names: &[String], case: &str) -> bool {
    names.is_empty() || names.iter().any(|name| name == case)
}

pub(crate) fn target() -> Result<PathBuf> {
    let out = Command::new("cargo")
        .args(["metadata", "--format-version", "1", "--no-deps"])
        .current_dir(crate::root())
        .output()
        .context("failed to run cargo metadata")?;
    let metadata: serde_json::Value = serde_json::from_slice(&out.stdout)?;
    let target = metadata["target_directory"].as_str();
    target.map(PathBuf::from).context("no target folder")
}

/// The programs as a person gets them: with all optimisations.
pub(crate) fn build() -> Result<()> {
    println!("building the release");
    for what in [
        &["-p", "backupwatch"][..],
        &[
            "-p",
            "backupwatch-sim",
            "--example",
            "bench_phone",
            "--example",
            "bench_client",
            "--example",
            "bench_phones",
        ],
    ] {
        let built = Command::new("cargo")
            .args(["build", "--release", "--locked", "--quiet"])
            .args(what)
            .current_dir(crate::root())
            .status()
            .context("failed to run cargo build")?;
        if !built.success() {
            bail!("cargo build {} failed", what.join(" "));
        }
    }
    Ok(())
}
