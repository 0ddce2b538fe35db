//! A case with all its clients: one after the other, again and again, each alone with the phone and the disk.

use super::{
    Bench,
    cases::{Case, Work},
    clients::{self, Client, Place},
    measure::{self, Run},
    phone::Phone,
    report::{Cell, Section},
};
use anyhow::{Context as _, Result, bail};
use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
};

/// A client that has used so many seconds of a case is not run again in it.
const ENOUGH: f64 = 15.0;

pub(super) fn of(bench: &Bench, case: &'static Case) -> Section {
    match measure_all(bench, case) {
        Ok(section) => section,
        Err(why) => Section::left_out(case, &format!("{why:#}")),
    }
}

fn measure_all(bench: &Bench, case: &'static Case) -> Result<Section> {
    let mut phone = Phone::of(bench, case)?;
    let mut section = Section::new(case, phone.files, phone.bytes);
    for client in case.clients.iter().copied() {
        if bench.only.is_empty() || bench.only.iter().any(|name| name == client.name()) {
            let trouble = client.missing();
            if let Some(why) = &trouble {
                println!("LEFT OUT: {why}");
            }
            let runs = Vec::new();
            section.cells.push(Cell {
                client,
                runs,
                trouble,
            });
        }
    }
    for cell in &mut section.cells {
        if matches!(case.work, Work::Incremental | Work::Verify) && cell.trouble.is_none() {
            let made = back_up(bench, &mut phone, cell.client, "Full");
            cell.note("the backup before", made.map(drop));
        }
    }
    for round in 1..=bench.runs {
        if case.work == Work::Incremental {
            phone.mutate()?;
        }
        for cell in &mut section.cells {
            let client = cell.client;
            let used: f64 = cell.runs.iter().map(|run| run.seconds).sum();
            let nothing_to_copy =
                client == Client::Copy && !home(bench, Client::Backupwatch).exists();
            if cell.trouble.is_some() || used > ENOUGH || nothing_to_copy {
                continue;
            }
            let run = match case.work {
                Work::Full => {
                    if client != Client::Copy {
                        clear(bench)?;
                    }
                    back_up(bench, &mut phone, client, "Full")
                }
                Work::Incremental => back_up(bench, &mut phone, client, "Incremental"),
                Work::Verify => verify(bench, &phone),
            };
            if let Ok(run) = &run {
                println!("{} {round}: {:.2} s", client.name(), run.seconds);
                cell.runs.push(*run);
            }
            cell.note("this run", run.map(drop));
        }
    }
    Ok(section)
}

impl Cell {
    fn note(&mut self, what: &str, result: Result<()>) {
        if let Err(why) = result {
            println!("{}, {what}: {why:#}", self.client.name());
            self.trouble = Some(format!("{why:#}"));
        }
    }
}

/// One backup into the client's own folder, which the phone must call finished, and of this kind.
fn back_up(bench: &Bench, phone: &mut Phone, client: Client, kind: &str) -> Result<Run> {
    let home = home(bench, client);
    let place = Place::new(bench, &phone.socket, &phone.udid, &home);
    fs::create_dir_all(place.root())?;
    settle(&bench.scratch)?;
    let run = measure::run(client.backup(&place), &home.join("log"))?;
    if client != Client::Copy {
        let was = phone.finished()?;
        if !was.starts_with(kind) {
            bail!("the phone calls it {was}");
        }
    }
    Ok(run)
}

fn verify(bench: &Bench, phone: &Phone) -> Result<Run> {
    let home = home(bench, Client::Backupwatch);
    let place = Place::new(bench, &phone.socket, &phone.udid, &home);
    let mut command = clients::backupwatch(&place);
    command.args(["verify", &phone.udid, "--level", "L2"]);
    measure::run(command, &home.join("log"))
}

/// Where a client has its backups and all else that it keeps.
fn home(bench: &Bench, client: Client) -> PathBuf {
    bench.scratch.join(client.name())
}

fn clear(bench: &Bench) -> Result<()> {
    for home in Client::ALL.map(|client| home(bench, client)) {
        if home.exists() {
            let gone = fs::remove_dir_all(&home);
            gone.with_context(|| format!("failed to remove {}", home.display()))?;
        }
    }
    Ok(())
}

/// What the one before left to be written must not slow down the next.
fn settle(scratch: &Path) -> Result<()> {
    let folder = File::open(scratch)?;
    #[cfg(target_os = "linux")]
    rustix::fs::syncfs(&folder)?;
    #[cfg(not(target_os = "linux"))]
    folder.sync_all()?;
    Ok(())
}

/// Writes a tree as our store does, and does nothing else: each file under another name first, then one sync for all.
pub(super) fn copy(from: &Path, to: &Path) -> Result<()> {
    let mut buffer = vec![0; 1 << 20];
    copy_folder(from, to, &mut buffer)?;
    settle(to)
}

fn copy_folder(from: &Path, to: &Path, buffer: &mut [u8]) -> Result<()> {
    for entry in fs::read_dir(from).with_context(|| format!("failed to read {}", from.display()))? {
        let entry = entry?;
        let name = entry.file_name();
        let target = to.join(&name);
        if entry.file_type()?.is_dir() {
            // Our own notes are no part of a backup.
            if name != ".backupwatch" {
                fs::create_dir(&target)?;
                copy_folder(&entry.path(), &target, buffer)?;
            }
            continue;
        }
        let part = to.join("part");
        let (mut source, mut sink) = (File::open(entry.path())?, File::create_new(&part)?);
        // Not `io::copy`, which lets the file system share the blocks.
        loop {
            let count = source.read(buffer)?;
            let Some(piece) = buffer.get(..count).filter(|piece| !piece.is_empty()) else {
                break;
            };
            sink.write_all(piece)?;
        }
        fs::rename(&part, &target)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::copy;
    use std::fs;

    #[test]
    fn a_copy_has_every_file_and_none_of_our_notes() {
        let folder = std::env::temp_dir().join(format!("xtask-copy-{}", std::process::id()));
        let (from, to) = (folder.join("from"), folder.join("to"));
        for name in ["UDID/00", "UDID/ff", ".backupwatch/state"] {
            fs::create_dir_all(from.join(name)).unwrap();
        }
        fs::create_dir_all(&to).unwrap();
        fs::write(from.join("UDID/00/one"), vec![7; (1 << 20) + 3]).unwrap();
        fs::write(from.join("UDID/Status.plist"), "state").unwrap();
        copy(&from, &to).unwrap();
        assert_eq!(
            fs::read(to.join("UDID/00/one")).unwrap().len(),
            (1 << 20) + 3
        );
        assert_eq!(fs::read(to.join("UDID/Status.plist")).unwrap(), b"state");
        assert!(to.join("UDID/ff").is_dir() && !to.join(".backupwatch").exists());
        assert!(!to.join("UDID/00/part").exists());
        fs::remove_dir_all(&folder).unwrap();
    }
}
