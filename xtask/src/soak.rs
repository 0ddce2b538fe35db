//! `cargo xtask soak`: the built agent among phones that come and go and get older and newer dates, for as long as one likes. It must
//! always say what is so, and give back what it took: memory, descriptors, threads.

use crate::{
    bench::{self, report::in_mebibytes, report::table},
    phones::{Agent, Held, Phones},
};
use anyhow::{Context as _, Result, ensure};
use std::{
    fs,
    thread::sleep,
    time::{Duration, Instant},
};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// For how long
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(2..))]
    minutes: u64,
    /// How many phones
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(10..=500))]
    phones: u32,
    /// The release that is built already
    #[arg(long)]
    no_build: bool,
}

/// Threads for the disk end after ten seconds without work.
const REST: Duration = Duration::from_secs(12);
const SETTLE: Duration = Duration::from_secs(3);
/// How many rounds of flapping between two looks, and how far apart.
const FLAPS: &str = "flap 150 100";
/// Dates that phones get in turn, in days; below four is no reason to worry.
const DAYS: [u32; 4] = [0, 58, 1, 20];
const TENTHS: u32 = 10;

pub(crate) fn run(options: &Options) -> Result<()> {
    if !options.no_build {
        bench::build()?;
    }
    let target = bench::target()?;
    let (release, home) = (target.join("release"), target.join("backupwatch-soak"));
    let _ = fs::remove_dir_all(&home);
    fs::create_dir_all(&home)?;
    let mut phones = Phones::start(&release, &home, options.phones)?;
    let agent = Agent::start(&release, &home)?;
    phones.order("plug")?;
    agent.until_judged(options.phones)?;

    let begin = Instant::now();
    let mut good = [false; TENTHS as usize];
    let mut looks: Vec<(Duration, Held)> = Vec::new();
    let mut slowest = 0.0_f64;
    for (round, days) in (0..TENTHS).cycle().zip(DAYS.iter().cycle()) {
        if begin.elapsed() > Duration::from_secs(60 * options.minutes) {
            break;
        }
        phones.order(FLAPS)?;
        // A phone tells of a new date those who listen, and they begin to with the first visit.
        agent.until_judged_as(
            options.phones - well(&good, options.phones),
            well(&good, options.phones),
        )?;
        sleep(SETTLE);
        phones.order(&format!("date {round} {days}"))?;
        *good.get_mut(round as usize).context("a tenth too many")? = *days < 4;
        let well = well(&good, options.phones);
        slowest = slowest.max(agent.until_judged_as(options.phones - well, well)?);
        sleep(REST);
        looks.push((begin.elapsed(), agent.held()?));
    }
    drop(agent);
    drop(phones);
    fs::remove_dir_all(&home)?;
    print(&looks);
    println!("slowest to all verdicts after a change: {slowest:.2} s");
    judge(&looks)
}

fn well(good: &[bool], phones: u32) -> u32 {
    let so = |phone: &u32| good.get((phone % TENTHS) as usize) == Some(&true);
    (0..phones).filter(so).fold(0, |sum, _| sum + 1)
}

fn print(looks: &[(Duration, Held)]) {
    let mut rows = vec![
        ["minute", "memory", "descriptors", "threads"]
            .map(str::to_owned)
            .to_vec(),
    ];
    for (at, held) in looks {
        rows.push(vec![
            format!("{:.1}", at.as_secs_f64() / 60.0),
            in_mebibytes(held.memory),
            held.descriptors.to_string(),
            held.threads.to_string(),
        ]);
    }
    println!("{}", table(&rows));
}

/// What grows is seen in the difference between two halves, and not in single looks: an allocator takes its time to settle.
fn judge(looks: &[(Duration, Held)]) -> Result<()> {
    let half = looks.len() / 2;
    let most = |part: &[(Duration, Held)], of: fn(&Held) -> u64| {
        part.iter().map(|(_, held)| of(held)).max().unwrap_or(0)
    };
    let (first, second) = looks.split_at(half);
    for (what, of, more) in [
        ("memory", (|held| held.memory) as fn(&Held) -> u64, 1 << 20),
        ("descriptors", |held| held.descriptors, 4),
        ("threads", |held| held.threads, 2),
    ] {
        let (before, after) = (most(first, of), most(second, of));
        ensure!(
            after <= before + more,
            "{what} grew: at most {before} in the first half, {after} in the second"
        );
    }
    println!("nothing grew, and every verdict was as it should be");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grows_is_told_and_what_settles_is_not() {
        let look = |minute: u64, memory| {
            let held = Held {
                memory,
                descriptors: 70,
                threads: 3,
            };
            (Duration::from_secs(60 * minute), held)
        };
        let settles: Vec<_> = (0..20)
            .map(|minute| look(minute, (20 << 20) + minute.min(9) * 100_000))
            .collect();
        judge(&settles).unwrap();
        let grows: Vec<_> = (0..20)
            .map(|minute| look(minute, (20 << 20) + minute * 200_000))
            .collect();
        assert!(
            judge(&grows)
                .unwrap_err()
                .to_string()
                .starts_with("memory grew")
        );
    }
}
