//! `doctor`: what is wrong with this set-up.

use crate::{
    cli::Global,
    commands::json,
    doctor,
    failure::Failure,
    terminal::{Terminal, Tone},
};
use backupwatch_agent::{
    doctor::{Check, Outcome, Report},
    exit::ExitCode,
};
use std::fmt::Write as _;

pub async fn run(
    terminal: Terminal,
    global: &Global,
    as_json: bool,
    notify: bool,
) -> Result<ExitCode, Failure> {
    let report = doctor::examine(global, notify).await?;
    if as_json {
        json(terminal, &report)?;
    } else {
        terminal.data(&shown(terminal, &report))?;
    }
    Ok(exit_code(&report))
}

/// By the first check that fails: it is the one to be cured first.
fn exit_code(report: &Report) -> ExitCode {
    let first = report
        .checks
        .iter()
        .find(|check| check.status == Outcome::Fail);
    first.map_or(ExitCode::Ok, |check| match check.id.as_str() {
        "usbmuxd" | "usb" => ExitCode::Internal,
        "service" | "agent" | "one_agent" | "version" | "polling" => ExitCode::AgentDown,
        id if id.starts_with("device") => ExitCode::AtRisk,
        id if id.starts_with("backup_") => ExitCode::BackupFailed,
        // What the person has set up: files, clocks, desktops, permissions.
        _ => ExitCode::Usage,
    })
}

/// A column of how it is, and the cure below what is to be cured.
fn shown(terminal: Terminal, report: &Report) -> String {
    let mut out = String::new();
    for check in &report.checks {
        let (tone, word) = match check.status {
            Outcome::Pass => (Tone::Good, "pass"),
            Outcome::Warn => (Tone::Warning, "warn"),
            Outcome::Fail => (Tone::Bad, "FAIL"),
        };
        let label = format!("{}  ", tone.set(word));
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{}", terminal.wrapped(&label, &check.says, 6));
        if let Some(cure) = &check.cure {
            let label = format!("      {} ", Tone::Dim.set("→"));
            let _ = writeln!(
                out,
                "{}",
                terminal.wrapped(&label, &Tone::Bold.set(cure), 8)
            );
        }
    }
    let count = |status| {
        let checks = report.checks.iter();
        checks
            .filter(|check: &&Check| check.status == status)
            .count()
    };
    let last = match (count(Outcome::Fail), count(Outcome::Warn)) {
        (0, 0) => Tone::Good.set("All is well."),
        (0, warnings) => format!("Nothing is broken; {}.", things(warnings, "to know")),
        (1, _) => "One thing is broken. Cure it, and run this again.".to_owned(),
        (broken, _) => format!(
            "{broken} things are broken. Cure the first of them, and run this again: it may have caused the others."
        ),
    };
    let _ = write!(out, "\n{}", terminal.wrapped("", &last, 0));
    out
}

fn things(count: usize, what: &str) -> String {
    match count {
        1 => format!("there is one thing {what}"),
        many => format!("there are {many} things {what}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_fails_decides_the_exit_code() {
        let check = |id: &str, status| Check {
            status,
            ..Check::pass(id, "")
        };
        let code = |checks: &[(&str, Outcome)]| {
            let checks = checks.iter().map(|(id, status)| check(id, *status));
            exit_code(&Report {
                schema: 1,
                checks: checks.collect(),
            })
            .code()
        };
        assert_eq!(code(&[]), 0);
        assert_eq!(
            code(&[("usbmuxd", Outcome::Warn), ("agent", Outcome::Pass)]),
            0
        );
        for (id, number) in [
            ("config", 2),
            ("state", 2),
            ("clock", 2),
            ("notices", 2),
            ("full_disk_access", 2),
            ("service", 5),
            ("one_agent", 5),
            ("usbmuxd", 1),
            ("usb", 1),
            ("device_trust", 3),
            ("backup_links", 7),
        ] {
            let later = ("config", Outcome::Fail);
            assert_eq!(
                code(&[("agent", Outcome::Warn), (id, Outcome::Fail), later]),
                number,
                "{id}"
            );
        }
    }
}
