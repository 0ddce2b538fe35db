//! Is there only one agent? Two on one state folder there cannot be; two on two state folders ask for every passcode twice.

use super::agent::Agent;
use crate::setup::Setup;
use backupwatch_agent::doctor::{Check, limited_blocking};
use std::path::Path;

const ID: &str = "one_agent";

/// More processes than anybody has.
const MOST: usize = 100_000;

pub async fn look(setup: &Setup, agent: &Agent) -> Option<Check> {
    let (home, uid, own) = (setup.base.home.clone(), setup.base.uid, agent.pid());
    let found = limited_blocking(
        ID,
        "The list of processes",
        "Restart the computer.",
        move || agents(&home, uid),
    );
    match found.await {
        Ok(mut all) => {
            all.retain(|pid| Some(*pid) != own);
            judge(own, &all)
        }
        Err(silent) => Some(silent),
    }
}

fn judge(own: Option<u32>, others: &[u32]) -> Option<Check> {
    let list: Vec<String> = others.iter().map(u32::to_string).collect();
    match (own, others) {
        // Nobody at all: that is a check of its own.
        (None, []) => None,
        (Some(_), []) => Some(Check::pass(ID, "Only one agent runs for you.")),
        (None, _) => Some(Check::fail(
            ID,
            format!(
                "An agent runs for you on another state folder than this one (process {}).",
                list.join(", ")
            ),
            format!(
                "End it, unless it is the one that you want: kill {}",
                list.join(" ")
            ),
        )),
        (Some(own), _) => Some(Check::fail(
            ID,
            format!(
                "{} agents watch for you at once (processes {own}, {}), so every notice and every question for a passcode comes {}.",
                others.len() + 1,
                list.join(", "),
                if others.len() == 1 {
                    "twice"
                } else {
                    "several times"
                }
            ),
            format!("kill {}", list.join(" ")),
        )),
    }
}

/// Whether these are the words of a command that runs an agent: not `agent status`, and not another program's.
fn is_agent(words: &[&str]) -> bool {
    let Some((program, words)) = words.split_first() else {
        return false;
    };
    let ours = Path::new(program)
        .file_name()
        .is_some_and(|name| name == "backupwatch");
    let mut rest = words.iter().skip_while(|word| **word != "agent");
    ours && rest.next().is_some() && rest.next().is_none_or(|word| word.starts_with('-'))
}

/// The processes that run an agent for this user with this home: an agent in another home is on trial, and nobody is troubled
/// by it.
#[cfg(not(target_os = "macos"))]
fn agents(home: &Path, uid: u32) -> Vec<u32> {
    use std::{fs, io::Read as _, os::unix::ffi::OsStrExt as _, os::unix::fs::MetadataExt as _};

    /// More than any command line of ours, and than where `HOME` stands in any environment.
    const LONGEST: u64 = 256 << 10;

    let read = |folder: &Path, name: &str| {
        let mut bytes = Vec::new();
        let file = fs::File::open(folder.join(name));
        file.and_then(|file| file.take(LONGEST).read_to_end(&mut bytes))
            .ok()
            .map(|_| bytes)
    };
    let mut found: Vec<u32> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .take(MOST)
        .filter_map(|entry| {
            let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
            let folder = entry.path();
            if fs::metadata(&folder).ok()?.uid() != uid {
                return None;
            }
            let line = String::from_utf8_lossy(&read(&folder, "cmdline")?).into_owned();
            let words: Vec<&str> = line.split_terminator('\0').collect();
            if !is_agent(&words) {
                return None;
            }
            let environment = read(&folder, "environ")?;
            let lives_here = environment
                .split(|byte| *byte == 0)
                .any(|one| one.strip_prefix(b"HOME=") == Some(home.as_os_str().as_bytes()));
            lives_here.then_some(pid)
        })
        .collect();
    found.sort_unstable();
    found
}

/// The same of `ps`, which there tells of this user's processes only and nothing of their homes.
#[cfg(target_os = "macos")]
fn agents(_home: &Path, _uid: u32) -> Vec<u32> {
    let listed = std::process::Command::new("/bin/ps")
        .args(["-xo", "pid=,args="])
        .stdin(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .output();
    let text = listed.map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&text)
        .lines()
        .take(MOST)
        .filter_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let (pid, words) = words.split_first()?;
            is_agent(words).then(|| pid.parse().ok()).flatten()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use backupwatch_agent::doctor::Outcome;

    #[test]
    fn an_agent_is_known_by_its_words() {
        for (line, is) in [
            ("backupwatch agent", true),
            (
                "/usr/bin/backupwatch --state-dir /tmp/x agent --log-to-stderr",
                true,
            ),
            (
                "/Applications/Backupwatch.app/Contents/MacOS/backupwatch agent",
                true,
            ),
            ("backupwatch agent status", false),
            ("backupwatch status", false),
            ("backupwatch", false),
            ("/usr/bin/backupwatch-sim agent", false),
            ("vi agent", false),
            ("", false),
        ] {
            let words: Vec<&str> = line.split_whitespace().collect();
            assert_eq!(is_agent(&words), is, "{line}");
        }
    }

    #[test]
    fn one_is_enough() {
        let status = |own, others: &[u32]| judge(own, others).map(|check| check.status);
        assert_eq!(status(None, &[]), None);
        assert_eq!(status(Some(1), &[]), Some(Outcome::Pass));
        assert_eq!(status(None, &[2]), Some(Outcome::Fail));
        assert_eq!(status(Some(1), &[2, 3]), Some(Outcome::Fail));
    }
}
