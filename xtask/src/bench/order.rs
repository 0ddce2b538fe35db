//! `cargo xtask order`: which functions a backup and an idle agent run, for the linker to put them together.
//!
//! The kernel brings a program into memory in pieces of 64 KiB. Functions that run lie anywhere between those that never do, so nearly
//! all of the program would be there: that is most of what a backup needs. `often.ld` names those that run, and the rest is left on the
//! disk. Where it is out of date the program is as right as before, and larger in memory.

mod names;

use super::{
    Bench,
    cases::{CASES, Case, Work},
    clients::{self, Client, Place},
    disk, measure,
    phone::Phone,
};
use anyhow::{Context as _, Result, bail};
use names::Runs;
use std::{collections::BTreeSet, fs, path::Path, process::Command};

/// Few files, for each is slow under a tool that watches every instruction; and enough for all threads to have work.
const DIVISOR: u64 = 25;
/// In which an agent starts, has looked at the phone, and has nothing to do.
const IDLE: &str = "60";

pub(crate) fn run() -> Result<()> {
    let target = super::target()?;
    super::build()?;
    let bench = Bench {
        release: target.join("release"),
        scratch: target.join("backupwatch-order"),
        aside: target.join("backupwatch-order/aside"),
        divisor: DIVISOR,
        runs: 1,
        in_time: false,
        started: std::time::Instant::now(),
        only: Vec::new(),
    };
    let _ = fs::remove_dir_all(&bench.scratch);
    fs::create_dir_all(&bench.scratch).context("failed to make a folder")?;
    let case = CASES.first().context("no case")?;
    let functions = functions(&bench.release.join("backupwatch"))?;
    let told = watch(&bench, case)?;
    fs::remove_dir_all(&bench.scratch).context("failed to clean up")?;
    let path = crate::root().join("crates/backupwatch/often.ld");
    fs::write(&path, names::script(&functions, &told))
        .with_context(|| format!("failed to write {}", path.display()))?;
    println!("written: {}", path.display());
    Ok(())
}

/// A first backup, one on top of it, and an agent, each under valgrind.
fn watch(bench: &Bench, case: &'static Case) -> Result<Runs> {
    let mut phone = Phone::of(bench, case)?;
    let home = bench.scratch.join(Client::Backupwatch.name());
    let (socket, udid) = (phone.socket.clone(), phone.udid.clone());
    let place = Place::new(bench, &socket, &udid, &home);
    fs::create_dir_all(place.root())?;
    let mut backup = BTreeSet::new();
    for work in [Work::Full, Work::Incremental] {
        println!("a backup: {work:?}");
        disk::settle(&bench.scratch)?;
        let out = bench.scratch.join("backup.out");
        let command = Client::Backupwatch.backup(&place, work);
        measure::run(watched(&command, &["valgrind"], &out), &home.join("log"))?;
        backup.extend(addresses(&fs::read_to_string(&out)?));
        phone.mutate()?;
    }
    println!("an agent");
    let out = bench.scratch.join("agent.out");
    let mut command = clients::backupwatch(&place);
    command.args(["agent", "--log-to-stderr"]);
    // With a desktop's bus, or it would not even try to show anything.
    let before = [
        "dbus-run-session",
        "--",
        "timeout",
        "--preserve-status",
        "--signal=INT",
        IDLE,
        "valgrind",
    ];
    measure::run(watched(&command, &before, &out), &home.join("log"))?;
    let agent = addresses(&fs::read_to_string(&out)?);
    Ok(Runs { backup, agent })
}

/// The same program with the same surroundings, under valgrind, which writes to `out` what ran.
fn watched(command: &Command, before: &[&str], out: &Path) -> Command {
    let mut words = before.iter();
    let mut watched = Command::new(words.next().unwrap_or(&"valgrind"));
    watched
        .args(words)
        .args(["--tool=callgrind", "--dump-instr=yes", "--dump-line=no"]);
    watched.arg(format!("--callgrind-out-file={}", out.display()));
    watched.arg(command.get_program()).args(command.get_args());
    let told = command
        .get_envs()
        .filter_map(|(name, value)| Some((name, value?)));
    watched.envs(told);
    watched
}

/// The program's functions, by where they are: address, length, name.
fn functions(program: &Path) -> Result<Vec<(u64, u64, String)>> {
    let out = Command::new("nm")
        .args(["--print-size", "--defined-only"])
        .arg(program)
        .output()
        .context("failed to run nm")?;
    let mut functions: Vec<(u64, u64, String)> = String::from_utf8_lossy(&out.stdout)
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let at = u64::from_str_radix(words.next()?, 16).ok()?;
            let length = u64::from_str_radix(words.next()?, 16).ok()?;
            let code = matches!(words.next()?, "t" | "T" | "w" | "W");
            code.then(|| Some((at, length, words.next()?.to_owned())))?
        })
        .collect();
    functions.sort();
    if functions.is_empty() {
        bail!("{} has no names", program.display());
    }
    Ok(functions)
}

/// The addresses of our program in what callgrind writes: a line begins with one, or with how far it is from the one before.
fn addresses(text: &str) -> BTreeSet<u64> {
    let mut addresses = BTreeSet::new();
    let mut ours: BTreeSet<&str> = BTreeSet::new();
    let (mut here, mut at) = (false, 0_u64);
    for line in text.lines() {
        if let Some((place, object)) = line.split_once("ob=") {
            let (number, name) = object.split_once(' ').unwrap_or((object, ""));
            if name.ends_with("/backupwatch") {
                ours.insert(number);
            }
            // `cob` is where a call goes to, and says nothing of the lines that follow.
            if place.is_empty() {
                here = ours.contains(number);
            }
            continue;
        }
        let word = line.split(' ').next().unwrap_or_default();
        let hex = |word: &str| u64::from_str_radix(word.trim_start_matches("0x"), 16).ok();
        let next = match word.split_at_checked(1) {
            Some(("*", _)) => Some(at),
            Some(("+", by)) => by.parse().ok().map(|by: u64| at.wrapping_add(by)),
            Some(("-", by)) => by.parse().ok().map(|by: u64| at.wrapping_sub(by)),
            Some(("0", _)) => hex(word),
            Some(_) | None => None,
        };
        let Some(next) = next else { continue };
        at = next;
        if here {
            addresses.insert(at);
        }
    }
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_the_program_alone_are_read() {
        let text = "positions: instr\nob=(1) /lib/ld.so\nfn=(1) a\n0x10 3\nob=(2) /x/backupwatch\nfn=(2) b\n0x100 1\n+4 1\n* 2\n\
                    cob=(1)\ncfn=(1)\ncalls=1 0x10\n-2 7\nob=(1)\n0x20 1\nob=(2)\n0x200 1\n";
        let found: Vec<u64> = addresses(text).into_iter().collect();
        assert_eq!(found, [0x100, 0x102, 0x104, 0x200]);
    }
}
