//! What the numbers were taken on.

use super::clients::Client;
use std::{fs, path::Path, process::Command};

/// Lines for the page: the machine, and who was measured.
pub(super) fn describe(scratch: &Path) -> Vec<String> {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let mut lines = vec![
        format!("date: {}", said("date", &["-u", "+%Y-%m-%d"])),
        format!("command: `{}`", command()),
        format!("load when it began: {}", load()),
        format!("processor: {} ({cores} cores)", processor()),
        format!("memory: {}", memory()),
        format!("system: {}", said("uname", &["-srm"])),
        format!("file system: {}", file_system(scratch)),
    ];
    for client in Client::ALL {
        let listed = client.is_peer() || client == Client::Backupwatch;
        if listed && client.missing().is_none() {
            lines.push(format!("{}: {}", client.name(), client.version()));
        }
    }
    lines
}

/// As it was typed; the program itself is behind an alias of cargo.
fn command() -> String {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    format!("cargo xtask {}", arguments.join(" "))
}

fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("unknown").to_owned()
}

fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let named = text
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let named = named.and_then(|rest| rest.split_once(": "));
    named.map_or_else(
        || said("sysctl", &["-n", "machdep.cpu.brand_string"]),
        |(_, name)| name.to_owned(),
    )
}

fn memory() -> String {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib: Option<u64> = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    kib.map_or_else(
        || "unknown".to_owned(),
        |kib| format!("{} GiB", kib.div_ceil(1 << 20)),
    )
}

fn file_system(at: &Path) -> String {
    let kind = said("stat", &["-f", "-c", "%T", &at.to_string_lossy()]);
    // The kernel has one number for three of them.
    kind.replace("ext2/ext3", "ext4")
}

fn said(program: &str, arguments: &[&str]) -> String {
    let out = Command::new(program).args(arguments).output();
    let text = out.map(|out| String::from_utf8_lossy(&out.stdout).trim().to_owned());
    text.ok()
        .filter(|text| !text.is_empty())
        .unwrap_or_else(|| "unknown".to_owned())
}
