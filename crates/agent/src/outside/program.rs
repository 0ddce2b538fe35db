//! Runs a program of the person's after a verified backup, for example one that copies it elsewhere: without a shell, in an environment
//! that is written down, in a group of processes of its own, and not for ever.
//!
//! It runs as the person, so whoever could change it could do everything that the person can: like ssh and cron, only a program is run
//! that nobody else can put something else in the place of.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use backupwatch_core::text::plain;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use crate::trusted::changeable;

/// Where the program finds others. The agent's own environment is that of launchd or systemd, which nobody looks at.
#[cfg(target_os = "macos")]
const PATH: &str = "/opt/homebrew/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin";
#[cfg(not(target_os = "macos"))]
const PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin";

/// From the request to end to the end.
const GRACE: Duration = Duration::from_secs(10);
/// How often is looked whether it has ended, once it was told to.
const LOOK: Duration = Duration::from_millis(100);
/// For what the program has said last, when it has ended. A child that it left behind may hold the pipe for ever.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// Lines of what it says that get into the log, and characters of each.
const LINES: usize = 200;
const LINE: usize = 300;

/// Why a program is not run. The message follows "failed to".
#[derive(Debug, thiserror::Error)]
pub enum UnsafeProgram {
    /// It is not there.
    #[error("look at {path}")]
    Io {
        /// What.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is not a program.
    #[error("run {path}: it is not a program; `chmod u+x` makes a script one")]
    NotAProgram {
        /// What.
        path: PathBuf,
    },
    /// Somebody else could make it another one.
    #[error(
        "trust {path}: another user may change it; it must be yours or root's, and `chmod go-w` helps"
    )]
    Others {
        /// The program, or a folder above it.
        path: PathBuf,
    },
}

/// Whether a program may be run: it and every folder above it belong to this user or to root, and nobody else may write to them.
pub fn check(program: &Path) -> Result<(), UnsafeProgram> {
    let at = |path: &Path, source| UnsafeProgram::Io {
        path: path.to_owned(),
        source,
    };
    let real = std::fs::canonicalize(program).map_err(|source| at(program, source))?;
    let about = std::fs::metadata(&real).map_err(|source| at(&real, source))?;
    if !about.is_file() || about.mode() & 0o111 == 0 {
        return Err(UnsafeProgram::NotAProgram { path: real });
    }
    let us = rustix::process::geteuid().as_raw();
    match changeable(program, &[0, us]).map_err(|source| at(&real, source))? {
        Some(path) => Err(UnsafeProgram::Others { path }),
        None => Ok(()),
    }
}

/// What is to be run.
#[derive(Debug, Clone)]
pub struct Order {
    /// The program, and its arguments.
    pub words: Vec<String>,
    /// What it is told by its environment, beside PATH and HOME.
    pub environment: Vec<(&'static str, OsString)>,
    /// Where it begins.
    pub folder: PathBuf,
    /// How long it may run.
    pub limit: Duration,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// With this status, and these last words on its standard error.
    Status(ExitStatus, Option<String>),
    /// It took too long.
    Late,
    /// The agent ended.
    CutShort,
    /// It did not begin.
    NotStarted(String),
}

/// Runs it to its end, or until `cancel`.
pub async fn run(order: Order, cancel: CancellationToken) -> End {
    let Some((program, arguments)) = order.words.split_first() else {
        return End::NotStarted("there is no program".to_owned());
    };
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .env("PATH", PATH)
        .envs(etcetera::home_dir().ok().map(|home| ("HOME", home)))
        .envs(order.environment)
        .current_dir(&order.folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return End::NotStarted(error.to_string()),
    };
    let room = Arc::new(AtomicUsize::new(LINES));
    let heard = [
        child
            .stdout
            .take()
            .map(|pipe| tokio::spawn(hear(pipe, Arc::clone(&room)))),
        child
            .stderr
            .take()
            .map(|pipe| tokio::spawn(hear(pipe, room))),
    ];
    let [said, complained] = heard.map(|task| task.map(tokio_util::task::AbortOnDropHandle::new));
    let group = child
        .id()
        .and_then(|id| i32::try_from(id).ok())
        .and_then(Pid::from_raw);
    let mut group = Group(group);
    let ended = tokio::select! {
        status = child.wait() => Ok(status),
        () = tokio::time::sleep(order.limit) => Err(End::Late),
        () = cancel.cancelled() => Err(End::CutShort),
    };
    if ended.is_err() {
        group.signal(Signal::TERM);
        let _late = tokio::time::timeout(GRACE, group.ended()).await;
        group.signal(Signal::KILL);
        // Whatever it ends with now is no news.
        let _status = child.wait().await;
    }
    group.0 = None;
    let last = async {
        if let Some(said) = said {
            let _words = said.await;
        }
        match complained {
            Some(complained) => complained.await.ok().flatten(),
            None => None,
        }
    };
    let last = tokio::time::timeout(LAST_WORDS, last).await.ok().flatten();
    match ended {
        Ok(Ok(status)) => End::Status(status, last),
        Ok(Err(error)) => End::NotStarted(error.to_string()),
        Err(end) => end,
    }
}

/// The group of processes that a program and its children are. While its leader has not been waited for, nobody else can have the
/// number.
struct Group(Option<Pid>);

impl Group {
    /// When the leader has ended. It is not waited for yet.
    async fn ended(&self) {
        let Some(leader) = self.0 else { return };
        let how = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        while let Ok(None) = waitid(WaitId::Pid(leader), how) {
            tokio::time::sleep(LOOK).await;
        }
    }

    fn signal(&self, signal: Signal) {
        if let Some(leader) = self.0
            && let Err(error) = kill_process_group(leader, signal)
        {
            tracing::debug!(%error, "the program after a backup cannot be told to end");
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

/// Puts what a program says into the log, as far as there is room; gives back the last line.
async fn hear(mut pipe: impl AsyncRead + Unpin, room: Arc<AtomicUsize>) -> Option<String> {
    let mut buffer = [0; 4 << 10];
    let mut line = Vec::new();
    let mut last = None;
    let mut told = |line: &mut Vec<u8>| {
        let text = plain(&String::from_utf8_lossy(line), LINE);
        line.clear();
        if text.is_empty() {
            return;
        }
        let before = room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |room| {
            room.checked_sub(1)
        });
        match before {
            Ok(1) => tracing::info!("the program after the backup says more than is kept here"),
            Ok(_) => tracing::info!(text, "the program after the backup says"),
            Err(_) => {}
        }
        last = Some(text);
    };
    while let Ok(read @ 1..) = pipe.read(&mut buffer).await {
        for byte in buffer.iter().take(read) {
            if *byte == b'\n' {
                told(&mut line);
            } else if line.len() < LINE * 4 {
                line.push(*byte);
            }
        }
    }
    told(&mut line);
    last
}

/// In words for the person: what happened to "the program after the backup".
impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use std::os::unix::process::ExitStatusExt as _;
        match self {
            Self::Status(status, last) => {
                match (status.code(), status.signal()) {
                    (Some(0), _) => return f.write_str("ended well"),
                    (Some(code), _) => write!(f, "failed with code {code}")?,
                    (None, Some(signal)) => write!(f, "was ended by signal {signal}")?,
                    (None, None) => f.write_str("failed")?,
                }
                match last {
                    Some(last) => write!(f, "; its last words: {}", last.trim_end_matches('.')),
                    None => Ok(()),
                }
            }
            Self::Late => f.write_str("took too long and was ended"),
            Self::CutShort => {
                f.write_str("was ended because the agent ended; it runs again with the agent")
            }
            Self::NotStarted(why) => write!(f, "could not be run: {why}"),
        }
    }
}

#[cfg(test)]
mod tests;
