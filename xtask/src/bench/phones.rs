//! Not one phone but many: how long until the agent has judged all of them, and what they cost it.
//!
//! The agent is asked for its status, as a face would, until every phone has a verdict; what that costs is in the numbers.

use super::{
    Bench,
    report::{in_mebibytes, in_seconds, table},
};
use crate::phones::{Agent, Phones};
use anyhow::Result;
use std::{fs, thread::sleep, time::Duration};

pub(super) const TITLE: &str = "phones: so many at once on one agent";

/// How many phones are plugged in at the same moment.
const COUNTS: &[u32] = &[1, 10, 100, 500];
/// What is promised of the largest number: seconds to all verdicts, and memory for each phone.
const SECONDS: f64 = 5.0;
const EACH: f64 = 64.0 * 1024.0;

/// By then it has given back what was only for the visits: the threads of disk and DNS end after ten seconds.
const REST: Duration = Duration::from_secs(12);
/// How long it is watched when all is quiet.
const QUIET: Duration = Duration::from_secs(10);
/// A tenth of the phones goes away and comes back, this often and this far apart.
const FLAPS: (u32, u64) = (100, 50);

struct Row {
    count: u32,
    /// Until every phone had a verdict, from the moment that they were plugged in.
    settled: f64,
    cpu: f64,
    /// Bytes.
    resident: u64,
    /// Processor time of a quiet spell, and how often a thread was woken in it.
    quiet: (f64, u64),
    /// After flapping: until all had verdicts again, and the memory then.
    again: f64,
    afterwards: u64,
}

/// The table and what follows from it.
pub(super) fn text(bench: &Bench) -> String {
    let mut rows = Vec::new();
    for count in COUNTS {
        match measure(bench, *count) {
            Ok(row) => rows.push(row),
            Err(why) => return format!("LEFT OUT: with {count} phones: {why:#}.\n"),
        }
    }
    let mut text = table(&cells(&rows));
    for line in findings(&rows) {
        text.push_str(&format!("\n- {line}"));
    }
    text.push('\n');
    text
}

fn cells(rows: &[Row]) -> Vec<Vec<String>> {
    let head = [
        "phones",
        "all verdicts",
        "CPU",
        "memory",
        "quiet for 10 s",
        "after flapping",
        "memory then",
    ];
    let mut cells = vec![head.map(str::to_owned).to_vec()];
    for row in rows {
        cells.push(vec![
            row.count.to_string(),
            in_seconds(row.settled),
            in_seconds(row.cpu),
            in_mebibytes(row.resident),
            format!("{} wake-ups, {}", row.quiet.1, in_seconds(row.quiet.0)),
            in_seconds(row.again),
            in_mebibytes(row.afterwards),
        ]);
    }
    cells
}

fn findings(rows: &[Row]) -> Vec<String> {
    let (Some(one), Some(most)) = (rows.first(), rows.last()) else {
        return Vec::new();
    };
    let word = |kept: bool| if kept { "PASS" } else { "OVER" };
    let more = f64::from(most.count - one.count).max(1.0);
    let each = most.resident.saturating_sub(one.resident) as f64 / more;
    let count = most.count;
    vec![
        format!(
            "all verdicts of {count} phones: {} (budget: less than {SECONDS} s, {})",
            in_seconds(most.settled),
            word(most.settled < SECONDS)
        ),
        format!(
            "memory for each phone more: {:.1} KiB (budget: less than {} KiB, {})",
            each / 1024.0,
            EACH / 1024.0,
            word(each < EACH)
        ),
        format!(
            "CPU for each phone more: {:.1} ms",
            1000.0 * (most.cpu - one.cpu) / more
        ),
    ]
}

fn measure(bench: &Bench, count: u32) -> Result<Row> {
    let home = bench.scratch.join(format!("phones-{count}"));
    fs::create_dir_all(&home)?;
    let mut phones = Phones::start(&bench.release, &home, count)?;
    let agent = Agent::start(&bench.release, &home)?;
    let before = agent.cpu()?;
    phones.order("plug")?;
    let settled = agent.until_judged(count)?;
    let cpu = agent.cpu()? - before;
    sleep(REST);
    let resident = agent.resident()?;
    let (cpu_before, wakes_before) = (agent.cpu()?, agent.wakes()?);
    sleep(QUIET);
    let woken = agent.woken_since(&wakes_before)?;
    let quiet = (agent.cpu()? - cpu_before, woken);
    phones.order(&format!("flap {} {}", FLAPS.0, FLAPS.1))?;
    let again = agent.until_judged(count)?;
    sleep(REST);
    Ok(Row {
        count,
        settled,
        cpu,
        resident,
        quiet,
        again,
        afterwards: agent.resident()?,
    })
}
