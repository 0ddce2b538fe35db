//! The story that backupwatch was made for, as its person lives it: a new phone backs up to iCloud on its first day and never again.
//! The notice, the click, the page, the local backup, another network in vain, the copy in iCloud deleted and begun anew, and at last
//! the word that it works. Everything is real but the phone.

#![cfg(target_os = "linux")]

use backupwatch_e2e::{
    agent::{Agent, configure},
    browser::{
        Browser,
        axe::Axe,
        page::Page,
        visit::{self, enter, look_around},
    },
    desktop::{Desktop, Opener},
    table::{Table, persona},
};
use backupwatch_sim::CloudAttempt;

/// Somebody who wants to be asked, at any hour.
const ASK: &str = "notify.quiet = \"off\"\nbackup.quiet = \"off\"\nbackup.mode = \"ask\"\n";

fn table() -> Table {
    let table = Table::unix(persona("seed-story"));
    configure(&table, ASK);
    table
}

/// Marks what is proposed before S2 as not wanted.
fn skip_to(page: &Page<'_>, step: &str, act: impl Fn(&Page<'_>, &str, &str)) {
    for _ in 0..4 {
        let next = page.value("document.querySelector('li[data-state=next]')?.id ?? ''");
        let next = next.as_str().unwrap_or_default().to_owned();
        if next == step || next.is_empty() {
            break;
        }
        act(page, &next, "Not for me");
    }
    wait_for_step(page, step, "next");
}

fn wait_for_step(page: &Page<'_>, step: &str, state: &str) {
    page.wait_until(&format!(
        "document.getElementById('{step}').dataset.state == '{state}'"
    ));
}

/// Clicks a button of a step, opening the step first where it is closed.
fn press(page: &Page<'_>, step: &str, button: &str) {
    page.value(&format!(
        "document.querySelector('#{step} details').open = true"
    ));
    page.through(|page| page.click_in(&format!("#{step}"), button));
}

#[test]
fn a_notice_leads_to_the_page_and_the_page_to_a_backup_that_works() {
    let table = table();
    let (Some(desktop), Some(axe)) = (Desktop::start(table.home()), Axe::find()) else {
        return;
    };
    let Some(browser) = Browser::start(table.home()) else {
        return;
    };
    let phone = table.phone();
    let mut command = table.ours(&["agent"]);
    let opener = Opener::at(&mut command, table.home(), &desktop);
    let agent = Agent::launch(&table, &mut command);
    agent.wait_until_up();

    // The notice, and the click.
    let notice = desktop.wait_for_notice("no iCloud backup");
    assert!(notice.summary.contains("Ada’s iPhone"), "{notice:?}");
    desktop.click_notice();
    desktop.click_notice();
    let page = browser.somebody();
    enter(&page, &opener.opened());
    page.wait_for("Unprotected");
    look_around(&page, &axe, "1-unprotected");

    // The local backup. The phone asks for its passcode, and gets it a second later.
    page.through(|page| page.click_in("#backup", "Back up now"));
    page.wait_for("Enter the passcode on the phone");
    page.wait_for("Checked on this disk");
    let verdict = phone.verdict(&table.state().join("backups"));
    assert!(verdict.is_whole(), "{verdict}");
    look_around(&page, &axe, "2-backed-up");

    // Another network, in vain.
    skip_to(&page, "S2", press);
    press(&page, "S2", "I did it");
    phone.join_other_network();
    assert_eq!(phone.back_up_to_icloud_now(), CloudAttempt::Failed);
    press(&page, "S2", "It did not help");
    wait_for_step(&page, "S2", "tried");

    // The copy in iCloud is deleted and begun anew. The local backup is there, so that step is not locked.
    wait_for_step(&page, "S4", "next");
    look_around(&page, &axe, "3-harsh");
    press(&page, "S4", "I did it");
    phone.turn_cloud_off(true);
    check(&table, &agent);
    phone.turn_cloud_on();
    check(&table, &agent);
    assert_eq!(phone.back_up_to_icloud_now(), CloudAttempt::Succeeded);
    check(&table, &agent);

    // The page says so by itself, and the notice says it once.
    page.wait_for("works again");
    wait_for_step(&page, "S4", "done");
    look_around(&page, &axe, "4-works-again");
    let seen = page.seen();
    assert_eq!(seen.complaints, Vec::<String>::new());
    let origin = visit::origin(&page.address());
    for request in &seen.requests {
        assert!(request.starts_with(&origin), "{request} is asked for");
    }
    desktop.wait_for_notice("iCloud");
    check(&table, &agent);
    let told = agent.notices();
    let again = told.iter().filter(|title| title.contains("again"));
    assert_eq!(again.count(), 1, "{told:?}");
    agent.end();
}

fn check(table: &Table, agent: &Agent<'_>) {
    table
        .wait("the agent looks", agent.client().check())
        .expect("the agent looks");
}

#[test]
fn all_of_it_works_without_scripts_too() {
    let table = table();
    let Some(browser) = Browser::start(table.home()) else {
        return;
    };
    configure(&table, &format!("{ASK}notify.desktop = false\n"));
    let phone = table.phone();
    let agent = Agent::start(&table);
    agent.when_device(&table.udid(), "it is seen", |device| {
        device.seen_at.is_some()
    });
    let page = browser.somebody();
    page.scripts(false);
    enter(&page, &visit::link(&table, Some("Ada’s iPhone")));
    page.through(|page| page.click_in("#backup", "Back up now"));
    page.reload_until("Checked on this disk");
    let verdict = phone.verdict(&table.state().join("backups"));
    assert!(verdict.is_whole(), "{verdict}");

    skip_to(&page, "S2", press);
    press(&page, "S2", "I did it");
    press(&page, "S2", "Undo");
    press(&page, "S2", "It did not help");
    wait_for_step(&page, "S4", "next");
    press(&page, "S4", "I did it");
    phone.turn_cloud_off(true);
    check(&table, &agent);
    phone.turn_cloud_on();
    assert_eq!(phone.back_up_to_icloud_now(), CloudAttempt::Succeeded);
    check(&table, &agent);
    page.reload_until("works again");
    page.through(|page| page.click("Snooze for a day"));
    agent.when_device(&table.udid(), "it is snoozed", |device| {
        device.snoozed_until.is_some()
    });
    agent.end();
}
