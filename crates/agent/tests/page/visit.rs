//! The page as the person meets it for whom it is: what it shows, and what its buttons do.

use std::time::Duration;

use backupwatch_core::steps;
use backupwatch_sim::persona::Persona;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::browser::{Browser, between};
use crate::common::{self, ADA, Home, persona};
use crate::{CALM, ada, up};

fn device() -> String {
    format!("/devices/{ADA}")
}

/// Ada, whose passcode is entered by the test.
fn waits() -> Persona {
    persona("stale-58-days", |text| {
        text.replace("answer = \"enter\"", "answer = \"wait\"")
    })
}

#[tokio::test]
async fn all_devices_and_one_of_them() {
    let home = Home::with(vec![ada(), persona("fresh", |text| text)]);
    let agent = up(&home).await;
    agent
        .when("both are known", |status| {
            status
                .devices
                .iter()
                .filter(|one| one.seen_at.is_some())
                .count()
                == 2
        })
        .await;
    let browser = Browser::enter(&agent).await;
    let all = browser.get("/").await.body;
    for words in [
        "Unprotected",
        "Protected",
        "What next:",
        "connected by cable now",
        "Ada’s iPhone 📱",
    ] {
        assert!(all.contains(words), "{words} is missing in {all}");
    }
    let order = |word| all.find(&format!("data-protection=\"{word}\"")).unwrap();
    assert!(order("unprotected") < order("protected"), "worst first");

    let one = browser.get(&device()).await.body;
    for words in [
        "id=\"verdict\"",
        "data-protection=\"unprotected\"",
        "58 days",
        "As of",
        "The last 90 days",
        "The same as a table",
        "Back up now",
        "<title id=\"chart-title\">",
        "What you were told",
    ] {
        assert!(one.contains(words), "{words} is missing in {one}");
    }
    for step in steps::all() {
        let id = format!("<li id=\"{}\"", step.id);
        assert!(one.contains(&id), "{id}");
    }
    // One code a step, for the phone's camera; each form has this session's token.
    assert_eq!(one.matches("class=\"qr\"").count(), steps::all().len());
    let tokens = one.matches(&format!("value=\"{}\"", browser.token)).count();
    assert_eq!(tokens, one.matches("<form").count());
    agent.end().await;
}

#[tokio::test]
async fn what_is_said_of_a_step_is_shown_and_taken_back() {
    let home = Home::with(vec![ada()]);
    let agent = up(&home).await;
    let browser = Browser::enter(&agent).await;
    let action = format!("{}/steps/S0", device());
    let said = browser.post(&action, "mark=not_for_me").await;
    assert_eq!(
        (said.status, said.header("location")),
        (303, Some(format!("{}#S0", device()).as_str()))
    );
    let udid = ADA.parse().unwrap();
    let state = |ladder: &backupwatch_agent::ladder::LadderDocument| {
        let step = ladder.steps.iter().find(|step| step.id == "S0").unwrap();
        step.state.clone()
    };
    let marked = agent.client.ladder(&udid).await.unwrap();
    let fetched = browser.get(&format!("{}?live", device())).await.body;
    assert!(
        !fetched.contains("Noted."),
        "it is for the person, not for the script"
    );
    let page = browser.get(&device()).await.body;
    assert!(page.contains("Noted. The step is left out."), "{page}");
    let card = |page: &str| between(page, "<li id=\"S0\"", "</li><li id=").to_owned();
    let shown = format!("data-state=\"{}\"", state(&marked));
    assert!(card(&page).contains(&shown), "{}", card(&page));
    let again = browser.get(&device()).await.body;
    assert!(!again.contains("Noted."), "said once");

    browser.post(&action, "mark=undo").await;
    let page = browser.get(&device()).await.body;
    assert!(page.contains("That is taken back."), "{page}");
    for bad in ["mark=maybe", "mark=", ""] {
        assert_eq!(browser.post(&action, bad).await.status, 400, "{bad}");
    }
    agent.end().await;
}

#[tokio::test]
async fn a_backup_is_made_and_followed_from_the_page() {
    let home = Home::with(vec![waits()]);
    let phone = home.sim.phones().into_iter().next().unwrap();
    let agent = up(&home).await;
    let browser = Browser::enter(&agent).await;

    let mut stream = TcpStream::connect(("127.0.0.1", browser.port))
        .await
        .unwrap();
    let head = format!(
        "GET {}/events HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nCookie: {}\r\n\r\n",
        device(),
        browser.port,
        browser.cookie.as_deref().unwrap()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut events = BufReader::new(stream).lines();

    let said = browser.post(&format!("{}/backup", device()), "").await;
    assert_eq!(said.status, 303, "{said:?}");
    let page = browser.get(&device()).await.body;
    assert!(page.contains("A local backup has begun."), "{page}");

    let mut kinds = Vec::new();
    let reading = async {
        while let Ok(Some(line)) = events.next_line().await {
            if let Some(kind) = line.strip_prefix("event: ") {
                kinds.push(kind.to_owned());
            }
            let progress = kinds.iter().any(|kind| kind == "progress");
            if progress {
                // Once it is followed the owner may enter the passcode; later on there is nobody who asks for it.
                phone.enter_passcode();
            }
            if progress && kinds.last().is_some_and(|kind| kind == "changed") {
                break;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), reading)
        .await
        .expect("the events end");
    assert!(kinds.contains(&"progress".to_owned()), "{kinds:?}");
    agent
        .when("verified", |status| {
            common::device(status, ADA).is_some_and(|one| one.local.state == "verified")
        })
        .await;
    let page = browser.get(&device()).await.body;
    assert!(page.contains("Checked on this disk"), "{page}");
    assert!(page.contains("Local backup, checked (level L2"), "{page}");
    agent.end().await;
}

#[tokio::test]
async fn a_backup_is_stopped_from_the_page() {
    let home = Home::with(vec![waits()]);
    let agent = up(&home).await;
    let browser = Browser::enter(&agent).await;
    let (backup, cancel) = (
        format!("{}/backup", device()),
        format!("{}/cancel", device()),
    );
    browser.post(&cancel, "").await;
    let page = browser.get(&device()).await.body;
    assert!(
        page.contains("No backup of this device is running."),
        "{page}"
    );

    browser.post(&backup, "").await;
    agent
        .when("it waits for the passcode", |status| {
            let progress = common::device(status, ADA).and_then(|one| one.backup);
            progress.is_some_and(|now| now.phase == "waiting_for_passcode")
        })
        .await;
    let page = browser.get(&device()).await.body;
    for words in [
        "Enter the passcode on the phone",
        "Stop the backup",
        "<noscript>",
    ] {
        assert!(page.contains(words), "{words} is missing in {page}");
    }
    browser.post(&cancel, "").await;
    agent
        .when("it has stopped", |status| {
            common::device(status, ADA).is_some_and(|one| one.backup.is_none())
        })
        .await;
    agent.end().await;
}

#[tokio::test]
async fn who_has_muted_a_device_sees_it_and_how_to_lift_it() {
    let home = Home::with(vec![ada()]);
    let muted = format!("{CALM}[device.\"{ADA}\"]\nmuted_since = \"2026-11-01T10:00:00Z\"\n");
    let agent = home.agent(&muted).up().await;
    agent
        .when("Ada is known", |status| {
            common::device(status, ADA).is_some()
        })
        .await;
    let browser = Browser::enter(&agent).await;
    let page = browser.get(&device()).await.body;
    let lift = format!("backupwatch device unset {ADA} --mute");
    assert!(
        page.contains("It has been muted since 1 November 2026"),
        "{page}"
    );
    assert!(page.contains(&lift), "{page}");
    agent.end().await;
}

#[tokio::test]
async fn silence_for_a_day_and_its_end() {
    let home = Home::with(vec![ada()]);
    let agent = up(&home).await;
    let browser = Browser::enter(&agent).await;
    let snooze = format!("{}/snooze", device());
    let until = async || {
        let status = agent.client.status().await.unwrap();
        common::device(&status, ADA).unwrap().snoozed_until
    };
    assert_eq!(browser.post(&snooze, "days=1").await.status, 303);
    let hours = until().await.unwrap() - jiff::Timestamp::now();
    assert!((23.9..=24.0).contains(&hours.total(jiff::Unit::Hour).unwrap()));
    let page = browser.get(&device()).await.body;
    assert!(page.contains("Show notices again"), "{page}");
    assert_eq!(browser.post(&snooze, "days=0").await.status, 303);
    assert_eq!(until().await, None);
    for bad in ["days=100000", "days=-1", "days=x", ""] {
        assert_eq!(browser.post(&snooze, bad).await.status, 400, "{bad}");
    }
    agent.end().await;
}

#[tokio::test]
async fn nobody_yet_and_a_phone_that_is_away() {
    let home = Home::with(vec![ada()]);
    let phone = home.sim.phones().into_iter().next().unwrap();
    phone.unplug();
    let agent = home.agent(CALM).up().await;
    let browser = Browser::enter(&agent).await;
    let page = browser.get("/").await.body;
    assert!(page.contains("No device is known yet"), "{page}");
    phone.plug();
    agent
        .when("Ada is known", |status| {
            common::device(status, ADA).is_some_and(|one| one.seen_at.is_some())
        })
        .await;
    phone.unplug();
    agent
        .when("she is away", |status| {
            common::device(status, ADA).is_some_and(|one| one.links.is_empty())
        })
        .await;
    browser.post(&format!("{}/backup", device()), "").await;
    let page = browser.get(&device()).await.body;
    assert!(
        page.contains("The device is not connected. Connect it with a cable."),
        "{page}"
    );
    assert!(page.contains("not connected now"), "{page}");
    agent.end().await;
}

#[tokio::test]
async fn a_phone_is_listened_to_from_the_page() {
    const BEA: &str = "/devices/00008140-000A11112222C001";
    let home = Home::with(vec![persona("icloud-full", |text| text)]);
    let phone = home.sim.phones().into_iter().next().unwrap();
    let agent = home.agent(CALM).up().await;
    agent
        .when("the phone is known", |status| {
            status.devices.iter().any(|one| one.seen_at.is_some())
        })
        .await;
    let browser = Browser::enter(&agent).await;
    let shows = async |words: &str| {
        for _ in 0..400 {
            let page = browser.get(BEA).await.body;
            if page.contains(words) {
                return page;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("the page does not come to say {words}");
    };
    let listen = format!("{BEA}/listen");
    assert_eq!(browser.post(&listen, "").await.status, 303);
    let page = shows("Listening. Now tap Back Up Now").await;
    assert!(page.contains("Stop listening"), "{page}");
    browser.post(&listen, "").await;
    shows("Somebody listens to this device already.").await;

    phone.back_up_to_icloud_now();
    let page = shows("The attempt has ended.").await;
    assert!(page.contains("iCloud storage is full"), "{page}");
    let page = shows("Last heard from the phone").await;
    assert!(page.contains("data-cause=\"icloud_full\""), "{page}");
    assert!(
        page.contains("iCloud backup failed (MBErrorDomain 303"),
        "{page}"
    );

    browser.post(&listen, "").await;
    shows("Listening. Now tap Back Up Now").await;
    browser.post(&format!("{BEA}/stop-listening"), "").await;
    shows(">Listen</button>").await;
    agent.end().await;
}
