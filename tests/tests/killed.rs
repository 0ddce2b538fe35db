//! P1 with the very binary: it is killed at every message of a backup and at moments that nobody has chosen, or the cable comes
//! out then; each time the last verified backup is there to the byte, and a start after it puts all in order.
//!
//! Every system call instead of every message: `crates/backup/tests/killed.rs`.

use backupwatch_backup::Store;
use backupwatch_core::Udid;
use backupwatch_e2e::{
    agent::{WATCH_ONLY, configure},
    blow::{Blow, Broken, Moment, Tally, assert_tidy, change, few, step, strike},
    story::heal,
    table::{PASSWORD, Running, Table},
};
use std::time::{Duration, Instant};

/// Breaks a backup off at every message of the phone, the first one and the last one too.
fn at_every_message(password: Option<&str>, arguments: &[&str], blow: Blow) {
    let table = Table::unix(few(password));
    table.back_up_well(&[]);
    let mut tally = Tally::default();
    let mut sent;
    let mut messages = 0;
    loop {
        change(&table);
        let broken = Broken::expect(&table, format!("{blow:?} at message {messages}"));
        sent = Vec::new();
        table.phone().single_step(true);
        let mut run = table.start_backup(arguments);
        if !step(&table, &mut run, messages, &mut sent) {
            table.phone().single_step(false);
            let said = run.end();
            assert!(said.ok(), "with all {messages} messages: {said:?}");
            break;
        }
        let ran = strike(&table, run, blow, broken.at());
        assert!(ran, "{}: it had ended before", broken.at());
        broken.assert_kept();
        tally.count(broken.moment(ran));
        broken.assert_well_again(messages % 2 == 1);
        messages += 1;
    }
    eprintln!("{blow:?} at {messages} messages {arguments:?}: {tally:?}");
    for name in [
        "StartSession",
        "AFC",
        "DLMessageUploadFiles",
        "DLMessageMoveItems",
        "DLMessageProcessMessage",
    ] {
        assert!(
            sent.iter().any(|sent| sent == name),
            "no {name} in {sent:?}"
        );
    }
}

#[test]
fn killed_at_every_message_of_a_full_backup() {
    at_every_message(None, &["--full"], Blow::Kill);
}

/// There is no backup before it that must stay. What is there afterwards is whole, or nothing; and the next run ends well.
#[test]
fn killed_at_every_message_of_a_first_backup() {
    let mut messages = 0;
    loop {
        let table = Table::unix(few(None));
        let at = format!("a first backup, killed at message {messages}");
        table.phone().single_step(true);
        let mut run = table.start_backup(&[]);
        if !step(&table, &mut run, messages, &mut Vec::new()) {
            table.phone().single_step(false);
            let said = run.end();
            assert!(said.ok(), "with all {messages} messages: {said:?}");
            break;
        }
        assert!(strike(&table, run, Blow::Kill, &at), "{at}: it had ended");
        assert_whole_or_nothing(&table, &at);
        heal(&table);
        // Whoever is killed at first may have made no store yet.
        if let Ok(store) = Store::open(&table.root())
            && messages % 2 == 1
        {
            for _ in 0..2 {
                store.reconcile().expect("the journal reconciles");
            }
            assert_whole_or_nothing(&table, &at);
        }
        table.back_up_well(&[]);
        assert_tidy(&table, &at);
        messages += 1;
    }
    assert!(messages > 50, "{messages}");
}

/// What has the place of the backup, and what is called verified, is the phone's to the byte.
fn assert_whole_or_nothing(table: &Table, at: &str) {
    let udid = Udid::parse(&table.udid()).expect("a UDID");
    let said = Store::open(&table.root()).and_then(|store| store.current(&udid));
    let is_called_verified = said.is_ok_and(|copy| copy.is_some());
    assert_eq!(is_called_verified, table.tree().exists(), "{at}");
    if is_called_verified {
        table.assert_whole();
    }
}

#[test]
fn killed_at_every_message_of_an_incremental_backup() {
    at_every_message(None, &[], Blow::Kill);
}

#[test]
fn killed_at_every_message_of_an_encrypted_backup() {
    at_every_message(Some(PASSWORD), &[], Blow::Kill);
}

#[test]
fn unplugged_at_every_message_of_a_full_backup() {
    at_every_message(None, &["--full"], Blow::Unplug);
}

#[test]
fn unplugged_at_every_message_of_an_incremental_backup() {
    at_every_message(None, &[], Blow::Unplug);
}

/// Strikes at one phone.
const STRIKES: usize = 50;

/// Numbers that look like chance, the same ones each time.
struct Chance(u64);

impl Chance {
    /// Between 0 and 1.
    fn share(&mut self) -> f64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        f64::from(u32::try_from((word ^ (word >> 31)) >> 32).expect("32 bits"))
            / f64::from(u32::MAX)
    }
}

/// Where the clock of a strike begins.
#[derive(Debug, Clone, Copy)]
enum From {
    /// Our process begins.
    Start,
    /// The phone has sent so many messages.
    Message(usize),
    /// The phone has said its last word, so that only checking and committing is left.
    LastWord,
    /// The journal has named the verified tree: the exchange, the version and retention follow.
    Seal,
}

/// The last message of the phone that belongs to the backup; the first one of that name answers the greeting.
const LAST_WORD: &str = "DLMessageProcessMessage";

/// Lets a run go until the clock of a strike begins.
fn run_until(table: &Table, from: From) -> Running {
    let phone = table.phone();
    let steps = matches!(from, From::Message(_) | From::LastWord);
    phone.single_step(steps);
    let mut run = table.start_backup(&[]);
    match from {
        From::Start => {}
        From::Message(number) => {
            step(table, &mut run, number, &mut Vec::new());
        }
        From::LastWord => table.wait("the phone says its last word", async {
            for _ in 0..2 {
                while phone.step().await != LAST_WORD {}
            }
        }),
        // A machine that is busy elsewhere may not look in time; then the strike comes late, and is counted as that.
        From::Seal => watch(|| is_sealed(table) || run.has_ended()),
    }
    phone.single_step(false);
    run
}

fn is_sealed(table: &Table) -> bool {
    let journal = table.root().join(".backupwatch/journal");
    let journal = std::fs::read_to_string(journal.join(format!("{}.json", table.udid())));
    journal.is_ok_and(|journal| journal.contains("\"verified\""))
}

/// Looks again and again, much faster than a disk.
fn watch(mut is: impl FnMut() -> bool) {
    while !is() {
        std::thread::sleep(Duration::from_micros(50));
    }
}

/// Messages of a whole run, and how long its parts take here and now.
struct Pace {
    messages: usize,
    /// By the order of [`From`].
    parts: [Duration; 4],
}

impl Pace {
    /// Measures runs that nobody disturbs.
    fn of(table: &Table) -> Self {
        let part = |from| {
            change(table);
            let started = Instant::now();
            let mut run = run_until(table, from);
            let reached = match from {
                From::Start => started,
                From::Message(_) | From::LastWord | From::Seal => Instant::now(),
            };
            match from {
                // Until the journal is closed; what follows is not the store's.
                From::Seal => watch(|| !is_sealed(table) || run.has_ended()),
                From::Start | From::Message(_) | From::LastWord => watch(|| run.has_ended()),
            }
            let lasted = reached.elapsed();
            assert!(run.end().ok(), "a run that nobody disturbs");
            lasted
        };
        let mut sent = Vec::new();
        table.phone().single_step(true);
        let mut run = table.start_backup(&[]);
        step(table, &mut run, usize::MAX, &mut sent);
        table.phone().single_step(false);
        assert!(run.end().ok(), "a run that nobody disturbs");
        let whole = part(From::Start);
        Self {
            messages: sent.len(),
            parts: [whole, whole / 20, part(From::LastWord), part(From::Seal)],
        }
    }
}

/// Which part of a run is struck in turn, by its place in [`Pace::parts`]. What follows a message is where most can be hurt, and short.
const TURNS: [usize; 5] = [0, 1, 2, 1, 3];

fn at_any_moment(password: Option<&str>, blow: Blow, seed: u64) -> Tally {
    let table = Table::unix(few(password));
    // So that each run has a version to delete.
    let keep_one = "[retention]\nlast = 1\ndaily = 0\nweekly = 0\nmonthly = 0\n";
    configure(&table, &format!("{WATCH_ONLY}{keep_one}"));
    table.back_up_well(&[]);
    let mut pace = Pace::of(&table);
    let mut chance = Chance(seed);
    let mut tally = Tally::default();
    for number in 0..STRIKES {
        change(&table);
        let kind = TURNS[number % TURNS.len()];
        let message = 24 + number * pace.messages.saturating_sub(24) / STRIKES;
        let from = [
            From::Start,
            From::Message(message),
            From::LastWord,
            From::Seal,
        ][kind];
        let delay = pace.parts[kind].mul_f64(chance.share());
        let broken = Broken::expect(
            &table,
            format!("{blow:?} {number}, {delay:?} after {from:?}"),
        );
        let run = run_until(&table, from);
        std::thread::sleep(delay);
        let ran = strike(&table, run, blow, broken.at());
        broken.assert_kept();
        let moment = broken.moment(ran);
        tally.count(moment);
        // The machine may have been slower when it was measured.
        let late = match from {
            From::LastWord => moment == Moment::Ended,
            From::Start | From::Message(_) | From::Seal => {
                matches!(moment, Moment::Closed | Moment::Ended)
            }
        };
        pace.parts[kind] = pace.parts[kind].mul_f64(if late { 0.7 } else { 1.2 });
        broken.assert_well_again(number % 2 == 1);
    }
    eprintln!("{blow:?} {STRIKES} times, seed {seed}: {tally:?}");
    tally
}

const ARRIVING: [Moment; 4] = [
    Moment::Preparing,
    Moment::Uploading,
    Moment::Moving,
    Moment::Removing,
];

/// A test that never strikes where it hurts tests nothing.
fn killed_at_any_moment(password: Option<&str>, seed: u64) {
    let tally = at_any_moment(password, Blow::Kill, seed);
    tally.assert_hit(&ARRIVING, 4);
    tally.assert_hit(&[Moment::Verifying], 1);
    tally.assert_hit(&[Moment::Sealed, Moment::Exchanged, Moment::Retaining], 3);
    tally.assert_hit(&[Moment::Closed], 2);
}

#[test]
fn killed_at_any_moment_1() {
    killed_at_any_moment(None, 1);
}

#[test]
fn killed_at_any_moment_2() {
    killed_at_any_moment(None, 2);
}

#[test]
fn killed_at_any_moment_3() {
    killed_at_any_moment(None, 3);
}

#[test]
fn killed_at_any_moment_of_an_encrypted_backup() {
    killed_at_any_moment(Some(PASSWORD), 4);
}

/// The cable comes out at a moment of chance. Most of the strikes after the last word find a run that needs no phone any more.
fn unplugged_at_any_moment(seed: u64) {
    let tally = at_any_moment(None, Blow::Unplug, seed);
    tally.assert_hit(&ARRIVING, 4);
    tally.assert_hit(&[Moment::Closed, Moment::Ended], 10);
}

#[test]
fn unplugged_at_any_moment_1() {
    unplugged_at_any_moment(5);
}

#[test]
fn unplugged_at_any_moment_2() {
    unplugged_at_any_moment(6);
}

#[test]
fn unplugged_at_any_moment_3() {
    unplugged_at_any_moment(7);
}

#[test]
fn unplugged_at_any_moment_4() {
    unplugged_at_any_moment(8);
}
