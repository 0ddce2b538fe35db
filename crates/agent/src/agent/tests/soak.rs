//! Eight hours of many phones that come, go, fall silent, change their minds and their dates, against a model that only knows what the
//! phones were told to say. By a paused clock, so that it takes seconds; the same from a seed, so that a failure comes again.

use super::*;

const PHONES: u32 = 60;
const HOURS: i64 = 8;
/// A change that is older than this has been seen: one interval, and what a visit takes.
const SEEN_AFTER: i64 = 16 * 60;

/// What a phone was last told to do.
#[derive(Debug, Clone, Copy)]
struct Model {
    attached: bool,
    silent: bool,
    cloud_days: i64,
    /// Seconds since the beginning.
    changed: i64,
    plugged: usize,
    /// The least that it could ever have told.
    least_days: i64,
}

impl Model {
    fn cloud(&self) -> &'static str {
        match self.cloud_days {
            ..2 => "fresh",
            2..4 => "late",
            4..14 => "stale",
            14..30 => "alarm",
            30.. => "critical",
        }
    }

    /// What the status says of it must be true, or honest about not knowing.
    fn check(&self, n: u32, now: i64, trusts: bool, status: &Status) {
        let device = status
            .devices
            .iter()
            .find(|device| device.udid == udid(n).as_str());
        let settled = now - self.changed > SEEN_AFTER;
        let Some(device) = device else {
            assert!(
                !(settled && self.attached && !self.silent),
                "phone {n} is not shown: {self:?}"
            );
            return;
        };
        let state = device.icloud.state.as_str();
        if settled {
            assert_eq!(
                !device.links.is_empty(),
                self.attached,
                "phone {n}: {self:?}, {device:#?}"
            );
        }
        if settled && self.attached && !self.silent {
            let wanted = if trusts { self.cloud() } else { "unknown" };
            assert_eq!(state, wanted, "phone {n}: {self:?}, {device:#?}");
        }
        let green = state == "fresh" && self.least_days >= 2
            || device.protection == "protected" && self.least_days >= 4;
        assert!(!green, "a false green for phone {n}: {self:?}, {device:#?}");
    }
}

/// Xorshift: the tests need no better one.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        u32::try_from((self.0 >> 20) % u64::from(sides)).unwrap()
    }
}

struct Soak {
    rig: Rig,
    model: Vec<Model>,
    dice: Dice,
    now: i64,
    /// Each time that a phone is plugged in is an attachment of its own, as usbmuxd counts.
    attachments: u32,
    current: Vec<Option<Attachment>>,
}

impl Soak {
    fn number(index: usize) -> u32 {
        u32::try_from(index).unwrap() + 1
    }

    async fn plug(&mut self, index: usize, plug: bool) {
        let event = if plug {
            self.attachments += 1;
            let attachment = Attachment(self.attachments);
            self.current[index] = Some(attachment);
            self.model[index].plugged += 1;
            Event::Attached {
                udid: udid(Self::number(index)),
                link: backupwatch_core::LinkKind::Usb,
                attachment,
            }
        } else {
            let attachment = self.current[index].take().unwrap();
            Event::Detached { attachment }
        };
        self.model[index].attached = plug;
        self.rig.tell(event).await;
    }

    async fn change_something(&mut self) {
        let index = self.dice.below(PHONES) as usize;
        let what = self.dice.below(10);
        let days = [0, 1, 3, 6, 20, 58][self.dice.below(6) as usize];
        let was = self.model[index];
        match what {
            0..6 => self.plug(index, !was.attached).await,
            6..8 => self.model[index].cloud_days = days,
            8 => self.model[index].silent = !was.silent,
            // It forgets us; when it is asked, it trusts us again.
            _ => {}
        }
        let model = &mut self.model[index];
        model.changed = self.now;
        model.least_days = model.least_days.min(model.cloud_days);
        let model = *model;
        self.rig.phones.set(&udid(Self::number(index)), |phone| {
            phone.cloud_days = model.cloud_days;
            phone.silent = model.silent;
            if what == 9 {
                phone.trust = Trust::NotTrusted;
            }
        });
    }

    async fn pass(&mut self, seconds: u32) {
        tokio::time::sleep(Duration::from_secs(seconds.into())).await;
        self.now += i64::from(seconds);
    }

    async fn check(&self) {
        let status = self.rig.desk.status().await.unwrap();
        for (index, model) in self.model.iter().enumerate() {
            let n = Self::number(index);
            let trusts = self.rig.phones.get(&udid(n)).trust == Trust::Trusted;
            model.check(n, self.now, trusts, &status);
        }
    }
}

fn tasks() -> usize {
    tokio::runtime::Handle::current()
        .metrics()
        .num_alive_tasks()
}

#[tokio::test(start_paused = true)]
async fn eight_hours_of_phones_that_come_and_go() {
    for seed in [0x5EED_0001, 0x5EED_0002] {
        eight_hours(seed).await;
    }
}

async fn eight_hours(seed: u64) {
    let model = Model {
        attached: false,
        silent: false,
        cloud_days: 20,
        changed: 0,
        plugged: 0,
        least_days: 20,
    };
    let mut soak = Soak {
        rig: Rig::new(config(Mode::Off)),
        model: vec![model; PHONES as usize],
        dice: Dice(seed),
        now: 0,
        attachments: 0,
        current: vec![None; PHONES as usize],
    };
    for index in 0..PHONES {
        soak.rig.phones.set(&udid(index + 1), |phone| {
            phone.cloud_days = model.cloud_days
        });
    }
    soak.rig.tell(Event::MuxUp).await;
    soak.pass(30).await;
    let tasks_at_first = tasks();

    while soak.now < HOURS * 3600 {
        for _ in 0..=soak.dice.below(3) {
            soak.change_something().await;
        }
        let pause = 1 + soak.dice.below(120);
        soak.pass(pause).await;
        soak.check().await;
    }

    // Everybody goes home, and nothing stays behind.
    for index in 0..PHONES as usize {
        if soak.model[index].attached {
            soak.plug(index, false).await;
        }
        soak.model[index].changed = soak.now;
    }
    soak.pass(2 * 3600).await;
    soak.check().await;
    assert_eq!(
        tasks(),
        tasks_at_first,
        "seed {seed:#x}: tasks that nobody ended"
    );
    for (index, model) in soak.model.iter().enumerate() {
        let probes = soak.rig.phones.get(&udid(Soak::number(index))).probes;
        // Each interval once, each time it is plugged in, and some more where it is silent.
        let most = usize::try_from(HOURS * 4).unwrap() + 4 * model.plugged + 8;
        assert!(
            probes <= most,
            "seed {seed:#x}: {probes} visits to {model:?}"
        );
    }
    soak.rig.end().await;
}
