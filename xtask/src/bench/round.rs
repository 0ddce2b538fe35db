//! A case with all its clients: one after the other, again and again, each alone with the phone and the disk.

use super::{
    Bench,
    cases::{Case, Work},
    clients::{self, Client, Place},
    disk, floor,
    measure::{self, Run},
    phone::Phone,
    report::{Cell, Section},
};
use anyhow::{Context as _, Result, bail};
use std::{fs, path::PathBuf, time::Duration};

/// Where time matters, a client that has used so many seconds of a case is not run again in it.
const ENOUGH: f64 = 15.0;
/// … and later than this no case has a second round.
const LATE: Duration = Duration::from_secs(7 * 60);

pub(super) fn of(bench: &Bench, case: &'static Case) -> Section {
    match measure_all(bench, case) {
        Ok(section) => section,
        Err(why) => Section::left_out(case, &format!("{why:#}")),
    }
}

fn measure_all(bench: &Bench, case: &'static Case) -> Result<Section> {
    let mut phone = Phone::of(bench, case)?;
    let mut section = Section::new(case, phone.files, phone.bytes);
    let wanted = |client: &Client| {
        bench.only.is_empty() || bench.only.iter().any(|name| name == client.name())
    };
    section.cells = case
        .clients
        .iter()
        .copied()
        .filter(wanted)
        .map(Cell::of)
        .collect();
    if case.work != Work::Full {
        for cell in section
            .cells
            .iter_mut()
            .filter(|cell| cell.trouble.is_none())
        {
            let made = back_up(bench, &mut phone, cell.client, Work::Full);
            cell.first(made);
        }
    }
    for number in 1..=bench.runs {
        if bench.in_time && number > 1 && bench.started.elapsed() > LATE {
            break;
        }
        round(bench, case, &mut phone, &mut section.cells, number)?;
    }
    if case.work == Work::Full {
        level_the_floor(bench, case, &mut phone, &mut section.cells);
    }
    Ok(section)
}

/// The copy as often as was asked for, however long ours took: a disk's moods are larger than those of a client.
fn level_the_floor(bench: &Bench, case: &Case, phone: &mut Phone, cells: &mut [Cell]) {
    for cell in cells.iter_mut().filter(|cell| cell.client == Client::Copy) {
        while cell.trouble.is_none() && (1..bench.runs).contains(&cell.runs.len()) {
            let run = copy_anew(bench, case, phone);
            cell.add(cell.runs.len() + 1, run);
        }
    }
}

/// A copy of our tree, which must be there, in the place of the copy before.
fn copy_anew(bench: &Bench, case: &Case, phone: &mut Phone) -> Result<Run> {
    put_away(bench, case, Client::Copy)?;
    back_up(bench, phone, Client::Copy, Work::Full)
}

/// Every client once.
fn round(
    bench: &Bench,
    case: &Case,
    phone: &mut Phone,
    cells: &mut [Cell],
    number: usize,
) -> Result<()> {
    if case.work == Work::Incremental {
        phone.mutate()?;
    }
    let mut ours_is_there = false;
    for cell in cells {
        let client = cell.client;
        let nothing_to_copy = client == Client::Copy && !ours_is_there;
        let enough = bench.in_time && cell.used() > ENOUGH;
        if cell.trouble.is_some() || enough || nothing_to_copy {
            continue;
        }
        let run = match case.work {
            Work::Full => {
                if client != Client::Copy {
                    clear(bench, case, client)?;
                }
                back_up(bench, phone, client, Work::Full)
            }
            Work::Incremental => back_up(bench, phone, client, Work::Incremental),
            Work::Verify => verify(bench, phone),
        };
        ours_is_there = client == Client::Backupwatch && run.is_ok();
        cell.add(number, run);
    }
    Ok(())
}

impl Cell {
    fn of(client: Client) -> Self {
        let trouble = client.missing();
        if let Some(why) = &trouble {
            println!("LEFT OUT: {why}");
        }
        let runs = Vec::new();
        Self {
            client,
            runs,
            trouble,
        }
    }

    fn used(&self) -> f64 {
        self.runs.iter().map(|run| run.seconds).sum()
    }

    /// The backup that is there before anything counts.
    fn first(&mut self, made: Result<Run>) {
        if let Some(run) = self.note(made) {
            println!(
                "{}, a first backup: {:.2} s",
                self.client.name(),
                run.seconds
            );
        }
    }

    fn add(&mut self, number: usize, run: Result<Run>) {
        if let Some(run) = self.note(run) {
            println!("{} {number}: {:.2} s", self.client.name(), run.seconds);
            self.runs.push(run);
        }
    }

    fn note(&mut self, run: Result<Run>) -> Option<Run> {
        let why = match run {
            Ok(run) => return Some(run),
            Err(why) => format!("{why:#}"),
        };
        println!("{} FAILED: {why}", self.client.name());
        self.trouble = Some(why);
        None
    }
}

/// One backup into the client's own folder, which the phone must call finished, and of this kind.
fn back_up(bench: &Bench, phone: &mut Phone, client: Client, work: Work) -> Result<Run> {
    let home = home(bench, client);
    let place = Place::new(bench, &phone.socket, &phone.udid, &home);
    fs::create_dir_all(place.root())?;
    disk::settle(&bench.scratch)?;
    if client == Client::Copy && work == Work::Incremental {
        floor::note_changes(&place.ours(), &phone.udid, &home)?;
    }
    let run = measure::run(client.backup(&place, work), &home.join("log"))?;
    if client != Client::Copy {
        let kind = match work {
            Work::Full | Work::Verify => "Full",
            Work::Incremental => "Incremental",
        };
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

/// Makes room for a client. Ours stays until its own turn comes: the floor is made of it, after the last round as well.
fn clear(bench: &Bench, case: &Case, whose: Client) -> Result<()> {
    let goes = |client: &Client| *client != Client::Backupwatch || whose == *client;
    for client in Client::ALL.into_iter().filter(goes) {
        put_away(bench, case, client)?;
    }
    Ok(())
}

/// What a client has made is gone, or where it is in nobody's way.
fn put_away(bench: &Bench, case: &Case, client: Client) -> Result<()> {
    let home = home(bench, client);
    if !home.exists() {
        return Ok(());
    }
    if case.small_files {
        return disk::put_aside(bench, &home);
    }
    fs::remove_dir_all(&home).with_context(|| format!("failed to put {} away", home.display()))
}
