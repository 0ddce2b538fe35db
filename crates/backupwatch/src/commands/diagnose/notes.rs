//! Reading the phone's notes out of our newest backup of it, with the person's password where it takes one.

use super::Case;
use crate::{
    cli::Diagnose,
    failure::Failure,
    long_work::{self, LongWork},
    password::{self, Asked},
    stored,
    terminal::Terminal,
};
use backupwatch_agent::{diagnosis::Found, exit::ExitCode};
use backupwatch_backup::{
    Held, Which,
    verify::{NotRead, Password},
};
use backupwatch_core::evidence::Books;
use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::signal::unix::{SignalKind, signal};

/// How often a password may be mistyped.
const TRIES: usize = 3;

pub enum Read {
    Found(Box<Found>),
    /// There is nothing to be read; a sentence where the person should know why.
    Not(Option<String>),
    Interrupted,
}

/// Where a password comes from.
#[derive(Clone, Copy)]
enum From {
    /// One line on standard input, which has to be right.
    Input,
    /// A person, who may mistype it, or go on without it.
    Person,
    Nowhere,
}

pub async fn read(case: &Case<'_>, wanted: &Diagnose) -> Result<Read, Failure> {
    let Some(store) = &case.store else {
        return Ok(Read::Not(None));
    };
    let copy = store.current(&case.udid);
    let copy = copy.map_err(|error| stored::refused(&error))?;
    if copy.is_none() {
        return Ok(Read::Not(None));
    }
    // Where the list of files of an encrypted backup is opened: nobody else looks into that folder.
    let state = case.setup.paths.create_state();
    state.map_err(|error| Failure::from_error(ExitCode::Usage, "state", &error))?;
    let from = if wanted.password_stdin {
        From::Input
    } else if case.terminal.is_interactive() && !wanted.json {
        From::Person
    } else {
        From::Nowhere
    };
    let mut password = None;
    for number in 1.. {
        let held = store.open_version(&case.udid, &Which::Current);
        let held = held.map_err(|error| stored::refused(&error))?;
        let scratch = case.setup.paths.state.clone();
        let wrong = match open(case.terminal, wanted.json, held, password.take(), scratch).await? {
            Ok(books) => {
                let found = Found {
                    copy,
                    books: Some(books),
                };
                return Ok(Read::Found(Box::new(found)));
            }
            Err(NotRead::Stopped) => return Ok(Read::Interrupted),
            Err(NotRead::NotThere) => return Ok(Read::Not(None)),
            Err(NotRead::PasswordWanted) => false,
            Err(NotRead::WrongPassword) => true,
            Err(why @ (NotRead::Unreadable(_) | NotRead::Disk(_))) => {
                return Ok(Read::Not(Some(format!(
                    "The phone’s notes in the local backup cannot be read: {why}."
                ))));
            }
        };
        let asked = match from {
            From::Nowhere => return Ok(Read::Not(None)),
            From::Input if wrong => return Err(wrong_password()),
            From::Person if wrong && number > TRIES => return Err(wrong_password()),
            From::Input => match password::demand(case.terminal).await? {
                Some(password) => Asked::Password(password),
                None => Asked::Interrupted,
            },
            From::Person => {
                let prompt = if wrong {
                    "That is not the password. Try again, or press Return to go on without it: "
                } else {
                    "The phone’s own notes are inside the encrypted backup. Its password (Return to go on without it): "
                };
                password::ask(case.terminal, prompt).await?
            }
        };
        match asked {
            Asked::Password(given) => password = Some(given),
            Asked::Nothing => return Ok(Read::Not(None)),
            Asked::Interrupted => return Ok(Read::Interrupted),
        }
    }
    Ok(Read::Not(None))
}

fn wrong_password() -> Failure {
    Failure::new(
        ExitCode::Usage,
        "wrong_password",
        "the password does not open the backup",
    )
    .next("It is the one that was chosen for local backups, in Finder or by `Encrypt local backup`; not the passcode of the phone.")
}

/// Opens the backup and reads, which takes seconds with a password, and can be stopped.
async fn open(
    terminal: Terminal,
    json: bool,
    held: Held,
    password: Option<Password>,
    scratch: PathBuf,
) -> Result<Result<Books, NotRead>, Failure> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let stop = Arc::new(AtomicBool::new(false));
    let halt = Arc::clone(&stop);
    let has_password = password.is_some();
    let mut reading =
        tokio::task::spawn_blocking(move || held.books(password.as_ref(), &scratch, &halt));
    let mut work = LongWork::new(terminal, json || !has_password);
    let mut ticks = tokio::time::interval(long_work::TICK);
    let read = loop {
        tokio::select! {
            read = &mut reading => break read,
            _ = ticks.tick() => work.show((), 0, |_| "opening the encrypted backup".to_owned()),
            _ = interrupt.recv() => stop.store(true, Ordering::Relaxed),
            _ = terminate.recv() => stop.store(true, Ordering::Relaxed),
            _ = hangup.recv() => stop.store(true, Ordering::Relaxed),
        }
    };
    work.end();
    read.map_err(|error| Failure::from_error(ExitCode::Internal, "internal", &error))
}
