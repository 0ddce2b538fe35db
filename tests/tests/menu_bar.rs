//! The item in a real panel: Xfce's, on an X server nobody sees. What is chosen there happens, and what it shows is what is known.

#![cfg(target_os = "linux")]

use backupwatch_e2e::{
    agent::{Agent, configure},
    desktop::{Desktop, Opener},
    table::{Table, persona},
    tray::{Item, Panel},
};
use backupwatch_sim::persona::PromptAnswer;
use std::{path::Path, time::Duration};

/// The person wants to be asked before a backup, at any hour, and by nothing but the menu.
const ASK: &str = "menu_bar = true\nnotify.desktop = false\nnotify.quiet = \"off\"\nbackup.quiet = \"off\"\nbackup.mode = \"ask\"\n";

/// The phone whose owner does nothing until the test does it for them.
fn table(name: Option<&str>) -> Table {
    let mut phone = persona("stale-58-days");
    phone.passcode.answer = PromptAnswer::Wait;
    if let Some(name) = name {
        phone.identity.name = name.to_owned();
    }
    let table = Table::unix(phone);
    configure(&table, ASK);
    table
}

/// The agent of somebody who sits at this desktop, and what it opens.
fn agent<'t>(table: &'t Table, desktop: &Desktop) -> (Agent<'t>, Opener) {
    let mut command = table.ours(&["agent"]);
    let opener = Opener::at(&mut command, table.home(), desktop);
    let agent = Agent::launch(table, &mut command);
    agent.wait_until_up();
    (agent, opener)
}

fn desktop(table: &Table) -> Option<Desktop> {
    Desktop::start(table.home()).filter(|_| Panel::is_here())
}

fn screenshot(desktop: &Desktop, name: &str) {
    if let Some(folder) = std::env::var_os("BACKUPWATCH_SCREENSHOTS") {
        desktop.screenshot(&Path::new(&folder).join(name));
    }
}

const REMARK: &str = "There is no item in the menu bar";

fn is_without_item(agent: &Agent<'_>) -> bool {
    let remarks = agent.status().agent.remarks;
    remarks.iter().any(|remark| remark.starts_with(REMARK))
}

/// With the mouse and the keys of the panel itself, as a person would.
#[test]
fn the_menu_makes_the_backup_and_shows_how_far_it_is() {
    let table = table(None);
    let Some(desktop) = desktop(&table) else {
        return;
    };
    let _panel = Panel::start(&desktop, table.home());
    let (agent, _) = agent(&table, &desktop);
    let item = Item::wait(&desktop);
    let phone = item.when("the phone has a line", |line| {
        line.label.starts_with("✕ Ada’s iPhone 📱: Unprotected")
    });
    let offered: Vec<&str> = phone.own.iter().map(|line| line.label.as_str()).collect();
    assert_eq!(offered, ["Back Up Now", "Show Steps", "Snooze"]);
    item.when("the reason is said", |line| {
        !line.enabled && line.label.contains("58 days")
    });
    assert_eq!(item.title(), "Backupwatch: Unprotected");
    let before = item.glyph();

    desktop.open_menu();
    screenshot(&desktop, "menu.png");
    // To the phone, into its menu, and its first line.
    for key in ["Down", "Right"] {
        desktop.press(key);
    }
    screenshot(&desktop, "menu-phone.png");
    desktop.press("Return");
    table.wait(
        "the phone asks for its passcode",
        table.phone().prompt_shown(),
    );
    item.when("the menu says what to do", |line| {
        line.label.trim() == "Enter the passcode on the phone"
    });
    desktop.open_menu();
    screenshot(&desktop, "menu-passcode.png");
    desktop.press("Escape");

    assert!(table.phone().enter_passcode());
    agent.when_device(&table.udid(), "it is backed up", |device| {
        device.local.state == "verified"
    });
    item.when("the verdict is another", |line| {
        line.label.starts_with("▲ Ada’s iPhone 📱: At risk")
    });
    assert_eq!(item.title(), "Backupwatch: At risk");
    assert_ne!(item.glyph(), before, "the glyph says the same as the words");
    desktop.open_menu();
    screenshot(&desktop, "menu-done.png");
    let verdict = table.phone().verdict(&table.state().join("backups"));
    assert!(verdict.is_whole(), "{verdict}");
    agent.end();
}

/// A name is text, whatever it is made of; and every line does what it says.
#[test]
fn what_is_chosen_happens() {
    let table = table(Some("_Ada_\nQuit Until Next Login\u{202e}"));
    let Some(desktop) = desktop(&table) else {
        return;
    };
    let _panel = Panel::start(&desktop, table.home());
    let (agent, opener) = agent(&table, &desktop);
    let item = Item::wait(&desktop);
    item.when("the name is on one line, with none of its keys", |line| {
        line.label == "✕ __Ada__Quit Until Next Login: Unprotected"
    });

    item.choose("Snooze");
    let device = agent.when_device(&table.udid(), "it is snoozed", |device| {
        device.snoozed_until.is_some()
    });
    let hours = (device.snoozed_until.unwrap() - jiff::Timestamp::now())
        .total(jiff::Unit::Hour)
        .unwrap();
    assert!((23.9..=24.0).contains(&hours), "{hours}");
    item.when("there is nothing more to snooze", |line| {
        let offered: Vec<&str> = line.own.iter().map(|own| own.label.as_str()).collect();
        offered == ["Back Up Now", "Show Steps"]
    });

    item.choose("Open Backupwatch");
    let link = opener.opened();
    assert!(
        link.starts_with("http://127.0.0.1:") && link.contains("/enter?key="),
        "{link}"
    );

    item.choose("Quit Until Next Login");
    let said = agent.ended(Duration::from_secs(25));
    assert_eq!(said.code, Some(0), "{said:?}");
}

/// Panels come after the agent, and go, and come back. The agent goes on, and the item is there when a panel is.
#[test]
fn a_panel_may_come_late_and_die() {
    let table = table(None);
    let Some(desktop) = desktop(&table) else {
        return;
    };
    let (agent, _) = agent(&table, &desktop);
    agent.when("it is said that there is no item", |_| {
        is_without_item(&agent)
    });
    let panel = Panel::start(&desktop, table.home());
    let _item = Item::wait(&desktop);
    agent.when("there is one now", |_| !is_without_item(&agent));

    drop(panel);
    agent.when("it is said again", |_| is_without_item(&agent));
    let _panel = Panel::start(&desktop, table.home());
    let item = Item::wait(&desktop);
    agent.when("and it is back", |_| !is_without_item(&agent));
    item.when("with its lines", |line| line.label.contains("Ada"));
    agent.end();
}
