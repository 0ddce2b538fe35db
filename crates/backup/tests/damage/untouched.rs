//! A hundred backups that nobody touched: no level finds anything, whatever is given.

use backupwatch_backup::verify::{PasswordSays, Unchecked, VerifyReport};
use backupwatch_core::Level;

use crate::common::{World, encrypted, persona};
use crate::tree::{BOTH, Given, KEY, LEDGER, NOTHING, Tree};

/// Of four times five phones.
const BACKUPS_EACH: u64 = 5;

const ALL: [Level; 4] = [Level::L1, Level::L2, Level::L3, Level::L4];

/// Names that programs and people have trouble with.
const NAMES: [&str; 5] = [
    r#""IMG_{n}.HEIC""#,
    r#""👩‍👩‍👧 {n} 🏳️‍🌈.mov""#,
    r#""Zoe\u0308 {n}", "Zoë {n}""#,
    r#"" {n} .", "-{n}%41\u202E""#,
    r#""ﬁ{n}", "が{n}", "か\u3099{n}""#,
];

fn phone(number: u64) -> World {
    let mut phone = if number.is_multiple_of(2) {
        persona()
    } else {
        encrypted()
    };
    let text = format!(
        "seed = {number}
         [[groups]]
         domain = \"CameraRollDomain\"
         prefix = \"Media\"
         count = {}
         size = [0, {}]
         names = [{}]
         [[files]]
         domain = \"HomeDomain\"
         path = \"Library/whole blocks\"
         size = {}",
        number % 7 * 3,
        16 << (number % 9),
        NAMES[usize::try_from(number).unwrap() % NAMES.len()],
        16 * number,
    );
    phone.contents = toml::from_str(&text).unwrap();
    World::new(phone)
}

#[tokio::test]
async fn nothing_is_found_in_what_nobody_touched() {
    untouched(0..5).await;
}

#[tokio::test]
async fn nor_in_more_of_it() {
    untouched(5..10).await;
}

#[tokio::test]
async fn nor_in_bigger_ones() {
    untouched(10..15).await;
}

#[tokio::test]
async fn nor_in_the_rest() {
    untouched(15..20).await;
}

async fn untouched(phones: std::ops::Range<u64>) {
    let mut checked = 0;
    for number in phones {
        let mut world = phone(number);
        for round in 0..BACKUPS_EACH {
            let tree = Tree::backed_up(world).await;
            let is_encrypted = !number.is_multiple_of(2);
            let levels: &[Level] = if round == 1 { &ALL } else { &[Level::L4] };
            if is_encrypted {
                sealed(&tree, levels);
            } else {
                plain(&tree, levels);
            }
            assert!(tree.scratch_is_empty());
            checked += 1;
            world = tree.world;
            world.handle().phone().backup().change(|catalog| {
                catalog.mutate(30.0);
                catalog
                    .add("HomeDomain", &format!("Library/new {round}"), 100 * round)
                    .unwrap();
            });
        }
    }
    assert_eq!(checked, 25);
}

fn fine(tree: &Tree, level: Level, given: Given) -> VerifyReport {
    let report = tree.check(level, given);
    assert_eq!(report.wrong, 0, "{level:?} {given:?}: {report:#?}");
    report
}

fn plain(tree: &Tree, levels: &[Level]) {
    for &level in levels {
        let report = fine(tree, level, LEDGER);
        assert_eq!(report.level, Some(level));
        assert_eq!(report.unchecked, []);
    }
    let report = fine(tree, Level::L4, NOTHING);
    assert_eq!(report.level, Some(Level::L3));
    assert_eq!(report.unchecked, [Unchecked::NoHashes]);
    assert_eq!(fine(tree, Level::L3, KEY).password, PasswordSays::NotNeeded);
}

fn sealed(tree: &Tree, levels: &[Level]) {
    for &level in levels {
        let report = fine(tree, level, BOTH);
        assert_eq!(report.level, Some(level));
        assert_eq!(report.unchecked, []);
        assert_eq!(
            report.password == PasswordSays::Opens,
            level > Level::L1,
            "{level:?}"
        );
    }
    let report = fine(tree, Level::L4, KEY);
    assert_eq!(report.level, Some(Level::L3));
    assert_eq!(report.unchecked, [Unchecked::NoHashes]);
    let report = fine(tree, Level::L4, LEDGER);
    assert_eq!(report.level, Some(Level::L4));
    assert_eq!(report.unchecked, [Unchecked::NoPassword]);
    let report = fine(tree, Level::L4, NOTHING);
    assert_eq!(report.level, Some(Level::L1));
    assert_eq!(
        report.unchecked,
        [Unchecked::NoHashes, Unchecked::NoPassword]
    );
}
