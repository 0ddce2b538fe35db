//! A launchd as its documents and those who fought with it tell: it answers before it has ended a service, says 113 for what it does
//! not know, 37 or 5 for what it is still ending, and 5 for nearly everything else.

use super::super::{
    LABEL,
    port::{Port, Said},
};
use std::{cell::RefCell, io, path::Path, time::Duration};

pub struct Launchd {
    uid: u32,
    inner: RefCell<Inner>,
}

#[derive(Default)]
struct Inner {
    asked: Vec<String>,
    /// The override, in its own word.
    off: Option<&'static str>,
    loaded: bool,
    /// Of its process, if it runs.
    pid: Option<u32>,
    starts: u32,
    /// What a service takes to end, and what is left of that.
    ends_in: Duration,
    ending: Duration,
    /// So many times bootstrap finds that it is not gone yet.
    busy: u32,
    away: bool,
    missing: bool,
}

impl Launchd {
    pub fn of(uid: u32) -> Self {
        Self {
            uid,
            inner: RefCell::default(),
        }
    }

    /// What was asked since the last time.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.inner.borrow_mut().asked)
    }

    pub fn switch_off(&mut self, word: &'static str) {
        self.inner.get_mut().off = Some(word);
    }

    pub fn ends_in(&mut self, time: Duration) {
        self.inner.get_mut().ends_in = time;
    }

    pub fn busy_for(&mut self, times: u32) {
        self.inner.get_mut().busy = times;
    }

    pub fn boot_out(&mut self) {
        let inner = self.inner.get_mut();
        (inner.loaded, inner.pid) = (false, None);
    }

    pub fn crash(&mut self) {
        self.inner.get_mut().pid = None;
    }

    pub fn leave(&mut self) {
        self.inner.get_mut().away = true;
    }

    pub fn remove(&mut self) {
        self.inner.get_mut().missing = true;
    }

    fn answer(&self, arguments: &[&str]) -> (i32, String, String) {
        let (domain, target) = (
            format!("gui/{}", self.uid),
            format!("gui/{}/{LABEL}", self.uid),
        );
        let mut inner = self.inner.borrow_mut();
        let fine = |out: &str| (0, out.to_owned(), String::new());
        let no = |code: i32, err: &str| (code, String::new(), err.to_owned());
        if inner.away && arguments.first() != Some(&"enable") {
            return no(125, "Domain does not support specified action");
        }
        match arguments {
            ["print", of] if *of == target => {
                let ending = inner.ending > Duration::ZERO;
                if !inner.loaded && !ending {
                    let words = format!(
                        "Bad request.\nCould not find service \"{LABEL}\" in domain for user gui: {}",
                        self.uid
                    );
                    return no(113, &words);
                }
                fine(&printed(&target, inner.pid.filter(|_| !ending)))
            }
            ["print-disabled", of] if *of == domain => {
                let own = inner.off.map(|word| format!("\t\t\"{LABEL}\" => {word}\n"));
                fine(&format!(
                    "\n\tdisabled services = {{\n\t\t\"com.apple.ftpd\" => disabled\n\t\t\"{LABEL}2\" => true\n{}\t}}\n",
                    own.unwrap_or_default()
                ))
            }
            ["enable", of] if *of == target => {
                inner.off = None;
                fine("")
            }
            ["bootstrap", of, plist] if *of == domain => {
                if inner.ending > Duration::ZERO || inner.busy > 0 {
                    inner.busy = inner.busy.saturating_sub(1);
                    return if inner.busy.is_multiple_of(2) {
                        no(37, "Bootstrap failed: 37: Operation already in progress")
                    } else {
                        no(5, "Bootstrap failed: 5: Input/output error")
                    };
                }
                let value = plist::Value::from_file(Path::new(plist)).ok();
                let label = value
                    .as_ref()
                    .and_then(|value| value.as_dictionary()?.get("Label")?.as_string());
                if inner.loaded || inner.off.is_some() || label != Some(LABEL) {
                    return no(5, "Bootstrap failed: 5: Input/output error");
                }
                inner.start();
                fine("")
            }
            ["bootout", of] if *of == target => {
                if !inner.loaded {
                    return no(3, "Boot-out failed: 3: No such process");
                }
                (inner.loaded, inner.pid) = (false, None);
                inner.ending = inner.ends_in;
                fine("")
            }
            ["kickstart", "-k", of] if *of == target => {
                if !inner.loaded {
                    return no(
                        113,
                        &format!(
                            "Could not find service \"{LABEL}\" in domain for user gui: {}",
                            self.uid
                        ),
                    );
                }
                inner.start();
                fine("")
            }
            other => panic!("launchctl knows no such thing, or it is for another user: {other:?}"),
        }
    }
}

impl Inner {
    fn start(&mut self) {
        self.starts += 1;
        (self.loaded, self.pid) = (true, Some(700 + self.starts));
    }
}

impl Port for Launchd {
    fn run(&self, program: &str, arguments: &[&str], _limit: Duration) -> io::Result<Said> {
        assert_eq!(program, "/bin/launchctl");
        if self.inner.borrow().missing {
            return Err(io::ErrorKind::NotFound.into());
        }
        let (code, out, err) = self.answer(arguments);
        let line = format!("launchctl {} -> {code}", arguments.join(" "));
        self.inner.borrow_mut().asked.push(line);
        Ok(Said {
            code: Some(code),
            out,
            err,
        })
    }

    fn pause(&self, time: Duration) {
        let mut inner = self.inner.borrow_mut();
        inner.ending = inner.ending.saturating_sub(time);
        inner.asked.push(format!("{} ms later", time.as_millis()));
    }
}

/// As it prints a service, with the same words again further down, of something else.
fn printed(target: &str, pid: Option<u32>) -> String {
    let (state, pid) = match pid {
        Some(pid) => ("running", format!("\tpid = {pid}\n")),
        None => ("not running", String::new()),
    };
    format!(
        "{target} = {{\n\tactive count = 1\n\tpath = /Users/ada/Library/LaunchAgents/{LABEL}.plist\n\ttype = LaunchAgent\n\tstate = {state}\n\n\
         \tprogram = /Applications/Backupwatch.app/Contents/MacOS/backupwatch\n{pid}\tlast exit code = (never exited)\n\
         \tendpoints = {{\n\t\t\"port\" = {{\n\t\t\tstate = running\n\t\t\tpid = 99999\n\t\t}}\n\t}}\n}}\n"
    )
}
