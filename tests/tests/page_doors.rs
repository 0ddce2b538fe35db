//! Who gets in and who does not, in a real browser: other people, other pages, other names for this computer, and a phone whose name
//! would like to be a program.

#![cfg(unix)]

use backupwatch_e2e::{
    agent::{Agent, WATCH_ONLY, configure},
    browser::{
        Browser,
        elsewhere::Elsewhere,
        page::Page,
        visit::{enter, link, origin},
    },
    table::{Table, persona},
};

/// A phone of this persona, watched; no backup begins by itself.
fn table(name: &str) -> Table {
    let table = Table::of(vec![persona(name)]);
    configure(&table, WATCH_ONLY);
    table
}

fn watch(table: &Table) -> Agent<'_> {
    let agent = Agent::start(table);
    agent.when_device(&table.udid(), "it is seen", |device| {
        device.seen_at.is_some()
    });
    agent
}

/// Somebody who is in, at the page of the phone.
fn insider<'b>(browser: &'b Browser, table: &Table) -> Page<'b> {
    let page = browser.somebody();
    enter(&page, &link(table, Some(&table.udid())));
    page
}

#[test]
fn a_link_opens_once_and_nobody_else_gets_in() {
    let table = table("stale-58-days");
    let Some(browser) = Browser::start(table.home()) else {
        return;
    };
    let agent = watch(&table);
    let used = link(&table, None);
    let insider = browser.somebody();
    enter(&insider, &used);
    insider.wait_for("Ada’s iPhone");
    let origin = origin(&insider.address());
    assert_eq!(insider.another().goto(&origin), 200, "another tab is in");

    let stranger = browser.somebody();
    let events = format!("{origin}/devices/{}/events", table.udid());
    let device = format!("{origin}/devices/{}", table.udid());
    let nothing = format!("{origin}/enter?key={}", "0".repeat(64));
    for address in [&origin, &device, &events, &used, &nothing] {
        assert_eq!(stranger.goto(address), 403, "{address}");
        assert!(!stranger.words().contains("Ada"), "{}", stranger.words());
    }
    agent.end();
}

/// What a page of somebody else's tries with our page, as scripts. Each gives a word, or throws.
const TRIES: [(&str, &str); 4] = [
    (
        "reading",
        "fetch(ours, { credentials: 'include' }).then(answer => answer.text())",
    ),
    (
        "reading blindly",
        "fetch(ours, { credentials: 'include', mode: 'no-cors' }).then(answer => answer.text().then(text => { if (text === '') throw 'opaque'; return text }))",
    ),
    (
        "posting",
        "fetch(ours + '/steps/S2', { method: 'POST', credentials: 'include', body: new URLSearchParams({ mark: 'did' }) }).then(answer => answer.status)",
    ),
    (
        "listening",
        "new Promise((heard, not) => { const events = new EventSource(ours + '/events', { withCredentials: true }); events.onopen = () => heard('open'); events.onerror = () => not('error') })",
    ),
];

#[test]
fn a_page_of_somebody_else_reads_nothing_and_changes_nothing() {
    let table = table("stale-58-days");
    let Some(browser) = Browser::start(table.home()) else {
        return;
    };
    let agent = watch(&table);
    let insider = insider(&browser, &table);
    let ours = insider.address();
    let elsewhere = Elsewhere::serve(&format!(
        "<!doctype html><title>A raffle</title><h1>A raffle</h1>
         <a href='{ours}'>Win a phone</a>
         <form method=post action='{ours}/backup'><button>Take part</button></form>
         <form method=post action='{ours}/steps/S2'><input name=mark value=did><button>Claim</button></form>
         <iframe src='{ours}'></iframe>"
    ));
    let before = table
        .wait("the agent tells", agent.client().ladder(&udid(&table)))
        .unwrap();
    // Another name is another site. Another port of this computer is the same site, to which browsers do send our cookie.
    for address in [elsewhere.address(), elsewhere.neighbour()] {
        let page = insider.another();
        assert_eq!(page.goto(&address), 200);
        for (what, script) in TRIES {
            let came = page.value(&format!(
                "(async () => {{ const ours = '{ours}'; try {{ return String(await ({script})) }} catch {{ return 'nothing' }} }})()"
            ));
            assert_eq!(came, "nothing", "{what} from {address}");
        }
        let framed = page.value("(() => { try { return frames[0].document.body.innerText } catch { return 'closed' } })()");
        assert_eq!(framed, "closed", "a frame on {address}");
        for button in ["Take part", "Claim"] {
            page.goto(&address);
            page.through(|page| page.click(button));
            let (status, at) = page.seen().documents.pop().unwrap();
            assert_eq!(status, 403, "{button} from {address} at {at}");
        }
    }
    let after = table
        .wait("the agent tells", agent.client().ladder(&udid(&table)))
        .unwrap();
    assert_eq!(after.steps, before.steps);
    let seen = table.phone().seen();
    let backed_up = seen.iter().any(|seen| seen.name.contains("mobilebackup2"));
    assert!(!backed_up, "a backup was begun");

    // A link from there leads to a closed door: the cookie does not come along.
    let page = insider.another();
    page.goto(&elsewhere.address());
    page.through(|page| page.click("Win a phone"));
    page.wait_for("This page is closed");
    // The person who is in stays in.
    assert_eq!(insider.goto(&ours), 200);
    agent.end();
}

fn udid(table: &Table) -> backupwatch_core::Udid {
    table.udid().parse().unwrap()
}

#[test]
fn another_name_for_this_computer_leads_nowhere() {
    let table = table("stale-58-days");
    let Some(browser) = Browser::start(table.home()) else {
        return;
    };
    let agent = watch(&table);
    let insider = insider(&browser, &table);
    let port = origin(&insider.address());
    let port = port.rsplit(':').next().unwrap();
    let fresh = link(&table, None);
    let page = insider.another();
    for address in [
        format!("http://rebound.test:{port}/"),
        fresh.replace("127.0.0.1", "rebound.test"),
        insider.address().replace("127.0.0.1", "rebound.test"),
    ] {
        let status = page.goto(&address);
        assert!((400..500).contains(&status), "{address}: {status}");
        assert!(!page.words().contains("Ada"), "{}", page.words());
    }
    // The link is as good as before.
    enter(&page, &fresh);
    agent.end();
}

#[test]
fn a_phone_with_a_program_for_a_name_runs_nothing() {
    let table = table("hostile-name");
    let Some(browser) = Browser::start(table.home()) else {
        return;
    };
    let agent = watch(&table);
    let backed_up = table.ours(&["backup"]).output().unwrap();
    assert!(backed_up.status.success(), "{backed_up:?}");
    let page = insider(&browser, &table);
    for address in [page.address(), origin(&page.address())] {
        assert_eq!(page.goto(&address), 200);
        page.wait_for("<script>alert(1)</script>");
        assert_eq!(page.seen().complaints, Vec::<String>::new(), "{address}");
        let strange = page.value(
            "[...document.querySelectorAll('script:not([src]), img, b, [onerror]')].map(e => e.outerHTML)",
        );
        assert_eq!(strange, serde_json::json!([]), "{address}");
    }
    agent.end();
}
