//! `export`: a backup as Finder and other programs look for it, in Finder's folder or another one.

mod shown;

use crate::{
    choice,
    cli::Export,
    failure::Failure,
    long_work::{self, LongWork},
    setup,
    setup::Setup,
    stored,
    terminal::Terminal,
    words,
};
use backupwatch_agent::{
    api::words::SCHEMA,
    clock::{Clock as _, SystemClock},
    exit::ExitCode,
    status::DeviceStatus,
};
use backupwatch_backup::{ExportError, Exported, Held, StoreError, store};
use serde::Serialize;
use std::{
    ffi::OsStr,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

/// Where Finder and iTunes keep their backups, below the home folder.
const FINDERS: &str = "Library/Application Support/MobileSync/Backup";

/// What `export --json` prints.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Report<'a> {
    schema: u32,
    /// The UDID.
    device: &'a str,
    /// Which backup, by the name that `--version` takes.
    version: &'a str,
    path: &'a Path,
    files: u64,
    bytes: u64,
    /// The files are clones, which take no room until they are changed.
    cloned: bool,
    /// Where the older backup is that was in its place.
    aside: Option<&'a Path>,
}

pub async fn run(terminal: Terminal, setup: &Setup, wanted: &Export) -> Result<ExitCode, Failure> {
    let to = target(&wanted.to)?;
    let (store, device) =
        stored::find(setup, wanted.root.as_deref(), wanted.device.as_deref()).await?;
    let udid = choice::udid(&device)?;
    let all = store.versions(&udid);
    let all = all.map_err(|error| stored::refused(&error))?;
    let which = stored::which(&all, wanted.version.as_deref())?;
    let held = store.open_version(&udid, &which);
    let held = held.map_err(|error| stored::refused(&error))?;
    let exported = match copy(terminal, wanted.json, held, to.clone()).await? {
        Ok(exported) => exported,
        Err(ExportError::Stopped) => {
            terminal.say("Stopped. Nothing was exported, and what was in the folder is as it was.");
            return Ok(ExitCode::Interrupted);
        }
        Err(error) => return Err(refused(&error, is_finders(&wanted.to))),
    };
    let report = Report {
        schema: SCHEMA,
        device: &device.udid,
        version: which.name(),
        path: &exported.path,
        files: exported.files,
        bytes: exported.bytes,
        cloned: exported.cloned,
        aside: exported.aside.as_deref(),
    };
    if wanted.json {
        super::json(terminal, &report)?;
    } else {
        terminal.data(&said(&device, &exported))?;
    }
    Ok(ExitCode::Ok)
}

fn is_finders(to: &Path) -> bool {
    to.as_os_str() == OsStr::new("finder")
}

/// The folder that is meant.
fn target(to: &Path) -> Result<PathBuf, Failure> {
    if !is_finders(to) {
        return Ok(to.to_owned());
    }
    if !cfg!(target_os = "macos") {
        return Err(
            Failure::new(ExitCode::Usage, "no_finder", "Finder is only on a Mac")
                .next("Name a folder instead, `--to DIR`, and copy what is in it to a Mac."),
        );
    }
    let folder = setup::home()?.join(FINDERS);
    // It is not there before the first backup by Finder.
    match std::fs::create_dir_all(&folder).and_then(|()| std::fs::read_dir(&folder)) {
        Ok(_) => Ok(folder),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(no_access()),
        Err(error) => Err(Failure::new(
            ExitCode::Usage,
            "finders_folder",
            format!(
                "Finder's folder {} cannot be used: {error}",
                folder.display()
            ),
        )),
    }
}

/// macOS keeps that folder from every program that was not let in.
fn no_access() -> Failure {
    Failure::new(
        ExitCode::Usage,
        "full_disk_access",
        "macOS does not let this program into Finder's folder of backups",
    )
    .next(
        "Open System Settings, Privacy & Security, Full Disk Access, and allow the program in which you type this \
         (Terminal, for example). Then quit and open that program again, and repeat the command.",
    )
}

/// Copies, and shows how far it is. Ctrl-c, a shutdown and a terminal that is closed stop it.
async fn copy(
    terminal: Terminal,
    json: bool,
    held: Held,
    to: PathBuf,
) -> Result<Result<Exported, ExportError>, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    let (tell, mut follow) = watch::channel(None);
    let halt = Arc::clone(&stop);
    let mut copying = tokio::task::spawn_blocking(move || {
        let wanted = backupwatch_backup::Export {
            held: &held,
            to: &to,
            utc_offset_s: SystemClock.utc_offset_s(),
        };
        let mut progress = |at| {
            tell.send_replace(Some(at));
        };
        store::export(&wanted, &mut progress, &halt)
    });
    let mut work = LongWork::new(terminal, json);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut ticks = tokio::time::interval(long_work::TICK);
    let copied = loop {
        tokio::select! {
            copied = &mut copying => break copied,
            _ = ticks.tick() => {
                if let Some(at) = *follow.borrow_and_update() {
                    shown::progress(&mut work, &at);
                }
            }
            _ = tokio::signal::ctrl_c() => stop.store(true, Ordering::Relaxed),
            _ = terminate.recv() => stop.store(true, Ordering::Relaxed),
            _ = hangup.recv() => stop.store(true, Ordering::Relaxed),
        }
    };
    work.end();
    copied.map_err(|error| Failure::from_error(ExitCode::Internal, "internal", &error))
}

/// What a person reads at the end.
fn said(device: &DeviceStatus, exported: &Exported) -> String {
    let name = device.nickname.as_ref().or(device.name.as_ref());
    let how = if exported.cloned {
        ", as clones, which take no room of their own"
    } else {
        ""
    };
    let mut text = format!(
        "The backup of {} is now in {}: {}, {}{how}. Every file was read and is as it arrived.",
        name.unwrap_or(&device.udid),
        exported.path.display(),
        words::files(exported.files),
        words::bytes(exported.bytes),
    );
    if let Some(aside) = &exported.aside {
        text.push_str(&format!(
            "\nThe older backup that was there is kept as {}.",
            aside.display()
        ));
    }
    text
}

/// An export that was not made. What was in the folder is as it was.
fn refused(error: &ExportError, finders: bool) -> Failure {
    let failure = |code, name| Failure::new(code, name, error.to_string());
    let usage = |name| failure(ExitCode::Usage, name);
    match error {
        ExportError::NotVerified => failure(ExitCode::VerificationFailed, "not_verified")
            .next(
                "Look at it with `backupwatch verify`, or make a new one by `backupwatch backup`. If the phone is gone and this \
                 is all there is, copy the folder that `backupwatch versions --json` names; most of it may be good.",
            ),
        ExportError::Rotten { .. } | ExportError::NotWhole { .. } => {
            failure(ExitCode::VerificationFailed, "damaged").next(
                "Nothing was exported. `backupwatch verify` says what is lost; `backupwatch versions` lists the other backups.",
            )
        }
        ExportError::InStore { .. } => usage("in_store").next("Name a folder outside of it."),
        ExportError::Newer { .. } => usage("newer_there")
            .next("It was left alone. Name another folder, or move that backup away first."),
        ExportError::Already { .. } => usage("already_there"),
        ExportError::Unknown { .. } => usage("unknown_there")
            .next("It was left alone. Move it away, or name another folder."),
        ExportError::NoRoom { need, free, .. } => Failure::new(
            ExitCode::BackupFailed,
            "no_room",
            format!(
                "there is too little room: the backup needs {}, and {} are free",
                words::bytes(*need),
                words::bytes(*free)
            ),
        ),
        ExportError::Busy { .. } => usage("busy").next("Let it finish, and try again."),
        ExportError::Store(StoreError::NotPermitted { .. })
            if finders && cfg!(target_os = "macos") =>
        {
            no_access()
        }
        ExportError::Store(StoreError::RootMissing { path } | StoreError::NotAFolder { path }) => {
            Failure::new(
                ExitCode::Usage,
                "no_folder",
                format!("{} is not a folder that is there", path.display()),
            )
            .next("Make it, or connect its disk.")
        }
        ExportError::Store(error) => {
            let refused = stored::refused(error);
            Failure {
                code: ExitCode::BackupFailed,
                ..refused
            }
        }
        ExportError::Stopped | ExportError::Check(_) => {
            Failure::from_error(ExitCode::Internal, "export", error)
        }
    }
}
