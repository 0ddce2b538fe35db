use super::*;
use crate::status::{AgentStatus, CloudStatus, LocalStatus, NextStatus};
use std::sync::Mutex;

/// A bar that keeps what it was shown.
#[derive(Debug, Default)]
struct Screen(Mutex<Vec<Menu>>);

impl MenuBar for Screen {
    fn show(&self, menu: &Menu) {
        self.0.lock().unwrap().push(menu.clone());
    }

    fn trouble(&self) -> Option<String> {
        None
    }
}

fn device(number: u32, protection: &str) -> DeviceStatus {
    DeviceStatus {
        alias: None,
        udid: format!("00008110-{number:016X}"),
        name: Some(format!("Phone {number:03}")),
        nickname: None,
        model: None,
        os_version: None,
        links: vec!["usb".to_owned()],
        trust: "trusted".to_owned(),
        seen_at: None,
        icloud: CloudStatus {
            state: "stale".to_owned(),
            why: None,
            enabled: None,
            last: None,
            age_s: None,
        },
        local: LocalStatus {
            state: "none".to_owned(),
            level: None,
            last: None,
            age_s: None,
            encrypted: None,
            verified_at: None,
            reread_at: None,
            damaged: None,
        },
        protection: protection.to_owned(),
        reason: "iCloud has not backed up this iPhone for 58 days.".to_owned(),
        next: NextStatus {
            code: "back_up_now".to_owned(),
            words: String::new(),
        },
        step: None,
        cause: None,
        local_only: false,
        snoozed_until: None,
        muted_since: None,
        root: None,
        own: std::collections::BTreeMap::new(),
        due: None,
        backup: None,
    }
}

fn status(devices: Vec<DeviceStatus>) -> Status {
    Status {
        schema: crate::status::SCHEMA,
        as_of: "2026-11-22T10:00:00Z".parse().unwrap(),
        agent: AgentStatus {
            running: true,
            last_poll: None,
            usbmuxd: Some(true),
            remarks: Vec::new(),
            managed: None,
        },
        store: None,
        stores: Vec::new(),
        devices,
    }
}

fn transfer(percent: Option<f32>, bytes: u64) -> Progress {
    Progress {
        phase: "transferring".to_owned(),
        percent,
        bytes,
        files: 1,
    }
}

#[test]
fn of_five_hundred_phones_the_worst_twelve_are_shown() {
    let verdict = |number| match number % 100 {
        7 => "unprotected",
        8 | 9 => "at_risk",
        10..20 => "unknown",
        _ => "protected",
    };
    let status = status((0..500).map(|one| device(one, verdict(one))).collect());
    let menu = menu(&status, &mut Paces::new(), Instant::now());
    assert_eq!(menu.worst, Some(Protection::Unprotected));
    let shown: Vec<&str> = menu.devices.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(
        shown,
        [
            "Phone 007",
            "Phone 107",
            "Phone 207",
            "Phone 307",
            "Phone 407",
            "Phone 008",
            "Phone 009",
            "Phone 108",
            "Phone 109",
            "Phone 208",
            "Phone 209",
            "Phone 308"
        ]
    );
    assert_eq!(menu.more, 488);
}

#[test]
fn what_cannot_be_done_now_is_not_offered() {
    let plain = device(1, "at_risk");
    let mut away = plain.clone();
    away.links.clear();
    let mut strange = plain.clone();
    strange.trust = "not_trusted".to_owned();
    let mut running = plain.clone();
    running.backup = Some(transfer(None, 0));
    let mut silent = plain.clone();
    silent.snoozed_until = Some("2026-11-23T10:00:00Z".parse().unwrap());
    let mut muted = plain.clone();
    muted.muted_since = silent.snoozed_until;
    let (now, steps, snooze) = (Action::BackUpNow, Action::ShowSteps, Action::Snooze);
    let cases = [
        ("here", plain, vec![now, steps, snooze]),
        ("away", away, vec![steps, snooze]),
        ("not trusted", strange, vec![steps, snooze]),
        ("backing up", running, vec![steps, snooze]),
        ("snoozed", silent, vec![now, steps]),
        ("muted", muted, vec![now, steps]),
        ("protected", device(1, "protected"), vec![now, steps]),
    ];
    for (what, device, expected) in cases {
        let menu = menu(&status(vec![device]), &mut Paces::new(), Instant::now());
        assert_eq!(menu.devices[0].actions, expected, "{what}");
    }
}

#[test]
fn progress_is_said_as_far_as_it_is_known() {
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    let mut waiting = transfer(None, 0);
    waiting.phase = "waiting_for_passcode".to_owned();
    let gb = 1_234_567_890;
    let cases = [
        (waiting, None, "Enter the passcode on the phone"),
        (transfer(None, 0), None, "Backing up"),
        (transfer(Some(f32::NAN), gb), None, "Backing up: 1.2 GB"),
        (transfer(Some(1e30), 0), None, "Backing up: 100 %"),
        (transfer(Some(42.9), gb), None, "Backing up: 42 %, 1.2 GB"),
        (
            transfer(Some(42.9), gb),
            seconds(170),
            "Backing up: 42 %, 1.2 GB, about 3 minutes left",
        ),
        (
            transfer(Some(99.0), gb),
            seconds(59),
            "Backing up: 99 %, 1.2 GB, less than a minute left",
        ),
        (
            transfer(Some(0.1), gb),
            seconds(90_000),
            "Backing up: 0 %, 1.2 GB, about 25 hours left",
        ),
    ];
    for (progress, left, words) in cases {
        assert_eq!(running(&progress, left), words);
    }
}

#[test]
fn the_time_left_is_measured_and_forgotten_with_the_backup() {
    let mut device = device(1, "at_risk");
    let mut paces = Paces::new();
    let begin = Instant::now();
    let mut at = |seconds, backup: Option<Progress>| {
        device.backup = backup;
        let now = begin + Duration::from_secs(seconds);
        let menu = menu(&status(vec![device.clone()]), &mut paces, now);
        (menu.devices[0].progress.clone(), paces.len())
    };
    let said = |words: &str| Some(words.to_owned());
    assert_eq!(
        at(0, Some(transfer(Some(10.0), 0))),
        (said("Backing up: 10 %"), 1)
    );
    assert_eq!(
        at(3, Some(transfer(Some(13.0), 0))).0,
        said("Backing up: 13 %")
    );
    assert_eq!(
        at(60, Some(transfer(Some(40.0), 0))).0,
        said("Backing up: 40 %, about 2 minutes left")
    );
    // A phone that says nonsense is no reason to.
    assert_eq!(
        at(70, Some(transfer(Some(f32::NAN), 0))).0,
        said("Backing up")
    );
    assert_eq!(
        at(80, Some(transfer(Some(-7.0), 0))).0,
        said("Backing up: 0 %")
    );
    assert_eq!(at(90, None), (None, 0));
}

#[test]
fn only_what_changed_is_drawn_and_that_at_most_once_a_second() {
    let screen = Arc::new(Screen::default());
    let begin = Instant::now();
    let mut face = Face::new(Arc::clone(&screen) as Arc<dyn MenuBar>, begin);
    let drawn = || screen.0.lock().unwrap().len();
    let after = |millis| begin + Duration::from_millis(millis);

    face.look(after(0), false, || status(Vec::new()));
    assert_eq!((drawn(), face.due()), (1, None), "and nothing wakes it");

    face.look(after(10), false, || panic!("nothing happened"));
    // A storm of phones: seen at once would be five hundred pictures.
    for number in 1..=500_u64 {
        face.touch();
        let now = after(10 + number);
        face.look(now, false, || panic!("not within the same second"));
    }
    assert_eq!(face.due(), Some(after(1_000)));
    face.look(after(1_000), false, || status(vec![device(1, "protected")]));
    assert_eq!((drawn(), face.due()), (2, None));

    face.touch();
    face.look(after(5_000), false, || status(vec![device(1, "protected")]));
    assert_eq!((drawn(), face.due()), (2, None), "it looks the same");

    // While a backup runs it is looked at once a second, whatever is told.
    let backing_up = |bytes| {
        let mut device = device(1, "protected");
        device.backup = Some(transfer(Some(7.0), bytes));
        status(vec![device])
    };
    face.touch();
    face.look(after(6_000), true, || backing_up(1_000_000));
    assert_eq!((drawn(), face.due()), (3, Some(after(7_000))));
    face.look(after(7_000), true, || backing_up(2_000_000));
    assert_eq!((drawn(), face.due()), (4, Some(after(8_000))));
    face.look(after(8_000), true, || backing_up(2_000_000));
    assert_eq!((drawn(), face.due()), (4, Some(after(9_000))));
    face.look(after(9_000), false, || status(vec![device(1, "protected")]));
    assert_eq!(
        (drawn(), face.due()),
        (5, None),
        "and then nothing wakes it"
    );
}
