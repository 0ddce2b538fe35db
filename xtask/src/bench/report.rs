//! The numbers as people read them: a table for each case, its ratios against its budgets, and the page of all of them.

use super::{
    cases::{Budget, Case, Work},
    clients::Client,
    measure::Run,
};
use std::fmt::Write as _;

/// Mebibytes that ours may use at the most, whatever the phone holds.
const PEAK: f64 = 16.0;
const MIB: f64 = (1 << 20) as f64;

/// What ours must reach of the speed of a bare copy, where durability makes the budget impossible.
const OF_THE_COPY: f64 = 0.8;

/// One client in one case.
pub(super) struct Cell {
    pub(super) client: Client,
    pub(super) runs: Vec<Run>,
    /// Why there are no (more) runs.
    pub(super) trouble: Option<String>,
}

pub(super) struct Section {
    case: &'static Case,
    files: u64,
    bytes: u64,
    pub(super) cells: Vec<Cell>,
    left_out: Option<String>,
}

impl Cell {
    fn seconds(&self) -> Option<f64> {
        median(self.runs.iter().map(|run| run.seconds))
    }

    fn cpu(&self) -> Option<f64> {
        median(self.runs.iter().filter_map(|run| run.cpu))
    }

    /// The worst of all runs: a limit is no matter of the middle.
    fn peak(&self) -> Option<u64> {
        self.runs.iter().filter_map(|run| run.peak).max()
    }
}

impl Section {
    pub(super) fn new(case: &'static Case, files: u64, bytes: u64) -> Self {
        Self {
            case,
            files,
            bytes,
            cells: Vec::new(),
            left_out: None,
        }
    }

    pub(super) fn left_out(case: &'static Case, why: &str) -> Self {
        println!("LEFT OUT: {}: {why}", case.title());
        Self {
            left_out: Some(why.to_owned()),
            ..Self::new(case, 0, 0)
        }
    }

    /// The table and what follows from it.
    pub(super) fn text(&self) -> String {
        if let Some(why) = &self.left_out {
            return format!("LEFT OUT: {why}.\n");
        }
        let mut text = table(&self.rows());
        for line in self.findings() {
            let _ = write!(text, "\n- {line}");
        }
        text.push('\n');
        text
    }

    fn rows(&self) -> Vec<Vec<String>> {
        let head = [
            "client",
            "time",
            "MB/s",
            "files/s",
            "CPU",
            "peak memory",
            "runs",
        ];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        for cell in &self.cells {
            let seconds = cell.seconds();
            let rate = |amount: u64, unit: f64| {
                let per_second = seconds.map(|seconds| amount as f64 / unit / seconds);
                // Of a first backup only: later ones and checks do not move all that is there.
                let rate = per_second.filter(|_| self.case.work == Work::Full);
                rate.map_or("–".to_owned(), |rate| format!("{rate:.0}"))
            };
            let runs = match &cell.trouble {
                Some(why) => format!("{}, then: {why}", cell.runs.len()),
                None => cell.runs.len().to_string(),
            };
            rows.push(vec![
                cell.client.name().to_owned(),
                seconds.map_or("–".to_owned(), in_seconds),
                rate(self.bytes, 1e6),
                rate(self.files, 1.0),
                cell.cpu().map_or("–".to_owned(), in_seconds),
                cell.peak().map_or("–".to_owned(), in_mebibytes),
                runs,
            ]);
        }
        rows
    }

    fn cell(&self, client: Client) -> Option<&Cell> {
        self.cells.iter().find(|cell| cell.client == client)
    }

    /// The peer with the least of something, and how much that is.
    fn best_peer(&self, of: impl Fn(&Cell) -> Option<f64>) -> Option<(&'static str, f64)> {
        let peers = self.cells.iter().filter(|cell| cell.client.is_peer());
        let known = peers.filter_map(|cell| Some((cell.client.name(), of(cell)?)));
        known.min_by(|(_, one), (_, other)| one.total_cmp(other))
    }

    fn findings(&self) -> Vec<String> {
        let Some(ours) = self.cell(Client::Backupwatch) else {
            return Vec::new();
        };
        let budget = self.case.budget;
        let mut lines = Vec::new();
        if let Some(seconds) = ours.seconds() {
            let drain = self.cell(Client::Drain).and_then(Cell::seconds);
            if let Some(drain) = drain {
                let kept = match budget {
                    Budget::TimesDrain(most) => at_most("budget", seconds / drain, most),
                    Budget::TimesBestPeer(_) | Budget::Seconds(_) | Budget::None => String::new(),
                };
                lines.push(format!("time, ours ÷ drain: {:.2}{kept}", seconds / drain));
            }
            if let Some(copy) = self.cell(Client::Copy).and_then(Cell::seconds) {
                let kept = if drain.is_some_and(|drain| drain > copy) {
                    " (here the disk is not the limit)".to_owned()
                } else {
                    at_least("where the disk is the limit", copy / seconds, OF_THE_COPY)
                };
                lines.push(format!("time, copy ÷ ours: {:.2}{kept}", copy / seconds));
            }
            if let Some((name, best)) = self.best_peer(Cell::seconds) {
                let kept = match budget {
                    Budget::TimesBestPeer(least) => at_least("budget", best / seconds, least),
                    Budget::TimesDrain(_) | Budget::Seconds(_) | Budget::None => String::new(),
                };
                let ratio = best / seconds;
                lines.push(format!("time, best peer ({name}) ÷ ours: {ratio:.2}{kept}"));
            }
            if let Budget::Seconds(most) = budget {
                let kept = at_most("budget", seconds, most);
                lines.push(format!("time: {}{kept}", in_seconds(seconds)));
            }
        }
        if let (Some(cpu), Some((name, best))) = (ours.cpu(), self.best_peer(Cell::cpu)) {
            lines.push(format!("CPU, best peer ({name}) ÷ ours: {:.2}", best / cpu));
        }
        if let Some(peak) = ours.peak() {
            let mebibytes = peak as f64 / MIB;
            lines.push(format!(
                "memory: {}{}",
                in_mebibytes(peak),
                at_most("budget", mebibytes, PEAK)
            ));
        }
        lines
    }
}

fn at_most(what: &str, value: f64, most: f64) -> String {
    let word = if value <= most { "PASS" } else { "OVER" };
    format!(" ({what}: at most {most}, {word})")
}

fn at_least(what: &str, value: f64, least: f64) -> String {
    let word = if value >= least { "PASS" } else { "UNDER" };
    format!(" ({what}: at least {least}, {word})")
}

pub(super) fn in_seconds(seconds: f64) -> String {
    format!("{seconds:.2} s")
}

pub(crate) fn in_mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / MIB)
}

/// The middle one, or the mean of the two in the middle.
fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = *values.get((values.len() - 1) / 2)?;
    Some(f64::midpoint(lower, upper))
}

/// A table in Markdown with straight columns; the first row is its head.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(text, "| {cell:width$} ");
        }
        text.push_str("|\n");
        if number == 0 {
            for width in &widths {
                let _ = write!(text, "|{}", "-".repeat(width + 2));
            }
            text.push_str("|\n");
        }
    }
    text
}

/// `docs/benchmarks.md`.
/// The sections are titles with what stands below them.
pub(super) fn page(machine: &[String], sections: &[(String, String)], quick: bool) -> String {
    let mut text = HEAD.to_owned();
    if quick {
        text.push_str("\nTaken with `--quick`: a tenth of the files. These are no results.\n");
    }
    text.push_str("\n## The machine\n\n");
    for line in machine {
        let _ = writeln!(text, "- {line}");
    }
    for (title, section) in sections {
        let _ = write!(text, "\n## {title}\n\n{section}");
    }
    text
}

const HEAD: &str = "\
# Benchmarks

Written by `cargo xtask bench --write`; `cargo xtask bench --help` names its parts. Every client backs up the same simulated
phone, a process of its own whose work counts for nobody. Times are medians, taken in turns. What a client left to be
written is written, and its tree removed, before the next one starts.

- **backupwatch** is `backupwatch backup`, all of it: the work tree, the hash of every file, the verification at L2, the syncs
  and the exchange. The peers verify nothing and sync nothing: after a power cut, what they called successful may be gone.
- **drain** answers the phone and throws every file away. It is what phone, socket and TLS cost alone: a floor.
- **copy** writes files of the names and lengths of our finished tree, each under another name first, sends them on their way
  as they come together, and syncs once. On top of a backup it links all of it, writes what changed in ours, with the syncs of
  ours, and deletes what ours deleted. It is what the file system takes for durability alone: another floor.
- **CPU** is user and system time of the client; on a busy machine it says more than the time on the clock. **Peak memory**
  is the resident set at its largest, `VmHWM`.
";

#[cfg(test)]
mod tests;
