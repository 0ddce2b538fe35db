//! A user's systemd: it knows the units as they were when it last read them, and without a manager every order fails alike.

use super::super::{
    Manager, UNIT,
    port::{Port, Said},
    unit,
};
use std::{
    cell::RefCell,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

pub struct Systemd {
    /// Where it looks, best first.
    units: Vec<PathBuf>,
    inner: RefCell<Inner>,
}

#[derive(Default)]
struct Inner {
    asked: Vec<String>,
    /// The program, as of the last look at the units.
    known: Option<PathBuf>,
    enabled: bool,
    pid: Option<u32>,
    failed: bool,
    starts: u32,
    away: Option<&'static str>,
    missing: bool,
    elsewhere: bool,
    broken: bool,
}

impl Systemd {
    pub fn of(unit: &Path, package: Option<&Path>) -> Self {
        Self {
            units: [Some(unit), package]
                .into_iter()
                .flatten()
                .map(Path::to_owned)
                .collect(),
            inner: RefCell::default(),
        }
    }

    /// What was asked since the last time.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.inner.borrow_mut().asked)
    }

    pub fn switch_off(&mut self) {
        let inner = self.inner.get_mut();
        (inner.enabled, inner.pid) = (false, None);
    }

    pub fn crash(&mut self) {
        let inner = self.inner.get_mut();
        (inner.failed, inner.pid) = (true, None);
    }

    pub fn leave(&mut self, words: &'static str) {
        self.inner.get_mut().away = Some(words);
    }

    pub fn remove(&mut self) {
        self.inner.get_mut().missing = true;
    }

    pub fn look_elsewhere(&mut self) {
        self.inner.get_mut().elsewhere = true;
    }

    pub fn break_program(&mut self) {
        self.inner.get_mut().broken = true;
    }

    fn answer(&self, arguments: &[&str]) -> (i32, String, String) {
        let mut inner = self.inner.borrow_mut();
        let fine = |out: String| (0, out, String::new());
        let no = |code: i32, err: String| (code, String::new(), err);
        if arguments == ["--version"] {
            return fine("systemd 252 (252.39-1~deb12u2)\n".to_owned());
        }
        let ["--user", "--no-pager", "--no-ask-password", arguments @ ..] = arguments else {
            panic!("this is for the system's manager, or would wait for a person: {arguments:?}");
        };
        if let Some(words) = inner.away {
            return no(1, format!("{words}\n"));
        }
        match arguments {
            ["daemon-reload"] => {
                let read = |unit: &PathBuf| {
                    unit::program(Manager::Systemd, &fs::read_to_string(unit).ok()?)
                };
                inner.known = self
                    .units
                    .iter()
                    .find_map(read)
                    .filter(|_| !inner.elsewhere);
                fine(String::new())
            }
            [
                "show",
                "--property=LoadState,ActiveState,UnitFileState,MainPID",
                UNIT,
            ] => {
                let (load, file) = match (&inner.known, inner.enabled) {
                    (None, _) => ("not-found", ""),
                    (Some(_), true) => ("loaded", "enabled"),
                    (Some(_), false) => ("loaded", "disabled"),
                };
                let active = match (inner.pid, inner.failed) {
                    (Some(_), _) => "active",
                    (None, true) => "failed",
                    (None, false) => "inactive",
                };
                fine(format!(
                    "MainPID={}\nLoadState={load}\nActiveState={active}\nUnitFileState={file}\n",
                    inner.pid.unwrap_or(0)
                ))
            }
            ["enable", "--now", UNIT] if inner.known.is_some() => {
                inner.enabled = true;
                if inner.broken {
                    return no(
                        1,
                        format!(
                            "Job for {UNIT} failed because the control process exited with error code.\n"
                        ),
                    );
                }
                // What runs goes on.
                if inner.pid.is_none() {
                    inner.start();
                }
                no(0, format!("Created symlink default.target.wants/{UNIT}\n"))
            }
            ["disable", "--now", UNIT] if inner.known.is_some() => {
                (inner.enabled, inner.pid) = (false, None);
                no(0, format!("Removed default.target.wants/{UNIT}\n"))
            }
            ["stop", UNIT] => {
                inner.pid = None;
                fine(String::new())
            }
            ["restart", UNIT] if inner.known.is_some() => {
                inner.start();
                fine(String::new())
            }
            ["enable" | "disable", "--now", UNIT] => no(
                1,
                format!("Failed to enable unit: Unit file {UNIT} does not exist.\n"),
            ),
            ["restart", UNIT] => no(
                5,
                format!("Failed to restart {UNIT}: Unit {UNIT} not found.\n"),
            ),
            other => panic!("systemctl knows no such thing: {other:?}"),
        }
    }
}

impl Inner {
    fn start(&mut self) {
        self.starts += 1;
        (self.pid, self.failed) = (Some(700 + self.starts), false);
    }
}

impl Port for Systemd {
    fn run(&self, program: &str, arguments: &[&str], _limit: Duration) -> io::Result<Said> {
        assert_eq!(program, "systemctl");
        if self.inner.borrow().missing {
            return Err(io::ErrorKind::NotFound.into());
        }
        let (code, out, err) = self.answer(arguments);
        let line = format!("systemctl {} -> {code}", arguments.join(" "));
        self.inner.borrow_mut().asked.push(line);
        Ok(Said {
            code: Some(code),
            out,
            err,
        })
    }

    fn pause(&self, time: Duration) {
        self.inner
            .borrow_mut()
            .asked
            .push(format!("{} ms later", time.as_millis()));
    }
}
