//! What goes wrong in a backup, told in one way: a verified backup is there, the phone lives on, the fault strikes, the person is
//! told in a sentence, the backup before is as it was to the byte, and without the fault the next run ends well.

use crate::{
    table::{Said, Table},
    tree::{Entry, Tree},
};
use backupwatch_sim::{
    contents::FileId, faults::Faults, mobilebackup2::ROGUE_CONTENT, persona::Persona,
};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

/// One fault, and what our binary has to make of it.
#[derive(Debug, Clone)]
pub struct Row {
    pub name: String,
    /// The persona's section `[faults]`. `{home}` in it is a folder of the person's, outside of the backups; `{big}` the blob of
    /// the phone's big file; `{udid}` is the phone's to fill in.
    pub faults: String,
    pub code: i32,
    /// What the person has to read, on standard output.
    pub says: String,
}

/// Short for a table's sake.
#[must_use]
pub fn row(name: &str, faults: &str, code: i32, says: &str) -> Row {
    Row {
        name: name.to_owned(),
        faults: faults.to_owned(),
        code,
        says: says.to_owned(),
    }
}

/// A phone that is small enough to be backed up dozens of times: twenty photos with names that are easily got wrong, and a big
/// file for a fault to strike.
#[must_use]
pub fn small() -> Persona {
    let mut persona = Persona::plain("00008101-000A11112222F1E5", "Ada’s iPhone");
    persona.contents = toml::from_str(
        r#"
        seed = 9
        [[groups]]
        domain = "CameraRollDomain"
        prefix = "Media"
        count = 20
        size = [1000, 2000]
        names = ["IMG_{n}.HEIC", "Zoe\u0308 🎉 {n}.jpg"]
        [[files]]
        domain = "HomeDomain"
        path = "big"
        size = 200_000
        "#,
    )
    .expect("the contents are right");
    persona
}

/// Something changes on the small phone, the big file too.
pub fn live_on(table: &Table) {
    table.phone().phone().backup().change(|catalog| {
        catalog.mutate(30.0);
        let big = catalog.delete("HomeDomain", "big");
        big.expect("the big file is there");
        let big = catalog.add("HomeDomain", "big", 200_000);
        big.expect("there is room for it");
    });
}

/// The faults of a section, from the phone's next message on.
pub fn set_faults(table: &Table, section: &str) {
    let faults: Faults = toml::from_str(section).expect("the faults are right");
    table.phone().phone().backup().set_faults(faults);
}

/// Heals the phone and plugs it in again.
pub fn heal(table: &Table) {
    set_faults(table, "");
    table.phone().plug();
}

/// Tells every row on one small phone, and fails with the names of all that were told wrong.
#[track_caller]
pub fn tell(rows: &[Row]) {
    let table = Table::unix(small());
    table.back_up_well(&[]);
    each(rows, |row| &row.name, |row| tell_one(&table, row));
}

/// A row must not hide the next one. What it panicked with is on standard error.
#[track_caller]
pub fn each<R>(rows: &[R], name: impl Fn(&R) -> &str, mut tell: impl FnMut(&R)) {
    let mut wrong = Vec::new();
    for row in rows {
        if catch_unwind(AssertUnwindSafe(|| tell(row))).is_err() {
            wrong.push(name(row));
        }
    }
    let (bad, all) = (wrong.len(), rows.len());
    assert!(wrong.is_empty(), "{bad} of {all} rows are wrong: {wrong:?}");
}

fn tell_one(table: &Table, row: &Row) {
    let outside = table.home().join("outside");
    std::fs::create_dir_all(&outside).expect("a folder can be made");
    std::fs::write(outside.join("canary"), "sings").expect("a file can be written");
    live_on(table);
    let before = Before::of(table, &row.name);
    let surroundings = Tree::of(&outside);
    let big = FileId::of("HomeDomain", "big");
    let section = row
        .faults
        .replace("{home}", outside.to_str().expect("a path of letters"))
        .replace("{big}", &format!("{}/{big}", big.folder()));
    set_faults(table, &section);
    let said = table.back_up(&[]);
    heal(table);

    assert_told(&said, &row.name, row.code, &said.out, &row.says);
    surroundings.assert_untouched(&Tree::of(&outside), &row.name);
    assert_nothing_escaped(table, &row.name);
    if row.code == 0 {
        table.assert_whole();
    } else {
        before.assert_untouched(table);
    }
    table.back_up_well(&[]);
    if row.code != 0 {
        before.assert_is_the_version(table);
    }
    assert_nothing_escaped(table, &row.name);
}

/// The exit code, and one sentence where `told` has to have it. Neither a panic nor the log is a way to tell a person.
#[track_caller]
pub fn assert_told(said: &Said, name: &str, code: i32, told: &str, says: &str) {
    assert_eq!(said.code, Some(code), "{name}: {said:?}");
    assert!(told.contains(says), "{name}: no {says:?} in {said:?}");
    let log = said.err.contains("panicked") || said.err.contains("ERROR");
    assert!(!log, "{name}: {said:?}");
}

/// The current backup at one moment, to be held against what becomes of it.
pub struct Before {
    name: String,
    tree: Tree,
}

impl Before {
    #[must_use]
    pub fn of(table: &Table, name: &str) -> Self {
        Self::at(&table.tree(), name)
    }

    /// The backup in this folder, current or not.
    #[must_use]
    pub fn at(folder: &Path, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            tree: Tree::of(folder),
        }
    }

    /// It is still the current one, byte for byte.
    #[track_caller]
    pub fn assert_untouched(&self, table: &Table) {
        self.tree
            .assert_untouched(&Tree::of(&table.tree()), &self.name);
    }

    /// A newer one has taken its place, and it is kept, byte for byte, as the newest version before.
    #[track_caller]
    pub fn assert_is_the_version(&self, table: &Table) {
        let versions = table.root().join(".backupwatch/versions");
        // Their names are their dates.
        let version = std::fs::read_dir(versions.join(table.udid()))
            .expect("there are versions")
            .map(|entry| entry.expect("versions can be listed").path())
            .max()
            .expect("there is a version");
        self.tree.assert_untouched(&Tree::of(&version), &self.name);
    }

    /// Whether it is still the current one.
    #[must_use]
    pub fn is_current(&self, table: &Table) -> bool {
        self.is_at(&table.tree())
    }

    /// Whether one of the versions is it.
    #[must_use]
    pub fn is_a_version(&self, table: &Table) -> bool {
        let versions = table.root().join(".backupwatch/versions");
        let versions = std::fs::read_dir(versions.join(table.udid()));
        let mut versions = versions.into_iter().flatten().flatten();
        versions.any(|version| self.is_at(&version.path()))
    }

    /// Whether this folder holds it, byte for byte.
    #[must_use]
    pub fn is_at(&self, folder: &Path) -> bool {
        folder.is_dir() && self.tree.changes(&Tree::of(folder)).is_empty()
    }
}

/// What a rogue phone made up is nowhere but, at most, in the work of a run that is not finished.
#[track_caller]
pub fn assert_nothing_escaped(table: &Table, name: &str) {
    let work = format!("backups/.backupwatch/work/{}/", table.udid());
    for (path, entry) in Tree::of(table.home()).0 {
        let Entry::File { bytes, .. } = entry else {
            continue;
        };
        let rogue = bytes
            .windows(ROGUE_CONTENT.len())
            .any(|window| window == ROGUE_CONTENT);
        assert!(
            !rogue || path.starts_with(&work),
            "{name}: {path} is of the phone's making"
        );
    }
}
