//! A notice on a real screen: an X server, a session bus and dunst, which nobody here wrote. A click does what the notice offers.

#![cfg(target_os = "linux")]

use backupwatch_e2e::{
    agent::{Agent, configure},
    desktop::Desktop,
    peers,
    table::{PATIENCE, Table, persona},
};
use backupwatch_sim::persona::PromptAnswer;
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// The person wants to be asked before a backup, at any hour.
const ASK: &str = "notify.quiet = \"off\"\nbackup.quiet = \"off\"\nbackup.mode = \"ask\"\n";

/// The phone whose owner does nothing until the test does it for them.
fn table() -> Table {
    let mut phone = persona("stale-58-days");
    phone.passcode.answer = PromptAnswer::Wait;
    let table = Table::unix(phone);
    configure(&table, ASK);
    table
}

/// The agent of somebody who sits at this desktop. Pages are opened by an `xdg-open` that only writes down what it was given.
fn agent<'t>(table: &'t Table, desktop: &Desktop) -> (Agent<'t>, PathBuf) {
    let programs = table.home().join("programs");
    fs::create_dir(&programs).unwrap();
    let opened = table.home().join("opened");
    let opener = programs.join("xdg-open");
    fs::write(
        &opener,
        format!(
            "#!/bin/sh\nprintf '%s\\n' \"$@\" >> '{}'\n",
            opened.display()
        ),
    )
    .unwrap();
    fs::set_permissions(&opener, fs::Permissions::from_mode(0o755)).unwrap();
    let path = std::env::join_paths(
        std::iter::once(programs).chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
    )
    .unwrap();
    let mut command = table.ours(&["agent"]);
    command
        .env("PATH", path)
        .env("DISPLAY", &desktop.display)
        .env("DBUS_SESSION_BUS_ADDRESS", &desktop.bus);
    let agent = Agent::launch(table, &mut command);
    agent.wait_until_up();
    (agent, opened)
}

fn screenshot(desktop: &Desktop, name: &str) {
    if let Some(folder) = std::env::var_os("BACKUPWATCH_SCREENSHOTS") {
        desktop.screenshot(&Path::new(&folder).join(name));
    }
}

#[test]
fn the_button_of_the_notice_makes_the_backup() {
    let table = table();
    let Some(desktop) = Desktop::start(table.home()) else {
        return;
    };
    let (agent, _) = agent(&table, &desktop);
    let notice = desktop.wait_for_notice("no iCloud backup");
    screenshot(&desktop, "notice.png");
    assert_eq!(
        notice.summary,
        "Ada’s iPhone 📱: no iCloud backup for 58 days"
    );
    assert!(
        notice
            .body
            .contains("iCloud has not backed up this iPhone for 58 days"),
        "{notice:?}"
    );
    let before = agent.when_device(&table.udid(), "it waits for a person", |device| {
        device.due.is_some()
    });
    assert_eq!(
        before.due.unwrap().waiting_for,
        "somebody to choose Back Up Now"
    );

    desktop.choose("Back Up Now");
    table.wait(
        "the phone asks for its passcode",
        table.phone().prompt_shown(),
    );
    let asks = desktop.wait_for_notice("Enter the passcode");
    screenshot(&desktop, "passcode.png");
    assert_eq!(asks.summary, "Enter the passcode on Ada’s iPhone 📱");
    assert!(table.phone().enter_passcode());
    agent.when_device(&table.udid(), "it is backed up", |device| {
        device.local.state == "verified"
    });
    let done = desktop.wait_for_notice("is backed up to this computer");
    screenshot(&desktop, "done.png");
    assert!(done.body.contains("checked on this disk"), "{done:?}");
    // dunst's menu leaves the notice from which it was opened; the later ones took each other's place.
    assert_eq!(desktop.count(), 2, "{:?}", desktop.all());
    let verdict = table.phone().verdict(&table.state().join("backups"));
    assert!(verdict.is_whole(), "{verdict}");
    agent.end();
}

/// The button and the notice itself both open the page at this phone, with a link that lets the browser in once.
#[test]
fn a_click_on_the_notice_opens_the_page_at_the_phone() {
    let table = table();
    let Some(desktop) = Desktop::start(table.home()) else {
        return;
    };
    let (agent, opened) = agent(&table, &desktop);
    desktop.wait_for_notice("no iCloud backup");
    desktop.click_notice();
    let link = wait_for_link(&agent, &opened, 1);
    let page = peers::run(
        std::process::Command::new("curl").args(["-sS", "-i", &link]),
        PATIENCE,
    );
    let page = peers::words(&page);
    assert!(
        page.contains("200 OK") && page.contains("HttpOnly"),
        "{page}"
    );
    let phone = format!("/devices/{}", table.udid());
    assert!(page.contains(&phone), "{page}");
    let seen = table.phone().seen();
    assert!(
        !seen.iter().any(|seen| seen.name.contains("mobilebackup2")),
        "reading is no backup"
    );
    agent.end();
}

#[test]
fn show_steps_opens_the_page() {
    let table = table();
    let Some(desktop) = Desktop::start(table.home()) else {
        return;
    };
    let (agent, opened) = agent(&table, &desktop);
    desktop.wait_for_notice("no iCloud backup");
    desktop.choose("Show Steps");
    let link = wait_for_link(&agent, &opened, 1);
    assert!(
        link.starts_with("http://127.0.0.1:") && link.contains("/enter?key="),
        "{link}"
    );
    agent.end();
}

/// What the opener was given the `nth` time.
fn wait_for_link(agent: &Agent<'_>, opened: &Path, nth: usize) -> String {
    let begin = Instant::now();
    loop {
        let text = fs::read_to_string(opened).unwrap_or_default();
        if text.matches('\n').count() >= nth {
            return text.lines().nth(nth - 1).unwrap().to_owned();
        }
        assert!(
            begin.elapsed() < PATIENCE,
            "nothing is opened\n{}",
            agent.words()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn snooze_is_snooze() {
    let table = table();
    let Some(desktop) = Desktop::start(table.home()) else {
        return;
    };
    let (agent, _) = agent(&table, &desktop);
    desktop.wait_for_notice("no iCloud backup");
    desktop.choose("Snooze");
    let device = agent.when_device(&table.udid(), "it is snoozed", |device| {
        device.snoozed_until.is_some()
    });
    let for_how_long = device.snoozed_until.unwrap() - jiff::Timestamp::now();
    let hours = for_how_long.total(jiff::Unit::Hour).unwrap();
    assert!((23.9..=24.0).contains(&hours), "{hours}");
    agent.end();
}

/// The notification service is away when there is something to say, and comes back.
#[test]
fn a_desktop_without_a_notification_service_is_said_and_costs_nothing() {
    let table = table();
    let Some(mut desktop) = Desktop::start(table.home()) else {
        return;
    };
    desktop.end_dunst();
    let (agent, _) = agent(&table, &desktop);
    let status = agent.when("the trouble is said", |status| {
        let remarks = status.agent.remarks.join(" ");
        remarks.contains("Notices cannot be shown")
    });
    assert!(
        status
            .agent
            .remarks
            .iter()
            .any(|remark| remark.ends_with('.')),
        "{:?}",
        status.agent.remarks
    );
    assert_eq!(agent.notices().len(), 1, "it is in the history");
    let said = peers::run(&mut table.ours(&["status"]), PATIENCE);
    let said = peers::words(&said);
    assert!(said.contains("Notices cannot be shown"), "{said}");
    agent.end();
}
