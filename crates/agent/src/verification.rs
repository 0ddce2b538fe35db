//! A later look at a backup: what it found, as the history keeps it and the faces say it. No names of files are in it; those
//! are for whoever looks, and nobody else.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use backupwatch_backup::verify::{Deep, Progress, Sample, Stage, VerifyReport};
use backupwatch_backup::{Clock, Held, Which};
use backupwatch_core::reread::{PARTS, Slice};
use backupwatch_core::words::{files, grouped};
use backupwatch_core::{HostTime, Level, Udid};
use serde::{Deserialize, Serialize};

use crate::jobs::Place;
use crate::medium::{self, in_full};
use crate::report::level;

/// Bytes a second that the background reads at the most, so that the disk is there for others.
const RATE: u64 = 64 << 20;

/// The longest sleep between two looks at whether to stop.
const NAP: Duration = Duration::from_millis(50);

/// One look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verification {
    /// Of which device's backup.
    pub udid: Udid,
    /// When it ended.
    pub at: HostTime,
    /// `current`, or the name of an older version.
    pub version: String,
    /// When that backup was made.
    pub made: HostTime,
    /// How deep it was to go.
    pub asked: Level,
    /// The deepest level that holds; none when nothing does.
    pub level: Option<Level>,
    /// Files of the backup.
    pub files: u64,
    /// Its bytes.
    pub bytes: u64,
    /// Files whose contents were read again.
    pub reread_files: u64,
    /// Bytes of them.
    pub reread_bytes: u64,
    /// How many things are wrong.
    pub wrong: u64,
    /// The agent looked by itself.
    pub scheduled: bool,
}

impl Verification {
    /// What a report says of the backup that is held.
    pub fn of(udid: &Udid, held: &Held, report: &VerifyReport, asked: Level, at: HostTime) -> Self {
        let version = held.version();
        Self {
            udid: udid.clone(),
            at,
            version: version.which.name().to_owned(),
            made: version.at,
            asked,
            level: report.level,
            files: report.files,
            bytes: report.bytes,
            reread_files: report.read.files,
            reread_bytes: report.read.bytes,
            wrong: report.wrong,
            scheduled: false,
        }
    }

    /// Whether nothing is wrong.
    pub fn is_whole(&self) -> bool {
        self.wrong == 0
    }

    /// For the history: one sentence.
    pub fn words(&self) -> String {
        let which = if self.version == "current" {
            "The local backup".to_owned()
        } else {
            format!(
                "The local backup kept from {}",
                self.made.0.strftime("%-d %B %Y")
            )
        };
        if !self.is_whole() {
            return format!(
                "{which} is damaged: {} not what {} when it was made. Make a new backup.",
                match self.wrong {
                    1 => "1 file is".to_owned(),
                    many => format!("{} are", files(many)),
                },
                if self.wrong == 1 {
                    "it was"
                } else {
                    "they were"
                },
            );
        }
        if self.scheduled {
            return format!("{which} is whole: every file of it was read again, a part each day.");
        }
        let depth = self.level.map_or("L0", level);
        match self.reread_files {
            0 => format!("{which} was checked and is whole ({depth})."),
            many if many >= self.files => {
                format!("{which} is whole: every file of it was read again ({depth}).")
            }
            many => format!(
                "{which} was checked: {} of {} were read again, and nothing is wrong.",
                grouped(many),
                files(self.files)
            ),
        }
    }
}

/// What came of reading a part again.
#[derive(Debug, Default)]
pub struct Stretch {
    /// Parts that were read to their end.
    pub parts: u8,
    /// What was found to be wrong.
    pub found: Option<Box<Verification>>,
    /// The last part, where nothing was.
    pub last: Option<Box<Verification>>,
}

/// Reads parts of a current backup again, no faster than the background should, and keeps what was found in the store. Ends
/// early when `stop` is set, at the first damage, and where the disk does not play along.
pub fn read_again(
    place: &Place,
    udid: &Udid,
    slice: Slice,
    clock: &dyn Clock,
    stop: &Arc<AtomicBool>,
) -> Stretch {
    let mut stretch = Stretch::default();
    for number in slice.numbers() {
        match read_part(place, udid, number, clock, stop) {
            Ok(look) => {
                stretch.parts = stretch.parts.saturating_add(1);
                let look = Box::new(look);
                if look.is_whole() {
                    stretch.last = Some(look);
                } else {
                    stretch.found = Some(look);
                    break;
                }
            }
            Err(why) => {
                tracing::debug!(udid = udid.short(), why, "a backup is not read to the end");
                break;
            }
        }
    }
    stretch
}

fn read_part(
    place: &Place,
    udid: &Udid,
    number: u8,
    clock: &dyn Clock,
    stop: &Arc<AtomicBool>,
) -> Result<Verification, String> {
    let store = medium::open(&place.root, place.origin, place.known.as_ref())?;
    let held = store
        .open_version(udid, &Which::Current)
        .map_err(|error| in_full(&error))?;
    if !held.has_hashes() {
        // To read without them would prove nothing, and must not count as read.
        return Err("its hashes are missing or damaged".to_owned());
    }
    let how = Deep {
        level: Level::L4,
        password: None,
        sample: Sample::Slice {
            index: u32::from(number),
            of: u32::from(PARTS),
        },
        ledger: None,
        scratch: Path::new(""),
    };
    let begun = Instant::now();
    let pace = |progress: Progress| {
        if progress.stage == Stage::Contents {
            rest(begun, progress.bytes, stop);
        }
    };
    let report = held
        .verify(&how, &pace, stop)
        .map_err(|error| in_full(&error))?;
    let now = clock.now();
    store
        .learn(&held, &report, Level::L4, now)
        .map_err(|error| in_full(&error))?;
    Ok(Verification {
        scheduled: true,
        ..Verification::of(udid, &held, &report, Level::L4, now)
    })
}

/// Sleeps until so many bytes may have been read.
fn rest(begun: Instant, bytes: u64, stop: &AtomicBool) {
    let due = Duration::from_millis(bytes.saturating_mul(1_000) / RATE);
    while !stop.load(Ordering::Relaxed) {
        match due.checked_sub(begun.elapsed()) {
            Some(left) if !left.is_zero() => std::thread::sleep(left.min(NAP)),
            Some(_) | None => return,
        }
    }
}
