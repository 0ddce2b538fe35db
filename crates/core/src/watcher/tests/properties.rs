//! What no story may break, whatever happens in which order: promises P3 and P6, one backup and one question per device,
//! and a memory that survives any restart.

use crate::facts::{Facts, LinkKind, NoAnswer, Setup, Trust};
use crate::fixture::{ANNA, BEN, at, attempt, books, copy, earlier, facts, later, udid};
use crate::ladder::{Mark, Recovery, RungState};
use crate::notice::NoticeKind;
use crate::policy::Policy;
use crate::run::{CancelledBy, Phase, RunEnd, RunFailure, RunKind, RunReport};
use crate::steps::StepId;
use crate::time::{DeviceTime, HostTime, Now, Period};
use crate::verdict::{Check, CloudState, Concern, Level, Protection, SafetyNet};
use crate::watcher::{
    Attachment, BackupView, Command, DeviceView, Event, Job, Remembered, Watcher,
};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const DEVICES: [&str; 3] = [ANNA, BEN, "00008120-000C3D4E5F607182"];

/// Something happens to a device, after some time.
#[derive(Debug, Clone)]
struct Step {
    device: usize,
    wait: Period,
    what: What,
}

#[derive(Debug, Clone)]
enum What {
    Attach(LinkKind),
    Detach,
    /// Every question under way is answered with facts like these.
    Answer(Answer),
    /// Facts that nobody asked for.
    Unasked(Answer),
    Fail(NoAnswer),
    PairAnswer(Trust),
    Hint,
    Phase(Phase),
    EndRun(Option<RunFailure>),
    /// The end of a run that was never begun.
    StrayEnd,
    /// A copy so many hours old, and how much of it was found damaged since.
    Scan(Option<i64>, u64),
    EndReread(u8),
    StoreMissing,
    StoreReady(u64),
    AskBackup,
    AskCancel,
    AskProbe,
    Snooze(Period),
    LocalOnly(bool),
    Panic(Job),
    MuxDown,
    Upload(u16),
    Mark(StepId, Mark),
    /// The phone's books with one attempt of so many hours ago; zero is a success.
    Books(i64, i64),
    Woke,
    Tick,
    Restart,
}

#[derive(Debug, Clone)]
struct Answer {
    age: Period,
    enabled: Result<bool, NoAnswer>,
    date: Option<NoAnswer>,
    locked: bool,
    clock_ahead: Period,
    setup: Setup,
}

fn answers() -> impl Strategy<Value = Answer> {
    let refusals = prop_oneof![
        Just(NoAnswer::NotTrusted),
        Just(NoAnswer::Locked),
        Just(NoAnswer::Missing),
        Just(NoAnswer::LinkLost),
        Just(NoAnswer::Unreadable {
            raw: "17".to_owned()
        }),
    ];
    let enabled =
        prop_oneof![8 => Just(Ok(true)), 2 => Just(Ok(false)), 2 => refusals.clone().prop_map(Err)];
    let date = prop_oneof![8 => Just(None), 2 => refusals.prop_map(Some)];
    let age = prop_oneof![-2_i64..72, 48_i64..200, 100_i64..5_000].prop_map(Period::hours);
    let clock = prop_oneof![8 => Just(Period::ZERO), 1 => (-800_i64..800).prop_map(Period::hours)];
    let setup = prop_oneof![9 => Just(Setup::Done), 1 => Just(Setup::Restoring)];
    (age, enabled, date, any::<bool>(), clock, setup).prop_map(
        |(age, enabled, date, locked, clock_ahead, setup)| Answer {
            age,
            enabled,
            date,
            locked,
            clock_ahead,
            setup,
        },
    )
}

fn failures() -> impl Strategy<Value = Option<RunFailure>> {
    prop_oneof![
        Just(None),
        Just(Some(RunFailure::PasscodeTimeout)),
        Just(Some(RunFailure::Unplugged)),
        Just(Some(RunFailure::Cancelled {
            by: CancelledBy::Person
        })),
        Just(Some(RunFailure::HostNoSpace {
            need: 50_000_000_000,
            free: 1
        })),
        Just(Some(RunFailure::NotTrusted)),
        Just(Some(RunFailure::StoreMissing)),
    ]
}

fn steps_of_the_ladder() -> impl Strategy<Value = StepId> {
    let all: Vec<StepId> = crate::steps::all().iter().map(|step| step.id).collect();
    prop::sample::select(all)
}

fn marks() -> impl Strategy<Value = Mark> {
    prop_oneof![
        6 => Just(Mark::Did),
        2 => Just(Mark::DidNotHelp),
        1 => Just(Mark::NotForMe),
        1 => Just(Mark::Undo),
    ]
}

fn steps() -> impl Strategy<Value = Step> {
    let what = prop_oneof![
        6 => prop_oneof![4 => Just(LinkKind::Usb), 1 => Just(LinkKind::Network)].prop_map(What::Attach),
        2 => Just(What::Detach),
        12 => answers().prop_map(What::Answer),
        1 => answers().prop_map(What::Unasked),
        2 => prop_oneof![Just(NoAnswer::LinkLost), Just(NoAnswer::NotTrusted), Just(NoAnswer::NeverUnlocked)]
            .prop_map(What::Fail),
        1 => prop_oneof![Just(Trust::Trusted), Just(Trust::Denied), Just(Trust::LockedForPairing)]
            .prop_map(What::PairAnswer),
        2 => Just(What::Hint),
        1 => prop_oneof![Just(Phase::WaitingForPasscode), Just(Phase::Transferring)].prop_map(What::Phase),
        4 => failures().prop_map(What::EndRun),
        1 => Just(What::StrayEnd),
        2 => (prop::option::of(0_i64..400), prop_oneof![3 => Just(0), 1 => 1_u64..9])
            .prop_map(|(age, damaged)| What::Scan(age, damaged)),
        2 => (0_u8..40).prop_map(What::EndReread),
        1 => Just(What::StoreMissing),
        1 => (0_u64..100_000_000_000).prop_map(What::StoreReady),
        1 => Just(What::AskBackup),
        1 => Just(What::AskCancel),
        1 => Just(What::AskProbe),
        1 => (-24_i64..72).prop_map(|hours| What::Snooze(Period::hours(hours))),
        1 => any::<bool>().prop_map(What::LocalOnly),
        1 => prop_oneof![Just(Job::Probe), Just(Job::Pair), Just(Job::Observe), Just(Job::Backup), Just(Job::Reread)].prop_map(What::Panic),
        1 => Just(What::MuxDown),
        1 => (0_u16..1_000).prop_map(What::Upload),
        6 => (steps_of_the_ladder(), marks()).prop_map(|(step, mark)| What::Mark(step, mark)),
        3 => (prop::sample::select(vec![0_i64, 3, 9, 22, 209, 217, 218, 300, 303, 305]), -20_i64..200)
            .prop_map(|(code, hours)| What::Books(code, hours)),
        1 => Just(What::Woke),
        12 => Just(What::Tick),
        1 => Just(What::Restart),
    ];
    let wait = prop_oneof![
        4 => Just(0_i64),
        4 => 1_i64..120,
        4 => 120_i64..7_200,
        2 => 7_200_i64..259_200,
    ];
    (0..DEVICES.len(), wait, what).prop_map(|(device, wait, what)| Step {
        device,
        wait: Period::seconds(wait),
        what,
    })
}

/// The agent as the model knows it, and what it has seen so far.
struct World {
    watcher: Watcher,
    now: Now,
    policy: Policy,
    stored: BTreeMap<String, Remembered>,
    attached: BTreeMap<u32, usize>,
    next_attachment: u32,
    probing: BTreeMap<String, HostTime>,
    running: BTreeMap<String, bool>,
    /// Of those, who waits for a passcode and leaves the disk to others.
    waiting: BTreeSet<String>,
    pause_until: BTreeMap<String, HostTime>,
    snoozed_until: BTreeMap<String, HostTime>,
    store_is_missing: bool,
    clock_jumped: bool,
    /// Whose backup is being read again.
    rereading: Option<String>,
    /// It has been told to stop.
    stopping: bool,
    damaged: BTreeSet<String>,
    /// Per device: how often its verdict has changed, and what it is.
    changes: BTreeMap<String, (u64, Signature)>,
    told: BTreeMap<(String, NoticeKind), (HostTime, u64)>,
    all_told: BTreeMap<String, Vec<HostTime>>,
    /// Per device: how many steps were taken, and how many were told to have failed.
    taken: BTreeMap<String, (u64, u64)>,
    /// Per device: the last recovery that was seen.
    recoveries: BTreeMap<String, Recovery>,
}

/// What one notice each may follow: another verdict, or another cause.
type Signature = (CloudState, Concern, Option<bool>, Option<String>);

const ABOUT_THE_VERDICT: [NoticeKind; 8] = [
    NoticeKind::CloudStale,
    NoticeKind::CloudExpiry,
    NoticeKind::SwitchedOff,
    NoticeKind::StillOff,
    NoticeKind::OffOnPurpose,
    NoticeKind::CloudWorks,
    NoticeKind::UnknownForLong,
    NoticeKind::BackupDue,
];

impl World {
    fn new(policy: Policy) -> Self {
        Self {
            watcher: Watcher::new(policy.clone(), Vec::new()),
            now: at("2026-11-20T10:00:00Z"),
            policy,
            stored: BTreeMap::new(),
            attached: BTreeMap::new(),
            next_attachment: 1,
            probing: BTreeMap::new(),
            running: BTreeMap::new(),
            waiting: BTreeSet::new(),
            pause_until: BTreeMap::new(),
            snoozed_until: BTreeMap::new(),
            store_is_missing: false,
            clock_jumped: false,
            rereading: None,
            stopping: false,
            damaged: BTreeSet::new(),
            changes: BTreeMap::new(),
            told: BTreeMap::new(),
            all_told: BTreeMap::new(),
            taken: BTreeMap::new(),
            recoveries: BTreeMap::new(),
        }
    }

    fn happen(&mut self, step: &Step) {
        self.now = later(&self.now, step.wait);
        let name = DEVICES[step.device];
        let id = || udid(name);
        match &step.what {
            What::Attach(link) => {
                let attachment = self.next_attachment;
                self.next_attachment += 1;
                self.attached.insert(attachment, step.device);
                self.send(Event::Attached {
                    udid: id(),
                    link: *link,
                    attachment: Attachment(attachment),
                });
            }
            What::Detach => {
                let mine = self
                    .attached
                    .iter()
                    .find(|(_, device)| **device == step.device)
                    .map(|(a, _)| *a);
                if let Some(attachment) = mine {
                    self.attached.remove(&attachment);
                    self.send(Event::Detached {
                        attachment: Attachment(attachment),
                    });
                }
            }
            What::Answer(answer) => {
                let asked: Vec<String> = self.probing.keys().cloned().collect();
                for device in asked {
                    self.probing.remove(&device);
                    let facts = self.facts(&device, answer);
                    self.send(Event::Probed(Box::new(facts)));
                }
            }
            What::Unasked(answer) => {
                self.probing.remove(name);
                let facts = self.facts(name, answer);
                self.send(Event::Probed(Box::new(facts)));
            }
            What::Fail(why) => {
                self.probing.remove(name);
                self.send(Event::ProbeFailed {
                    udid: id(),
                    why: why.clone(),
                });
            }
            What::PairAnswer(trust) => self.send(Event::PairAnswer {
                udid: id(),
                trust: *trust,
            }),
            What::Hint => self.send(Event::DomainChanged { udid: id() }),
            What::Phase(phase) => {
                if *phase == Phase::WaitingForPasscode && self.running.contains_key(name) {
                    self.waiting.insert(name.to_owned());
                } else {
                    self.waiting.remove(name);
                }
                self.send(Event::BackupPhase {
                    udid: id(),
                    phase: *phase,
                });
            }
            What::EndRun(failure) => {
                let running: Vec<String> = self.running.keys().cloned().collect();
                for device in running {
                    self.end_run(&device, failure.clone());
                }
            }
            What::StrayEnd => self.end_run(name, Some(RunFailure::Busy)),
            What::Scan(hours, damaged) => {
                let copy = hours.map(|hours| copy(earlier(&self.now, Period::hours(hours))));
                let check = Check {
                    level: Level::L4,
                    at: self.now.host,
                    damaged: *damaged,
                };
                let check = Some(check).filter(|_| copy.is_some());
                if copy.is_some() && *damaged > 0 {
                    self.damaged.insert(name.to_owned());
                } else {
                    self.damaged.remove(name);
                }
                self.send(Event::StoreScanned {
                    udid: id(),
                    copy,
                    check,
                });
            }
            What::EndReread(parts) => {
                if let Some(device) = self.rereading.take() {
                    self.stopping = false;
                    self.send(Event::RereadEnded {
                        udid: udid(&device),
                        parts: *parts,
                    });
                }
            }
            What::StoreMissing => {
                self.store_is_missing = true;
                self.send(Event::StoreMissing {
                    why: "gone".to_owned(),
                });
            }
            What::StoreReady(free) => {
                self.store_is_missing = false;
                self.send(Event::StoreReady { free: Some(*free) });
            }
            What::AskBackup => self.send(Event::AskBackup { udid: id() }),
            What::AskCancel => self.send(Event::AskCancel { udid: id() }),
            What::AskProbe => self.send(Event::AskProbe { udid: id() }),
            What::Snooze(period) => {
                let until = later(&self.now, *period).host;
                // Only what is shown can be snoozed.
                if self.clouds().contains_key(name) {
                    self.snoozed_until.insert(name.to_owned(), until);
                }
                self.send(Event::Snooze { udid: id(), until });
            }
            What::LocalOnly(chosen) => self.send(Event::LocalOnly {
                udid: id(),
                chosen: *chosen,
            }),
            What::Panic(job) => {
                match job {
                    Job::Probe => drop(self.probing.remove(name)),
                    Job::Backup => {
                        self.waiting.remove(name);
                        if self.running.remove(name).is_some() {
                            self.pause_until
                                .insert(name.to_owned(), later(&self.now, Period::hours(1)).host);
                        }
                    }
                    Job::Reread => {
                        self.stopping &= self.rereading.as_deref() != Some(name);
                        self.rereading = self.rereading.take().filter(|device| device != name);
                    }
                    Job::Pair | Job::Observe | Job::Notify | Job::Store => {}
                }
                self.send(Event::JobPanicked {
                    what: *job,
                    udid: Some(id()),
                });
            }
            What::MuxDown => {
                self.attached.clear();
                self.send(Event::MuxDown {
                    why: "gone".to_owned(),
                });
                self.send(Event::MuxUp);
            }
            What::Upload(permille) => self.send(Event::UploadProgress {
                udid: id(),
                permille: *permille,
            }),
            What::Mark(step, mark) => {
                if *mark == Mark::Did {
                    self.taken.entry(name.to_owned()).or_default().0 += 1;
                }
                self.send(Event::Marked {
                    udid: id(),
                    step: *step,
                    mark: *mark,
                });
            }
            What::Books(code, hours) => {
                let at = earlier(&self.now, Period::hours(*hours));
                self.send(Event::BooksRead {
                    udid: id(),
                    books: Box::new(books(&self.now, vec![attempt(DeviceTime(at.0), *code)])),
                });
            }
            What::Woke => self.send(Event::Woke),
            What::Tick => {
                self.send(Event::Tick);
                if let Some(next) = self.watcher.poll_timeout(&self.now) {
                    assert!(
                        next > self.now.host,
                        "a tick leaves nothing to be done at once"
                    );
                }
            }
            What::Restart => self.restart(),
        }
        self.check_views();
    }

    fn facts(&self, device: &str, answer: &Answer) -> Facts {
        let clock = DeviceTime(self.now.host.0).plus(answer.clock_ahead);
        let last = clock.plus(Period::seconds(-answer.age.as_seconds()));
        Facts {
            udid: udid(device),
            cloud_enabled: answer.enabled.clone(),
            cloud_last: answer.date.clone().map_or(Ok(last), Err),
            locked: Ok(answer.locked),
            device_clock: Ok(clock),
            setup: Ok(answer.setup),
            ..facts(&self.now, answer.age)
        }
    }

    fn end_run(&mut self, device: &str, failure: Option<RunFailure>) {
        self.running.remove(device);
        self.waiting.remove(device);
        match &failure {
            Some(
                RunFailure::PasscodeTimeout
                | RunFailure::Cancelled {
                    by: CancelledBy::Person,
                },
            ) => {
                self.pause_until
                    .insert(device.to_owned(), later(&self.now, Period::hours(6)).host);
            }
            Some(failure) => {
                self.store_is_missing |= *failure == RunFailure::StoreMissing;
                self.pause_until
                    .insert(device.to_owned(), later(&self.now, Period::hours(1)).host);
            }
            None => {
                self.pause_until.remove(device);
                self.damaged.remove(device);
            }
        }
        let report = RunReport {
            udid: udid(device),
            started: self.now.host,
            ended: self.now.host,
            end: failure.map_or_else(|| RunEnd::Verified(copy(self.now.host)), RunEnd::Failed),
            kind: RunKind::Full,
            bytes: 0,
            files: 0,
            refused: Vec::new(),
            warnings: Vec::new(),
        };
        self.send(Event::BackupFinished(Box::new(report)));
    }

    /// What was stored, through JSON, must be judged as before.
    fn restart(&mut self) {
        let before: BTreeMap<_, _> = self.clouds();
        let json = serde_json::to_string(&self.stored.values().collect::<Vec<_>>()).unwrap();
        self.watcher = Watcher::new(self.policy.clone(), serde_json::from_str(&json).unwrap());
        if self.store_is_missing {
            let why = "still gone".to_owned();
            self.watcher.handle(&self.now, Event::StoreMissing { why });
        }
        let after = self.clouds();
        for (device, cloud) in &after {
            assert_eq!(before.get(device), Some(cloud), "the memory of {device}");
        }
        (self.running, self.probing) = (BTreeMap::new(), BTreeMap::new());
        self.waiting.clear();
        (self.rereading, self.stopping) = (None, false);
        self.attached.clear();
    }

    fn clouds(&self) -> BTreeMap<String, crate::verdict::CloudVerdict> {
        let views = self.watcher.devices(&self.now);
        views
            .into_iter()
            .map(|view| (view.udid.to_string(), view.verdict.cloud))
            .collect()
    }

    fn send(&mut self, event: Event) {
        let asked = if let Event::AskBackup { udid } = &event {
            Some(udid.to_string())
        } else {
            None
        };
        let commands = self.watcher.handle(&self.now, event);
        self.note_changes();
        let mut running = self.running.len();
        let mut writing = running - self.waiting.len();
        for command in commands {
            match command {
                Command::Probe { udid, attachment } => {
                    assert!(
                        self.attached.contains_key(&attachment.0),
                        "a question over a link that is gone"
                    );
                    let before = self.probing.insert(udid.to_string(), self.now.host);
                    let lost = before
                        .is_none_or(|at| self.now.host.since(at).abs() >= Period::minutes(10));
                    assert!(lost, "two questions to one device");
                }
                Command::StartBackup { plan, attachment } => {
                    let device = plan.udid.to_string();
                    assert!(
                        self.attached.contains_key(&attachment.0),
                        "a backup over a link that is gone"
                    );
                    let second = self.running.insert(device.clone(), plan.asked);
                    assert_eq!(second, None, "two backups of one device");
                    (running, writing) = (running + 1, writing + 1);
                    let backup = &self.policy.backup;
                    assert!(
                        running <= usize::from(backup.parallel),
                        "more backups than are allowed"
                    );
                    assert!(
                        writing <= usize::from(backup.per_disk),
                        "more backups to the one disk than are allowed"
                    );
                    if !plan.asked {
                        assert!(!plan.reasons.is_empty(), "a backup for no reason");
                        self.check_moment(&device);
                    }
                    assert!(asked.as_ref() != Some(&device) || plan.asked);
                }
                Command::Notify(notice) => self.check_notice(
                    notice.udid.as_ref().map_or("", |udid| udid.as_str()),
                    notice.kind,
                ),
                Command::Remember(memory) => {
                    drop(self.stored.insert(memory.udid.to_string(), *memory))
                }
                Command::Reread { udid, .. } => {
                    assert!(self.running.is_empty(), "read beside a backup");
                    assert!(!self.store_is_missing, "read from a disk that is away");
                    assert!(
                        !self.damaged.contains(udid.as_str()),
                        "read what is damaged"
                    );
                    let second = self.rereading.replace(udid.to_string());
                    assert_eq!(second, None, "two backups read at a time");
                }
                Command::StopReread { udid } => {
                    assert_eq!(self.rereading.as_deref(), Some(udid.as_str()));
                    assert!(
                        !std::mem::replace(&mut self.stopping, true),
                        "stopped twice"
                    );
                }
                Command::Pair { .. }
                | Command::Observe { .. }
                | Command::CancelBackup { .. }
                | Command::Record(_) => {}
            }
        }
        assert!(
            self.rereading.is_none() || self.running.is_empty() || self.stopping,
            "read on beside a backup"
        );
    }

    fn check_moment(&self, device: &str) {
        assert!(!self.store_is_missing, "a backup without a disk");
        assert!(
            !self.policy.backup.quiet.holds(self.now.second_of_day()),
            "a backup in the quiet hours"
        );
        if !self.clock_jumped {
            let after = |until: &BTreeMap<String, HostTime>| {
                until.get(device).is_none_or(|at| self.now.host >= *at)
            };
            assert!(
                after(&self.pause_until),
                "a backup before the pause has ended"
            );
            assert!(after(&self.snoozed_until), "a backup in a snooze");
        }
    }

    fn note_changes(&mut self) {
        for view in self.watcher.devices(&self.now) {
            let cloud = view.verdict.cloud;
            let signature = (cloud.state, cloud.concern, cloud.enabled, view.cause);
            let entry = self
                .changes
                .entry(view.udid.to_string())
                .or_insert((0, signature.clone()));
            if entry.1 != signature {
                *entry = (entry.0 + 1, signature);
            }
        }
    }

    /// P6: one notice per change of verdict, then at most the cadence.
    fn check_notice(&mut self, device: &str, kind: NoticeKind) {
        if kind == NoticeKind::StepFailed {
            let (taken, failed) = self.taken.entry(device.to_owned()).or_default();
            *failed += 1;
            assert!(*failed <= *taken, "a step that failed twice");
        }
        if !ABOUT_THE_VERDICT.contains(&kind) || self.clock_jumped {
            return;
        }
        let now = self.now.host;
        if kind != NoticeKind::CloudWorks {
            assert!(
                self.snoozed_until
                    .get(device)
                    .is_none_or(|until| now >= *until),
                "{kind:?} in a snooze"
            );
            assert!(
                !self.policy.notify.quiet.holds(self.now.second_of_day()),
                "{kind:?} in the quiet hours"
            );
        }
        let changes = self.changes.get(device).map_or(0, |(changes, _)| *changes);
        if let Some((at, before)) = self.told.insert((device.to_owned(), kind), (now, changes)) {
            let repeat = &self.policy.notify.repeat;
            let shortest = repeat.first.min(repeat.then).min(repeat.critical);
            assert!(
                changes > before || now.since(at) >= shortest,
                "{kind:?} again after {}",
                now.since(at)
            );
        }
        let all = self.all_told.entry(device.to_owned()).or_default();
        all.push(now);
        let today = all
            .iter()
            .filter(|at| now.since(**at) < Period::days(1))
            .count();
        assert!(today <= 14, "{today} notices in a day");
    }

    /// No step is offered that could only harm or that waits for a backup, and nothing works again without a date.
    fn check_ladder(&mut self, view: &DeviceView) {
        let device = view.udid.to_string();
        let climb = self.watcher.climb(&view.udid, &self.now).unwrap();
        let next: Vec<_> = climb
            .rungs
            .iter()
            .filter(|rung| rung.state == RungState::Next)
            .collect();
        assert!(next.len() <= 1, "one thing at a time");
        assert_eq!(view.step, next.first().map(|rung| rung.step));
        assert_eq!(climb.rungs.len(), 13);
        assert!(climb.held.is_none() || next.is_empty());
        if let Some(next) = next.first() {
            let never = climb.causes.first().map(|cause| &cause.never);
            assert!(never.is_none_or(|never| !never.contains(&next.step)));
            let guarded = matches!(next.step, StepId::S4 | StepId::S5 | StepId::S7);
            if guarded && next.marked.is_none() {
                let age = match view.verdict.net {
                    SafetyNet::Verified { age_s, .. } => age_s,
                    SafetyNet::Damaged { .. }
                    | SafetyNet::Unverified { .. }
                    | SafetyNet::Elsewhere { .. }
                    | SafetyNet::None => i64::MAX,
                };
                assert!(age < 86_400, "{} without a backup", next.step);
                let copy = &self.stored[&device].past.copy;
                let encrypted = copy.as_ref().is_some_and(|copy| copy.encrypted);
                assert!(next.step != StepId::S7 || encrypted);
            }
        }
        // That its step was taken back is no other recovery.
        let which = |recovery: &Recovery| (recovery.at, recovery.date);
        let known = self.recoveries.get(&device).map(which);
        if climb.recovery.as_ref().map(which) == known {
            return;
        }
        match climb.recovery {
            None => drop(self.recoveries.remove(&device)),
            Some(recovery) => {
                let facts = view.facts.as_ref().unwrap();
                assert_eq!(facts.cloud_last, Ok(recovery.date), "the date that it says");
                let clock = facts.device_clock.clone().unwrap();
                assert!(recovery.date <= clock, "a date ahead");
                assert!(self.is_proved_by_date(&view.facts), "works again: {view:?}");
                self.recoveries.insert(device, recovery);
            }
        }
    }

    /// P3: never a false green.
    fn check_views(&mut self) {
        for view in self.watcher.devices(&self.now) {
            self.check_ladder(&view);
            let running = self.running.contains_key(view.udid.as_str());
            assert_eq!(
                matches!(view.backup, BackupView::Running { .. }),
                running,
                "what is running is shown"
            );
            assert!(
                !self.damaged.contains(view.udid.as_str())
                    || matches!(view.verdict.net, SafetyNet::Damaged { .. }),
                "a damaged copy that counts: {:?}",
                view.verdict.net
            );
            if view.verdict.protection != Protection::Protected {
                continue;
            }
            let local_only = self
                .stored
                .get(view.udid.as_str())
                .is_some_and(|memory| memory.past.local_only == Some(true));
            let by_copy = local_only
                && !self.store_is_missing
                && matches!(view.verdict.net, SafetyNet::Verified { age_s, .. } if age_s < 7 * 86_400);
            assert!(
                by_copy || self.is_proved_by_date(&view.facts),
                "a false green: {view:?}"
            );
        }
    }

    fn is_proved_by_date(&self, facts: &Option<Facts>) -> bool {
        let Some(facts) = facts else { return false };
        let (Ok(true), Ok(date), Ok(clock)) =
            (&facts.cloud_enabled, &facts.cloud_last, &facts.device_clock)
        else {
            return false;
        };
        let unseen = self.now.host.since(facts.seen_at);
        let age = clock.since(*date).plus(unseen);
        (Period::minutes(-10)..Period::days(2)).contains(&unseen)
            && age < Period::days(4)
            && facts.setup == Ok(Setup::Done)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn promises_hold_in_any_order(steps in prop::collection::vec(steps(), 1..120)) {
        let mut world = World::new(Policy::default());
        for step in &steps {
            world.happen(step);
        }
    }

    #[test]
    fn a_clock_that_jumps_breaks_neither_green_nor_jobs(
        steps in prop::collection::vec((steps(), prop::option::weighted(0.1, -4_000_i64..4_000)), 1..80),
    ) {
        let mut policy = Policy::default();
        policy.backup.per_disk = 2;
        let mut world = World::new(policy);
        world.clock_jumped = true;
        for (step, jump) in &steps {
            if let Some(hours) = jump {
                world.now.host = world.now.host.plus(Period::hours(*hours));
            }
            world.happen(step);
        }
    }

    #[test]
    fn hostile_facts_are_no_panic(
        clock in any::<i64>(), date in any::<i64>(), local in any::<i64>(), seen in any::<i64>(), name in ".{0,300}",
    ) {
        let time = |seconds: i64| jiff::Timestamp::from_second(seconds % 250_000_000_000).unwrap();
        let mut world = World::new(Policy::default());
        let mut odd = facts(&world.now, Period::ZERO);
        odd.device_clock = Ok(DeviceTime(time(clock)));
        odd.cloud_last = Ok(DeviceTime(time(date)));
        odd.local_last = Ok(DeviceTime(time(local)));
        odd.seen_at = HostTime(time(seen));
        odd.name = Ok(name);
        world.attached.insert(1, 0);
        world.send(Event::Attached { udid: udid(ANNA), link: LinkKind::Usb, attachment: Attachment(1) });
        world.probing.clear();
        world.send(Event::Probed(Box::new(odd)));
        for view in world.watcher.devices(&world.now) {
            prop_assert!(view.name.is_none_or(|name| name.chars().count() <= 48 && !name.contains(char::is_control)));
        }
    }
}
