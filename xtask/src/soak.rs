//! `cargo xtask soak`: the built agent among phones that come and go and get older and newer dates, for as long as one likes. It must
//! always say what is so, give back what it took (memory, descriptors, threads), and sleep while nothing happens.

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
/// And then nothing happens at all.
const QUIET: Duration = Duration::from_secs(5);
const SETTLE: Duration = Duration::from_secs(3);
/// How many rounds of flapping between two looks, and how far apart.
const FLAPS: &str = "flap 150 100";
/// Dates that phones get in turn, in days; below four is no reason to worry.
const DAYS: [u32; 4] = [0, 58, 1, 20];
const TENTHS: u32 = 10;
/// The most wake-ups in the middle one of all quiet times. In some of them the phones have their turn to be asked.
const WAKES: u64 = 10;

/// One round's end.
struct Look {
    at: Duration,
    held: Held,
    /// In its quiet time.
    woken: u64,
    /// Seconds of processor in the whole round.
    cpu: f64,
}

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
    let mut looks: Vec<Look> = Vec::new();
    let mut slowest = 0.0_f64;
    for (round, days) in (0..TENTHS).cycle().zip(DAYS.iter().cycle()) {
        if begin.elapsed() > Duration::from_secs(60 * options.minutes) {
            break;
        }
        let cpu = agent.cpu()?;
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
        let before = agent.wakes()?;
        sleep(QUIET);
        let look = Look {
            at: begin.elapsed(),
            held: agent.held()?,
            woken: agent.woken_since(&before)?,
            cpu: agent.cpu()? - cpu,
        };
        // Whoever waits for so long sees how it goes, and something is known where it does not come to its end.
        println!("{}", row(&look).join("  "));
        looks.push(look);
        ensure!(
            agent.judges_as(options.phones - well, well)?,
            "what was judged rightly is judged wrongly later"
        );
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

fn print(looks: &[Look]) {
    let head = [
        "minute",
        "memory",
        "descriptors",
        "threads",
        "wake-ups in 5 quiet s",
        "CPU of the round",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(looks.iter().map(row));
    println!("{}", table(&rows));
}

fn row(look: &Look) -> Vec<String> {
    vec![
        format!("{:.1}", look.at.as_secs_f64() / 60.0),
        in_mebibytes(look.held.memory),
        look.held.descriptors.to_string(),
        look.held.threads.to_string(),
        look.woken.to_string(),
        format!("{:.2} s", look.cpu),
    ]
}

/// What grows is seen in the difference between two halves, and not in single looks: an allocator takes its time to settle.
fn judge(looks: &[Look]) -> Result<()> {
    let half = looks.len() / 2;
    let most = |part: &[Look], of: fn(&Held) -> u64| part.iter().map(|look| of(&look.held)).max();
    let (first, second) = looks.split_at(half);
    for (what, of, more) in [
        ("memory", (|held| held.memory) as fn(&Held) -> u64, 1 << 20),
        ("descriptors", |held| held.descriptors, 4),
        ("threads", |held| held.threads, 2),
    ] {
        let (before, after) = (most(first, of).unwrap_or(0), most(second, of).unwrap_or(0));
        ensure!(
            after <= before + more,
            "{what} grew: at most {before} in the first half, {after} in the second"
        );
    }
    let mut woken: Vec<u64> = looks.iter().map(|look| look.woken).collect();
    woken.sort_unstable();
    let middle = woken.get(half).copied().unwrap_or(0);
    ensure!(
        middle <= WAKES,
        "it does not sleep: {middle} wake-ups while nothing happened"
    );
    println!("nothing grew, it slept, and every verdict was as it should be");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grows_or_never_sleeps_is_told_and_what_settles_is_not() {
        let look = |minute: u64, memory, woken| Look {
            at: Duration::from_secs(60 * minute),
            held: Held {
                memory,
                descriptors: 70,
                threads: 3,
            },
            woken,
            cpu: 0.1,
        };
        // Once in a while the phones have their turn.
        let turn = |minute: u64| if minute.is_multiple_of(15) { 500 } else { 2 };
        let settles: Vec<_> = (0..20)
            .map(|minute| {
                let memory = (20 << 20) + minute.min(9) * 100_000;
                look(minute, memory, turn(minute))
            })
            .collect();
        judge(&settles).unwrap();
        let grows: Vec<_> = (0..20)
            .map(|minute| look(minute, (20 << 20) + minute * 200_000, turn(minute)))
            .collect();
        let sleepless: Vec<_> = (0..20).map(|minute| look(minute, 20 << 20, 50)).collect();
        for (looks, wanted) in [(grows, "memory grew"), (sleepless, "it does not sleep")] {
            let why = judge(&looks).unwrap_err().to_string();
            assert!(why.starts_with(wanted), "{why}");
        }
    }
}
