//! The ladder in the life of a phone: what is told when, and what survives.

use super::story::Story;
use crate::evidence::{Attempt, Books, ErrorCode};
use crate::facts::{Facts, LinkKind, NoAnswer};
use crate::fixture::{ANNA, at, earlier, facts, later, udid, verified};
use crate::ladder::{How, Mark, RungState, Sign};
use crate::notice::NoticeKind;
use crate::policy::{Mode, Policy, QuietHours};
use crate::steps::StepId;
use crate::time::{DeviceTime, Now, Period};
use crate::verdict::CloudState;
use crate::watcher::{Attachment, Command, Event, Watcher};

/// Notices at any hour, backups on demand.
fn asking() -> Policy {
    let mut policy = Policy::default();
    policy.backup.mode = Mode::Ask;
    policy.notify.quiet = QuietHours::NEVER;
    policy
}

/// The phone whose only iCloud backup is of this moment.
fn since(first: Now) -> impl Fn(&Now) -> Facts {
    move |now| facts(now, now.host.since(first.host))
}

fn local_backup(story: &mut Story) {
    story.send(Event::AskBackup { udid: udid(ANNA) });
    let report = verified(&story.wait(Period::minutes(40)).now);
    story.send(Event::BackupFinished(report));
}

fn probed(story: &mut Story, facts: Facts) {
    story.send(Event::DomainChanged { udid: udid(ANNA) });
    story.send(Event::Probed(Box::new(facts)));
}

/// New phone on 25 September, one backup that day, none for a week; deleting the copy in iCloud cured it.
#[test]
fn the_seed_story() {
    let first_day = at("2026-09-25T18:00:00Z");
    let broken = since(first_day);
    let mut story = Story::new(at("2026-10-02T17:00:00Z"), asking());
    story.send(Event::StoreReady {
        free: Some(500_000_000_000),
    });
    let stale = broken(&story.now);
    story.plug_in(stale);
    story.show_ladder();

    story.note("a night on the charger");
    story.mark(StepId::S0, Mark::Did);
    story.live(Period::hours(16), &broken);
    story.show_ladder();

    story.note("restarted long ago; and another network, with Back Up Now");
    story.mark(StepId::S1, Mark::NotForMe);
    story.mark(StepId::S2, Mark::Did);
    story.live(Period::hours(2), &broken);
    story.mark(StepId::S2, Mark::DidNotHelp);
    story.mark(StepId::S3, Mark::NotForMe);
    story.show_ladder();
    story.show();

    story.note("the local backup opens the lock");
    local_backup(&mut story);
    let stale = broken(&story.now);
    story.send(Event::Probed(Box::new(stale)));
    story.show_ladder();
    story.show();

    story.note("turn off and delete, restart, switch on, Back Up Now");
    story.mark(StepId::S4, Mark::Did);
    let off = |now: &Now| Facts {
        cloud_enabled: Ok(false),
        cloud_last: Err(NoAnswer::Missing),
        ..broken(now)
    };
    let gone = off(&story.wait(Period::minutes(2)).now);
    probed(&mut story, gone);
    story.show_ladder();
    story.unplug();
    story.wait(Period::minutes(2)).send(Event::Attached {
        udid: udid(ANNA),
        link: LinkKind::Usb,
        attachment: Attachment(8),
    });
    let on = |now: &Now| Facts {
        cloud_enabled: Ok(true),
        ..off(now)
    };
    let back = on(&story.wait(Period::minutes(1)).now);
    story.send(Event::Probed(Box::new(back)));
    story.show_ladder();
    story.restart();
    story.send(Event::Attached {
        udid: udid(ANNA),
        link: LinkKind::Usb,
        attachment: Attachment(9),
    });
    let back = on(&story.wait(Period::minutes(1)).now);
    story.send(Event::Probed(Box::new(back)));
    story.live(Period::hours(9), on);
    let done = facts(&story.now, Period::minutes(5));
    probed(&mut story, done);
    story.show_ladder();
    story.show();

    story.note("told once; and the next night is nothing special");
    story.live(Period::days(3), |now| facts(now, Period::hours(5)));
    story.show_ladder();
    insta::assert_snapshot!(story.transcript());
}
