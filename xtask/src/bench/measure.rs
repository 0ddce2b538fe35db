//! One program, from its start to its end: how long, how much processor, how much memory.
//!
//! The numbers are Linux's own of that process. `wait4` would give them too, but its peak of memory counts what the
//! process was before its exec: a copy of this one.

use anyhow::{Context as _, Result, bail};
use std::{
    fs::{self, File},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    time::{Duration, Instant},
};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Run {
    pub(super) seconds: f64,
    /// Seconds of processor, the kernel's for it included. Unknown where there is no `/proc`.
    pub(super) cpu: Option<f64>,
    /// Bytes.
    pub(super) peak: Option<u64>,
}

/// Longer than the slowest peer takes for the largest case on a slow disk.
const PATIENCE: Duration = Duration::from_secs(300);
/// How often a living process is asked for its peak: all that grows within its last moment is missed.
const LOOK: Duration = Duration::from_millis(5);

/// Runs a program to its end. What it says goes to `log`; how it failed is the error.
pub(super) fn run(mut command: Command, log: &Path) -> Result<Run> {
    let out = File::create(log)?;
    command
        .stdin(Stdio::null())
        .stderr(out.try_clone()?)
        .stdout(out);
    let started = Instant::now();
    let mut child = command.spawn().context("it could not be started")?;
    let (ended, end) = mpsc::channel();
    let (peak, seconds, cpu) = std::thread::scope(|scope| {
        let id = child.id();
        let watch = scope.spawn(move || watch(id, &end));
        let waited = wait(&mut child);
        let seconds = started.elapsed().as_secs_f64();
        let cpu = cpu(id);
        drop(ended);
        waited.map(|()| (watch.join().unwrap_or_default(), seconds, cpu))
    })?;
    let status = child.wait()?;
    if !status.success() {
        let said = fs::read_to_string(log).unwrap_or_default();
        bail!("{status}: {}", last_words(&said));
    }
    Ok(Run { seconds, cpu, peak })
}

/// Waits for the end without burying it, so that its numbers can still be read.
#[cfg(target_os = "linux")]
fn wait(child: &mut Child) -> Result<()> {
    use rustix::process::{WaitId, WaitIdOptions, waitid};
    let id = rustix::process::Pid::from_child(child);
    waitid(
        WaitId::Pid(id),
        WaitIdOptions::EXITED | WaitIdOptions::NOWAIT,
    )?;
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn wait(child: &mut Child) -> Result<()> {
    child.wait()?;
    Ok(())
}

/// Looks at the peak of memory until the end, and ends what does not end by itself.
fn watch(id: u32, end: &mpsc::Receiver<()>) -> Option<u64> {
    let started = Instant::now();
    let mut peak = None;
    loop {
        let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        peak = peak_of(&status).or(peak);
        match end.recv_timeout(LOOK) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return peak,
        }
        // Only on Linux is it sure that nobody has waited for it yet, so that the number is still its own.
        if cfg!(target_os = "linux")
            && started.elapsed() > PATIENCE
            && let Some(id) = i32::try_from(id)
                .ok()
                .and_then(rustix::process::Pid::from_raw)
        {
            let _ = rustix::process::kill_process(id, rustix::process::Signal::KILL);
        }
    }
}

/// `VmHWM` of `/proc/PID/status`, in bytes.
fn peak_of(status: &str) -> Option<u64> {
    field_of(status, "VmHWM:").map(|kib| kib * 1024)
}

/// A number of `/proc/PID/status`, in the unit that stands there.
pub(crate) fn field_of(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find(|line| line.starts_with(name))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

fn cpu(id: u32) -> Option<f64> {
    cpu_of(&fs::read_to_string(format!("/proc/{id}/stat")).ok()?)
}

/// User and system time of `/proc/PID/stat`, of all threads. A tick is a hundredth of a second on every Linux there is.
pub(crate) fn cpu_of(stat: &str) -> Option<f64> {
    // The name of the program may hold anything, also brackets and spaces; the third field follows the last bracket.
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut ticks = rest.split(' ').skip(11).map(str::parse::<u32>);
    let (user, system) = (ticks.next()?.ok()?, ticks.next()?.ok()?);
    Some((f64::from(user) + f64::from(system)) / 100.0)
}

/// The last line that says something, cut to a table's width.
fn last_words(said: &str) -> String {
    let mut lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
    let last = lines.next_back().unwrap_or("it said nothing");
    last.chars()
        .filter(|letter| *letter != '|')
        .take(120)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_numbers_are_read() {
        let status = "Name:\tx\nVmPeak:\t  900 kB\nVmHWM:\t   12 kB\nVmRSS:\t 7 kB\n";
        assert_eq!(peak_of(status), Some(12_288));
        assert_eq!(peak_of("Name:\tx\nState:\tZ (zombie)\n"), None);
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194304 5 0 0 0 123 45 9 9 20 0 1 0 100 0 0";
        assert_eq!(cpu_of(stat), Some(1.68));
        assert_eq!(cpu_of("7 (x) S 1"), None);
    }

    #[test]
    fn a_failure_says_its_last_words() {
        let words = last_words("first\nError: a | b\n\n");
        assert_eq!(words, "Error: a  b");
        assert_eq!(last_words(""), "it said nothing");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_process_is_measured_and_not_its_parent() {
        let folder = std::env::temp_dir().join(format!("xtask-measure-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        // Far more than `true` needs, and ours to have.
        let ours = vec![1_u8; 64 << 20];
        let mut shell = Command::new("sh");
        shell.args(["-c", "sleep 0.2"]);
        let run = run(shell, &folder.join("log")).unwrap();
        assert!(run.seconds >= 0.2);
        // On a busy machine it may be gone before anybody looks.
        let bound = ours.len() as u64 / 2;
        assert!(run.peak.is_none_or(|peak| peak < bound), "{run:?}");
        let mut shell = Command::new("sh");
        shell.args(["-c", "echo no such phone >&2; exit 3"]);
        let failed = super::run(shell, &folder.join("log")).unwrap_err();
        assert!(failed.to_string().contains("no such phone"), "{failed}");
        fs::remove_dir_all(&folder).unwrap();
    }
}
