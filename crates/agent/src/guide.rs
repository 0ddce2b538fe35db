//! The remediation guide: one HTML page for one device, with its facts and every step from the mildest to the harshest.
//!
//! The words are data (`backupwatch_core::steps`); this module only sets them. The page asks nothing of the network and
//! runs no script.

use backupwatch_core::{
    HostTime, Protection,
    steps::{self, Guard, Step},
    verdict::SafetyNet,
    watcher::DeviceView,
};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use std::{
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

const STYLE: &str = include_str!("guide/guide.css");

/// A verified local backup must be younger than this before a step that can lose data, in seconds.
const GUARD_AGE_S: i64 = 24 * 3600;

/// Renders the page into `folder` (made if missing) under the device's UDID and says where it is.
///
/// # Errors
/// When the folder cannot be made or the file cannot be written; the page before is then still there.
pub fn write(
    folder: &Path,
    view: &DeviceView,
    encrypted: bool,
    now: HostTime,
) -> io::Result<PathBuf> {
    std::fs::create_dir_all(folder)?;
    let path = folder.join(format!("{}.html", view.udid));
    let fresh = folder.join(format!(".{}.new", view.udid));
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&fresh)?;
    file.write_all(page(view, encrypted, now).into_string().as_bytes())?;
    drop(file);
    std::fs::rename(&fresh, &path)?;
    Ok(path)
}

/// The page. `encrypted` says whether the newest local backup of ours is.
#[must_use]
pub fn page(view: &DeviceView, encrypted: bool, now: HostTime) -> Markup {
    let name = view.name.as_deref().unwrap_or("your device");
    let verdict = &view.verdict;
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";
                meta name="referrer" content="no-referrer";
                title { "Getting " (name) " backed up again" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { "Getting " (name) " backed up again" }
                    section class={ "card verdict " (verdict.protection.code()) } aria-label="Where things stand" {
                        strong { (word(verdict.protection)) }
                        p { (verdict.reason) }
                        @if !verdict.next.words.is_empty() { p { "Next: " (verdict.next.words) } }
                    }
                }
                main {
                    section class="card" aria-label="What is known" { (facts(view, encrypted)) }
                    h2 { "First of all: a local backup" }
                    p {
                        "No step below should be the moment in which something is lost. Make a local backup first: run "
                        code { "backupwatch backup" }
                        ", or choose Back Up Now on the notice, and enter the passcode on the phone when it asks. It is checked before it counts."
                    }
                    p { "Then begin at the top. After each step wait for one night on the charger, or tap Back Up Now on the phone. Stop as soon as the date moves: backupwatch sees it by itself and tells you." }
                    h2 { "The steps, from the mildest to the harshest" }
                    ol class="steps" { @for step in steps::all() { (one(step, view, encrypted)) } }
                }
                footer {
                    p { "Written on " (day(now)) " by backupwatch on this computer. Menu names differ a little between releases of iOS: the search field in Settings finds “iCloud Backup”." }
                }
            }
        }
    }
}

fn word(protection: Protection) -> &'static str {
    match protection {
        Protection::Protected => "Protected",
        Protection::AtRisk => "At risk",
        Protection::Unprotected => "Unprotected",
        Protection::Unknown => "Not known",
    }
}

fn facts(view: &DeviceView, encrypted: bool) -> Markup {
    let cloud = &view.verdict.cloud;
    let version = view
        .facts
        .as_ref()
        .and_then(|facts| facts.os_version.as_deref().ok());
    html! {
        dl {
            dt { "Last iCloud backup" }
            dd {
                @match cloud.last {
                    Some(last) => { (last.0.strftime("%-d %B %Y, %H:%M UTC")) @if let Some(age) = cloud.age_s { " (" (days(age)) ")" } }
                    None => "no date known",
                }
            }
            dt { "iCloud Backup" }
            dd { (match cloud.enabled { Some(true) => "switched on", Some(false) => "switched off", None => "not known" }) }
            dt { "Local backup" }
            dd { (net(&view.verdict.net, encrypted)) }
            @if let Some(version) = version { dt { "System" } dd { "iOS " (version) } }
            dt { "As of" }
            dd { @match view.verdict.as_of { Some(at) => (day(at)), None => "never in contact" } }
        }
    }
}

fn net(net: &SafetyNet, encrypted: bool) -> String {
    match net {
        SafetyNet::Verified { level, age_s, .. } => format!(
            "made here {}, checked (level {level:?}), {}",
            days(*age_s),
            if encrypted {
                "encrypted"
            } else {
                "not encrypted"
            }
        ),
        SafetyNet::Damaged { age_s, .. } => {
            format!("made here {}, and damaged since", days(*age_s))
        }
        SafetyNet::Unverified {
            age_s,
            medium_missing: true,
            ..
        } => format!("made here {}, where nobody can look now", days(*age_s)),
        SafetyNet::Unverified { age_s, .. } => format!("made here {}, not checked", days(*age_s)),
        SafetyNet::Elsewhere { age_s, .. } => format!(
            "another computer made one {}; it has not been checked here",
            days(*age_s)
        ),
        SafetyNet::None => "none on this computer".to_owned(),
    }
}

fn one(step: &Step, view: &DeviceView, encrypted: bool) -> Markup {
    html! {
        li class="card step" id=(step.id) {
            header { span class="badge" { (step.id) } h3 { (step.title) } }
            p class="cost" { "Takes " (step.takes) " · Risk: " (step.risk) " · You lose: " (step.loses) }
            @if let Some(lock) = locked(step.guard, &view.verdict.net, encrypted) { p class="locked" { (lock) } }
            p { (step.why) }
            @if !step.path.is_empty() { p class="path" { (step.path) } }
            ol { @for action in &step.actions { li { (action) } } }
            @for warning in &step.before { p class="warning" { (warning) } }
            p { strong { "It worked when: " } (step.sign) }
            p { a href=(step.link) rel="noreferrer" { (step.link_title) } " (Apple)" }
        }
    }
}

/// Why a step must wait, if it must.
fn locked(guard: Guard, net: &SafetyNet, encrypted: bool) -> Option<&'static str> {
    let fresh = matches!(net, SafetyNet::Verified { age_s, .. } if *age_s < GUARD_AGE_S);
    match guard {
        Guard::None => None,
        Guard::Verified => {
            (!fresh).then_some("Not yet: make a verified local backup first; it must be younger than 24 hours.")
        }
        Guard::Encrypted => (!(fresh && encrypted)).then_some(
            "Not yet: make a verified and encrypted local backup first; it must be younger than 24 hours.",
        ),
    }
}

fn days(age_s: i64) -> String {
    match age_s / 86_400 {
        i64::MIN..=0 if age_s < 3_600 => "less than an hour ago".to_owned(),
        i64::MIN..=0 if age_s < 7_200 => "1 hour ago".to_owned(),
        i64::MIN..=0 => format!("{} hours ago", age_s / 3_600),
        1 => "1 day ago".to_owned(),
        n => format!("{n} days ago"),
    }
}

fn day(at: HostTime) -> String {
    at.0.strftime("%-d %B %Y, %H:%M UTC").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use backupwatch_core::{
        DeviceTime, Level,
        verdict::{CloudState, CloudVerdict, Concern, NextCode, NextStep, Verdict},
        watcher::BackupView,
    };

    const NOW: &str = "2026-11-22T10:00:00Z";

    fn view(net: SafetyNet) -> DeviceView {
        let now = HostTime(NOW.parse().unwrap());
        DeviceView {
            udid: "00008110-000A1B2C3D4E001E".parse().unwrap(),
            name: Some("Tom & <b>Anna</b>’s iPhone".into()),
            links: vec![],
            trust: None,
            seen_at: Some(now),
            facts: None,
            verdict: Verdict {
                as_of: Some(now),
                cloud: CloudVerdict {
                    state: CloudState::Critical,
                    enabled: Some(true),
                    last: Some(DeviceTime("2026-09-25T20:11:00Z".parse().unwrap())),
                    age_s: Some(58 * 86_400),
                    flags: vec![],
                    concern: Concern::Critical,
                },
                net,
                protection: Protection::Unprotected,
                reason: "The last iCloud backup is 58 days old.".into(),
                next: NextStep {
                    code: NextCode::BackUpNow,
                    words: "Make a local backup.".into(),
                },
            },
            backup: BackupView::NotDue,
            reread_at: None,
            snoozed_until: None,
            step: None,
            cause: None,
        }
    }

    fn shown(net: SafetyNet, encrypted: bool) -> String {
        page(&view(net), encrypted, HostTime(NOW.parse().unwrap())).into_string()
    }

    /// The words of one step's card.
    fn card<'a>(page: &'a str, id: &str) -> &'a str {
        let begin = page.find(&format!("id=\"{id}\"")).unwrap();
        let rest = &page[begin..];
        &rest[..rest.find("<li class=\"card").unwrap_or(rest.len())]
    }

    #[test]
    fn the_page_has_every_step_and_the_devices_own_facts() {
        let page = shown(SafetyNet::None, false);
        for step in steps::all() {
            assert!(page.contains(&format!("id=\"{}\"", step.id)), "{}", step.id);
        }
        assert!(page.contains("25 September 2026, 20:11 UTC (58 days ago)"));
        assert!(page.contains("Unprotected"));
    }

    #[test]
    fn a_name_from_the_phone_is_text_and_nothing_else() {
        let page = shown(SafetyNet::None, false);
        assert!(!page.contains("<b>Anna"));
        assert!(page.contains("Tom &amp; &lt;b&gt;Anna&lt;/b&gt;"));
        assert!(!page.contains("<script"));
    }

    #[test]
    fn steps_that_lose_data_wait_for_a_fresh_verified_copy() {
        let fresh = SafetyNet::Verified {
            level: Level::L2,
            at: HostTime(NOW.parse().unwrap()),
            age_s: 3600,
            checked: None,
        };
        let old = SafetyNet::Verified {
            level: Level::L2,
            at: HostTime(NOW.parse().unwrap()),
            age_s: GUARD_AGE_S,
            checked: None,
        };
        let damaged = SafetyNet::Damaged {
            at: HostTime(NOW.parse().unwrap()),
            age_s: 3600,
            found: HostTime(NOW.parse().unwrap()),
            damaged: 1,
        };
        // (net, encrypted, S4 locked, S7 locked)
        let cases = [
            ("none", SafetyNet::None, false, true, true),
            ("too old", old, true, true, true),
            ("damaged", damaged, true, true, true),
            ("fresh, plain", fresh.clone(), false, false, true),
            ("fresh, encrypted", fresh, true, false, false),
        ];
        for (name, net, encrypted, s4, s7) in cases {
            let page = shown(net, encrypted);
            assert_eq!(card(&page, "S4").contains("Not yet:"), s4, "S4, {name}");
            assert_eq!(card(&page, "S7").contains("Not yet:"), s7, "S7, {name}");
            assert!(!card(&page, "S0").contains("Not yet:"), "S0, {name}");
        }
    }

    #[test]
    fn the_file_is_private_and_replaced_whole() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let guide = folder.path().join("guide");
        let now = HostTime(NOW.parse().unwrap());
        let path = write(&guide, &view(SafetyNet::None), false, now).unwrap();
        assert_eq!(
            write(&guide, &view(SafetyNet::None), false, now).unwrap(),
            path
        );
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(&guide).unwrap().count(), 1);
    }
}
