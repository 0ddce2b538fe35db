//! The page for everybody: for those who read it with a screen reader, at night, on a phone, or without a mouse.

#![cfg(unix)]

use backupwatch_e2e::{
    agent::{Agent, WATCH_ONLY, configure},
    browser::{
        Browser,
        axe::Axe,
        page::Page,
        visit::{enter, link, look_around, origin},
    },
    table::{Table, persona},
};

fn watch(table: &Table) -> Agent<'_> {
    configure(table, WATCH_ONLY);
    let agent = Agent::start(table);
    agent.when("every phone is seen", |status| {
        status.devices.len() == table.sim().phones().len()
            && status.devices.iter().all(|device| device.seen_at.is_some())
    });
    agent
}

#[test]
fn every_page_can_be_used_by_everybody() {
    let phones = ["stale-58-days", "fresh", "cloud-off", "untrusted"];
    let table = Table::of(phones.map(persona).into());
    let (Some(browser), Some(axe)) = (Browser::start(table.home()), Axe::find()) else {
        return;
    };
    let agent = watch(&table);
    let udid = persona("stale-58-days").identity.udid;
    let page = browser.somebody();
    enter(&page, &link(&table, None));
    look_around(&page, &axe, "list");
    let origin = origin(&page.address());

    let said = table.ours(&["backup", &udid]).output().unwrap();
    assert!(said.status.success(), "{said:?}");
    assert_eq!(page.goto(&format!("{origin}/devices/{udid}#S4")), 200);
    look_around(&page, &axe, "device");
    page.value("document.querySelectorAll('details').forEach(one => one.open = true)");
    look_around(&page, &axe, "device-all-open");

    assert_eq!(page.goto(&format!("{origin}/devices/nobody")), 404);
    look_around(&page, &axe, "no-such-page");
    let stranger = browser.somebody();
    assert_eq!(stranger.goto(&origin), 403);
    look_around(&stranger, &axe, "closed");
    assert_eq!(
        page.seen().complaints.len(),
        1,
        "only the page that is none"
    );
    agent.end();
}

/// What has the focus: its words, and whether one can see that it has it.
fn focus(page: &Page<'_>) -> (String, bool) {
    let focus = page.value(
        "(() => {
            const e = document.activeElement;
            const s = getComputedStyle(e);
            const r = e.getBoundingClientRect();
            const ring = s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) > 0 || s.boxShadow !== 'none';
            return [(e.innerText || e.value || e.tagName).trim(), ring && r.width > 0 && r.bottom > 0 && r.top < innerHeight];
        })()",
    );
    let words = focus[0].as_str().unwrap_or_default();
    (words.to_owned(), focus[1] == true)
}

#[test]
fn a_keyboard_is_enough() {
    let table = Table::of(vec![persona("stale-58-days")]);
    let Some(browser) = Browser::start(table.home()) else {
        return;
    };
    let agent = watch(&table);
    let page = browser.somebody();
    enter(&page, &link(&table, Some(&table.udid())));
    let open = page.value("document.querySelector('#S1 details').open = true");
    assert_eq!(open, true);
    let mut reached = Vec::new();
    for _ in 0..120 {
        page.key("Tab");
        let (words, visible) = focus(&page);
        if words == "BODY" {
            break;
        }
        assert!(visible, "“{words}” has the focus, and nobody sees it");
        reached.push(words);
        if reached.last().is_some_and(|last| last == "I did it") {
            break;
        }
    }
    assert_eq!(
        reached.first().map(String::as_str),
        Some("Skip to the content")
    );
    assert_eq!(
        reached.last().map(String::as_str),
        Some("I did it"),
        "{reached:?}"
    );
    page.through(|page| page.key("Enter"));
    page.wait_for("Noted");
    agent.end();
}

/// In which part of the page it is said what came of a button, and how.
fn said(page: &Page<'_>) -> (String, String) {
    let said = page.value(
        "(() => {
            const e = document.getElementById('said');
            return [e.parentElement.id, getComputedStyle(e).position];
        })()",
    );
    let text = |at: usize| said[at].as_str().unwrap_or_default().to_owned();
    (text(0), text(1))
}

#[test]
fn what_came_of_a_button_is_said_beside_it_and_over_nothing() {
    let phones = ["stale-58-days", "cloud-off"];
    let table = Table::of(phones.map(persona).into());
    let (Some(browser), Some(axe)) = (Browser::start(table.home()), Axe::find()) else {
        return;
    };
    let agent = watch(&table);
    let device = |name| format!("/devices/{}", persona(name).identity.udid);
    let page = browser.somebody();
    enter(&page, &link(&table, None));
    let origin = origin(&page.address());

    page.goto(&format!("{origin}{}", device("stale-58-days")));
    let next = page.value("document.querySelector('li[data-state=next]').id");
    let next = next.as_str().unwrap_or_default().to_owned();
    page.through(|page| page.click_in(&format!("#{next}"), "I did it"));
    page.wait_for("Noted");
    assert_eq!(said(&page), (next, "static".to_owned()));
    look_around(&page, &axe, "said-at-a-step");

    // Taken, and taken back.
    page.goto(&format!("{origin}{}", device("cloud-off")));
    page.through(|page| page.click_in("#verdict", "Local backups are enough"));
    page.wait_for("Local backups are enough for it from now on");
    assert_eq!(said(&page), ("main".to_owned(), "static".to_owned()));
    look_around(&page, &axe, "said-on-top");
    page.through(|page| page.click_in("#verdict", "Watch its iCloud backup again"));
    page.wait_for("Its iCloud backup is watched again");
    page.through(|page| page.click_in("#verdict", "Local backups are enough"));
    agent.end();
}
