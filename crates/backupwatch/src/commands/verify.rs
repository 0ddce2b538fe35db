//! `verify`: looks at a backup again and says what of it is as it arrived. It reads the store itself, beside an agent or
//! without one (a backup that runs meanwhile works on a tree of its own), and then tells the agent, or the state, what it found.

pub mod found;
mod shown;

use crate::{
    choice,
    cli::Verify,
    failure::Failure,
    long_work::{self, LongWork},
    password, reach,
    setup::Setup,
    stored,
    terminal::Terminal,
};
use backupwatch_agent::{clock::SystemClock, exit::ExitCode, verification::Verification};
use backupwatch_backup::{
    Clock as _, Held, LookError, VerifyReport,
    verify::{Deep, Password, PasswordSays, Sample, VerifyError},
};
use backupwatch_core::{HostTime, Level};
use found::Found;
use jiff::tz::TimeZone;
use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::JoinError,
};

pub async fn run(terminal: Terminal, setup: &Setup, wanted: &Verify) -> Result<ExitCode, Failure> {
    let password = if wanted.password_stdin {
        match password::demand(terminal).await? {
            Some(password) => Some(password),
            None => return Ok(stopped(terminal)),
        }
    } else {
        None
    };
    let root = wanted.root.as_deref();
    let (store, device) = stored::find(setup, root, wanted.device.as_deref()).await?;
    let udid = choice::udid(&device)?;
    let all = store
        .versions(&udid)
        .map_err(|error| stored::refused(&error))?;
    let which = stored::which(&all, wanted.version.as_deref())?;
    let held = store.open_version(&udid, &which);
    let held = held.map_err(|error| stored::refused(&error))?;
    // Where the manifest of an encrypted backup is opened: nobody else looks into that folder.
    let state = setup.paths.create_state();
    state.map_err(|error| Failure::from_error(ExitCode::Usage, "state", &error))?;
    let asked = wanted.level.into();
    let order = Order {
        held,
        asked,
        password,
        sample: wanted.sample.map_or(Sample::All, |percent| Sample::Part {
            fraction: percent.fraction(),
            seed: u64::from(now().0.subsec_nanosecond().unsigned_abs()),
        }),
        scratch: setup.paths.state.clone(),
    };
    let Some((held, report)) = look(terminal, wanted.json, order).await? else {
        return Ok(stopped(terminal));
    };
    let at = now();
    let kept = store.learn(&held, &report, asked, at);
    if let Err(error) = kept {
        terminal.say(&format!(
            "What was found cannot be kept: {}",
            stored::refused(&error).message
        ));
    }
    let check = Verification::of(&udid, &held, &report, asked, at);
    if let Err(failure) = tell(setup, root, check).await {
        terminal.say(&format!(
            "What was found is not in the history: {}",
            failure.message
        ));
    }
    let found = Found::of(&store, &device, &held, &report, asked, at);
    if wanted.json {
        super::json(terminal, &found)?;
    } else {
        terminal.data(&found::words(terminal, &found, &TimeZone::system()))?;
    }
    Ok(exit_code(&report, asked))
}

/// Damage outranks a wrong password, and that outranks what could not be proved.
fn exit_code(report: &VerifyReport, asked: Level) -> ExitCode {
    if report.wrong > 0 {
        ExitCode::VerificationFailed
    } else if report.password == PasswordSays::Wrong {
        ExitCode::Usage
    } else if report.level < Some(asked) {
        ExitCode::AtRisk
    } else {
        ExitCode::Ok
    }
}

fn now() -> HostTime {
    SystemClock.now()
}

fn stopped(terminal: Terminal) -> ExitCode {
    terminal.say("Stopped. The backup is as it was, and nothing is known that was not before.");
    ExitCode::Interrupted
}

/// What is looked at, and how.
struct Order {
    held: Held,
    asked: Level,
    password: Option<Password>,
    sample: Sample,
    scratch: PathBuf,
}

/// Looks, and shows how far it is. `None` when it was stopped.
async fn look(
    terminal: Terminal,
    json: bool,
    order: Order,
) -> Result<Option<(Held, VerifyReport)>, Failure> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let stop = Arc::new(AtomicBool::new(false));
    let (tell, mut follow) = watch::channel(None);
    let halt = Arc::clone(&stop);
    let mut looking = tokio::task::spawn_blocking(move || {
        let how = Deep {
            level: order.asked,
            password: order.password.as_ref(),
            sample: order.sample,
            ledger: None,
            scratch: &order.scratch,
        };
        let progress = |progress| {
            tell.send_replace(Some(progress));
        };
        let looked = order.held.verify(&how, &progress, &halt);
        looked.map(|report| (order.held, report))
    });
    let mut work = LongWork::new(terminal, json);
    let mut ticks = tokio::time::interval(long_work::TICK);
    let looked = loop {
        tokio::select! {
            looked = &mut looking => break looked,
            _ = ticks.tick() => {
                if let Some(progress) = *follow.borrow_and_update() {
                    shown::progress(&mut work, &progress);
                }
            }
            _ = interrupt.recv() => stop.store(true, Ordering::Relaxed),
            _ = terminate.recv() => stop.store(true, Ordering::Relaxed),
            _ = hangup.recv() => stop.store(true, Ordering::Relaxed),
        }
    };
    work.end();
    match looked.map_err(|error| broken(&error))? {
        Ok(looked) => Ok(Some(looked)),
        Err(LookError::Verify(VerifyError::Stopped)) => Ok(None),
        Err(LookError::Store(error)) => Err(stored::refused(&error)),
        Err(LookError::Verify(error)) => {
            Err(Failure::from_error(ExitCode::Internal, "verify", &error))
        }
    }
}

/// The agent, or where none runs the state, learns of it: the history gets a line, and the status says what holds now.
async fn tell(setup: &Setup, root: Option<&Path>, check: Verification) -> Result<(), Failure> {
    match reach::agent(setup).await? {
        // An agent keeps to its own folder, and has nothing to learn of another one.
        Some(_) if root.is_some_and(|root| root != setup.root_of(&check.udid)) => {}
        Some(client) => {
            let told = client.verified(&check).await;
            told.map_err(|error| reach::refused_by_agent(&error))?;
        }
        None => {
            let process = reach::in_process(setup, root)?;
            let told = process.desk().verified(check).await;
            let finished = process.finish().await;
            told.map_err(|refusal| reach::refused(&refusal))?;
            finished.map_err(|error| reach::start(&error))?;
        }
    }
    Ok(())
}

fn broken(error: &JoinError) -> Failure {
    Failure::from_error(ExitCode::Internal, "internal", error)
}
