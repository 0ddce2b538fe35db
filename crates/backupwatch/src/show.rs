//! The status document in words for a terminal.

use crate::terminal::{Terminal, Tone};
use crate::words;
use backupwatch_agent::{
    api::words::{History, HistoryEntry, Progress, RunSummary},
    exit::ExitCode,
    ladder::CauseEntry,
    status::{CloudStatus, DeviceStatus, LocalStatus, Status},
};
use backupwatch_core::Protection;
use jiff::{Timestamp, tz::TimeZone};
use std::fmt::Write as _;

/// More devices than this are told by groups: a person looks for the few that need something.
const FEW: usize = 8;

/// Everything known, the worst first, and a line about the agent where one was expected. A block a device; of many devices those
/// that are well have a line each.
pub fn status(terminal: Terminal, status: &Status, agent_counts: bool, zone: &TimeZone) -> String {
    let mut out = String::new();
    let is_watched = status.agent.running || !agent_counts;
    let mut by_risk: Vec<&DeviceStatus> = status.devices.iter().collect();
    // Stable: equals stay in the order of their UDIDs.
    by_risk.sort_by_key(|device| risk(device));
    let many = by_risk.len() > FEW;
    if many {
        let _ = writeln!(out, "{}\n", terminal.wrapped("", &counts(&by_risk), 0));
    }
    for device in by_risk {
        if many && device.protection() == Protection::Protected {
            let mut word = Tone::Good.set("protected");
            if device.muted_since.is_some() {
                word.push_str(", muted");
            }
            let label = format!("{}: {word}. ", Tone::Bold.set(called(device)));
            let _ = writeln!(out, "{}", terminal.wrapped(&label, &device.reason, 2));
        } else {
            block(terminal, &mut out, device, is_watched, status.as_of, zone);
            out.push('\n');
        }
    }
    if status.devices.is_empty() {
        out.push_str("No device is known yet.\nConnect the iPhone with a cable, unlock it, and run `backupwatch pair`.\n\n");
    } else if many && !out.ends_with("\n\n") {
        out.push('\n');
    }
    if agent_counts {
        let _ = writeln!(out, "{}", terminal.wrapped("", &agent(status), 0));
    }
    if let Some(managed) = &status.agent.managed {
        let words = Tone::Dim.set(&managed.words());
        let _ = writeln!(out, "{}", terminal.wrapped("", &words, 0));
    }
    for remark in &status.agent.remarks {
        let _ = writeln!(
            out,
            "{}",
            terminal.wrapped("", &Tone::Warning.set(remark), 0)
        );
    }
    out
}

/// Sorts the worst first, and of equals the one whose iCloud backup is oldest.
fn risk(device: &DeviceStatus) -> (u8, std::cmp::Reverse<i64>) {
    let worst = match device.protection() {
        Protection::Unprotected => 0,
        Protection::AtRisk => 1,
        Protection::Unknown => 2,
        Protection::Protected => 3,
    };
    (
        worst,
        std::cmp::Reverse(device.icloud.age_s.unwrap_or(i64::MAX)),
    )
}

/// How many there are of each sort, the worst first.
fn counts(by_risk: &[&DeviceStatus]) -> String {
    let mut groups: Vec<(&str, Tone, usize)> = Vec::new();
    for device in by_risk {
        let (tone, word) = protection(&device.protection);
        match groups.last_mut() {
            Some((last, _, count)) if *last == word => *count += 1,
            _ => groups.push((word, tone, 1)),
        }
    }
    let groups: Vec<String> = groups
        .into_iter()
        .map(|(word, tone, count)| tone.set(&format!("{count} {word}")))
        .collect();
    format!("{}: {}.", devices(by_risk.len()), groups.join(", "))
}

/// `1 device`, `500 devices`.
pub fn devices(count: usize) -> String {
    match count {
        1 => "1 device".to_owned(),
        count => format!("{count} devices"),
    }
}

/// What a person calls it.
fn called(device: &DeviceStatus) -> &str {
    [&device.nickname, &device.name]
        .into_iter()
        .flatten()
        .next()
        .unwrap_or(&device.udid)
}

/// What the exit code says of the whole: the worst device; then an agent that is not there; then no device at all.
pub fn exit_code(status: &Status, agent_counts: bool) -> ExitCode {
    let any = |words: &[&str]| {
        status
            .devices
            .iter()
            .any(|device| words.contains(&device.protection.as_str()))
    };
    if !agent_counts && status.agent.usbmuxd == Some(false) {
        // A look that could not look is no good news, whatever was known before.
        ExitCode::Internal
    } else if any(&["unprotected"]) {
        ExitCode::Unprotected
    } else if any(&["at_risk"]) {
        ExitCode::AtRisk
    } else if agent_counts && !status.agent.running {
        ExitCode::AgentDown
    } else if status.devices.is_empty() {
        ExitCode::NoDevice
    } else if status
        .devices
        .iter()
        .all(|device| device.protection == "protected")
    {
        ExitCode::Ok
    } else {
        // Not known is not green.
        ExitCode::AtRisk
    }
}

/// Who watches, and how old that is.
pub fn agent(status: &Status) -> String {
    let last = status.agent.last_poll.map_or_else(
        || "it has not looked yet".to_owned(),
        |at| format!("it last looked {}", words::ago(at, status.as_of)),
    );
    if status.agent.running {
        let muxd = if status.agent.usbmuxd == Some(false) {
            "; usbmuxd does not answer, so no phone can be seen"
        } else {
            ""
        };
        Tone::Dim.set(&format!("The agent is running; {last}{muxd}."))
    } else {
        Tone::Warning.set(&format!(
            "The agent is not running; {last}. Start it with `backupwatch install`."
        ))
    }
}

/// The causes under their headline; nothing where there is none.
pub fn causes(terminal: Terminal, causes: &[CauseEntry]) -> String {
    let mut out = String::new();
    if !causes.is_empty() {
        let _ = writeln!(out, "\n{}", Tone::Bold.set("Why"));
    }
    for cause in causes {
        let sure = Tone::Dim.set(&format!("({})", cause.confidence));
        let title = format!("{} {sure}", words::capital(&cause.title));
        let _ = writeln!(out, "{}", terminal.wrapped("  ", &title, 2));
        let _ = writeln!(out, "{}", terminal.wrapped("    ", &cause.because, 4));
        if let Some(says) = &cause.says {
            let says = format!("The phone’s own words: “{says}”");
            let _ = writeln!(out, "{}", terminal.wrapped("    ", &says, 4));
        }
        if !cause.advice.is_empty() {
            let _ = writeln!(out, "{}", terminal.wrapped("    ", &cause.advice, 4));
        }
    }
    out
}

fn block(
    terminal: Terminal,
    out: &mut String,
    device: &DeviceStatus,
    is_watched: bool,
    now: Timestamp,
    zone: &TimeZone,
) {
    let name = called(device);
    let about: Vec<String> = [
        device.model.clone(),
        device
            .os_version
            .as_ref()
            .map(|version| format!("{} {version}", system(device))),
    ]
    .into_iter()
    .flatten()
    .collect();
    let about = if about.is_empty() {
        String::new()
    } else {
        format!(" ({})", about.join(", "))
    };
    let (tone, word) = protection(&device.protection);
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{}{about}: {}", Tone::Bold.set(name), tone.set(word));
    let _ = writeln!(out, "{}", terminal.wrapped("  ", &device.reason, 2));
    let mut line = |label: &str, text: &str| {
        let label = format!("  {} ", Tone::Dim.set(&format!("{label:<14}")));
        let _ = writeln!(out, "{}", terminal.wrapped(&label, text, 17));
    };
    line("iCloud backup", &cloud(&device.icloud, zone));
    line("Local backup", &local(&device.local, zone));
    if let Some(root) = &device.root {
        line("Kept in", root);
    }
    if !device.own.is_empty() {
        let own = device.own.iter();
        let own: Vec<String> = own.map(|(key, value)| format!("{key} = {value}")).collect();
        line("For it alone", &own.join(", "));
    }
    line("Seen", &seen(device, is_watched, now));
    if let Some(progress) = &device.backup {
        line("Right now", &phase(progress));
    }
    if let Some(until) = device.snoozed_until.filter(|until| *until > now) {
        line("Snoozed until", &words::date(until, zone));
    }
    if let Some(since) = device.muted_since {
        let since = format!(
            "since {}, so nothing is told about it",
            words::date(since, zone)
        );
        line("Muted", &since);
    }
    if !device.next.words.is_empty() {
        line("Next", &device.next.words);
    }
}

/// What Apple calls the system of this kind of device.
fn system(device: &DeviceStatus) -> &'static str {
    let ipad = device
        .model
        .as_deref()
        .is_some_and(|model| model.starts_with("iPad"));
    if ipad { "iPadOS" } else { "iOS" }
}

fn protection(word: &str) -> (Tone, &'static str) {
    match word {
        "protected" => (Tone::Good, "protected"),
        "at_risk" => (Tone::Warning, "at risk"),
        "unprotected" => (Tone::Bad, "UNPROTECTED"),
        _ => (Tone::Unsure, "not known"),
    }
}

fn cloud(cloud: &CloudStatus, zone: &TimeZone) -> String {
    let switch = match cloud.enabled {
        Some(true) => "switched on",
        Some(false) => "switched off",
        None => "switch not known",
    };
    match (cloud.last, cloud.age_s) {
        (Some(last), Some(age)) => {
            format!(
                "{} ({} old), {switch}",
                words::date(last, zone),
                words::span(age)
            )
        }
        (Some(last), None) => format!("{}, {switch}", words::date(last, zone)),
        (None, _) => format!("no date known, {switch}"),
    }
}

fn local(local: &LocalStatus, zone: &TimeZone) -> String {
    let when = local.last.map_or_else(String::new, |last| {
        let age = local
            .age_s
            .map_or_else(String::new, |age| format!(" ({} old)", words::span(age)));
        format!("{}{age}", words::date(last, zone))
    });
    let sealed = match local.encrypted {
        Some(true) => ", encrypted",
        Some(false) => ", not encrypted",
        None => "",
    };
    if let Some(damaged) = local.damaged {
        return Tone::Bad.set(&format!(
            "{when}, DAMAGED: {} not what {} when it was made{sealed}",
            are(damaged),
            if damaged == 1 { "it was" } else { "they were" },
        ));
    }
    match local.state.as_str() {
        "verified" => {
            let level = local.level.as_deref().unwrap_or("L?");
            // A backup is checked when it is made; only a later look has a date of its own.
            let checked = local
                .verified_at
                .filter(|at| Some(*at) != local.last)
                .map_or_else(String::new, |at| format!(" on {}", words::date(at, zone)));
            let reread = local.reread_at.map_or_else(String::new, |at| {
                format!("; every file read again by {}", words::date(at, zone))
            });
            format!("{when}, verified ({level}{checked}){sealed}{reread}")
        }
        "unverified" => format!("{when}, not verified{sealed}"),
        "elsewhere" => format!("{when}, made by another computer and not checked here"),
        "unknown" => "not known: nobody can look into the folder for backups now".to_owned(),
        _ => "none".to_owned(),
    }
}

/// `1 file is`, `51,203 files are`.
fn are(count: u64) -> String {
    format!(
        "{} {}",
        words::files(count),
        if count == 1 { "is" } else { "are" }
    )
}

fn seen(device: &DeviceStatus, is_watched: bool, now: Timestamp) -> String {
    let when = device
        .seen_at
        .map_or_else(|| "never".to_owned(), |at| words::ago(at, now));
    let link = match device.links.first().map(String::as_str) {
        Some("usb") => ", on the cable now",
        Some("network") => ", on Wi-Fi now",
        _ if is_watched => ", not attached now",
        // Without an agent nobody has looked.
        _ => "",
    };
    format!("{when}{link}")
}

/// Where a running backup is, as a sentence without its full stop.
pub fn phase(progress: &Progress) -> String {
    let words = match progress.phase.as_str() {
        "opening" => "talking to the phone",
        "waiting_for_passcode" => "waiting for the passcode on the phone",
        "preparing" => "the phone is preparing; this can take minutes",
        "transferring" => "copying",
        "moving" => "the phone is sorting its files",
        "verifying" => "checking every file",
        "committing" => "putting the new backup in place",
        other => other,
    };
    if progress.files == 0 {
        words.to_owned()
    } else {
        format!(
            "{words}: {}, {}",
            words::files(progress.files),
            words::bytes(progress.bytes)
        )
    }
}

/// How a run ended, for a person who waited for it.
pub fn run(terminal: Terminal, run: &RunSummary) -> String {
    let seconds = run.ended.as_second() - run.started.as_second();
    let tone = if run.ok { Tone::Good } else { Tone::Bad };
    let mut out = terminal.wrapped("", &tone.set(&run.words), 2);
    if run.ok {
        out.push_str(&format!(
            "\n  {}, {} received in {}",
            words::capital(&words::files(run.files)),
            words::bytes(run.bytes),
            if seconds < 60 {
                format!("{seconds} s")
            } else {
                words::span(seconds)
            }
        ));
    }
    if run.ok && run.refused > 0 {
        out.push_str(&format!(
            "\n  {} could not be read on the phone and {} not in this backup",
            words::files(run.refused),
            if run.refused == 1 { "is" } else { "are" },
        ));
    }
    for warning in &run.warnings {
        out.push_str(&format!("\n  {}", Tone::Warning.set(warning)));
    }
    out
}

/// Runs and notices, newest first.
pub fn history(terminal: Terminal, history: &History, status: &Status, zone: &TimeZone) -> String {
    if history.entries.is_empty() {
        return "Nothing has happened yet.".to_owned();
    }
    let name = |udid: &str| {
        status
            .devices
            .iter()
            .find(|device| device.udid == udid)
            .and_then(|device| device.name.clone())
            .unwrap_or_else(|| udid.to_owned())
    };
    let mut out = String::new();
    for entry in &history.entries {
        let when = Tone::Dim.set(&words::date(entry.at(), zone));
        let line = match entry {
            HistoryEntry::Run(run) => {
                let tone = if run.ok { Tone::Good } else { Tone::Bad };
                let text = format!("{}: {}", name(&run.udid), tone.set(&run.words));
                terminal.wrapped(&format!("{when}  "), &text, 4)
            }
            HistoryEntry::Verification(check) => {
                let tone = if check.ok { Tone::Good } else { Tone::Bad };
                let text = format!("{}: {}", name(&check.udid), tone.set(&check.words));
                terminal.wrapped(&format!("{when}  "), &text, 4)
            }
            HistoryEntry::Program(run) => {
                let tone = if run.ok { Tone::Good } else { Tone::Bad };
                let text = format!("{}: {}", name(&run.udid), tone.set(&run.words));
                terminal.wrapped(&format!("{when}  "), &text, 4)
            }
            HistoryEntry::Notice(notice) => {
                format!(
                    "{when}  Notice: {}\n    {}",
                    Tone::Bold.set(&notice.title),
                    notice.body
                )
            }
        };
        let _ = writeln!(out, "{line}");
    }
    out
}

#[cfg(test)]
mod tests;
