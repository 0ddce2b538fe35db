//! The page as somebody meets it who has no business there: raw bytes over TCP. Each test is one way in that must not be one.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "the helpers of tests may fail as tests do"
)]

#[path = "page/bounds.rs"]
mod bounds;
#[path = "page/browser.rs"]
mod browser;
mod common;
#[path = "page/visit.rs"]
mod visit;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use backupwatch_agent::clock::{Clock, SystemClock};
use backupwatch_core::{HostTime, Period};
use browser::{Browser, OWN_FORM, link, raw};
use common::{ADA, Home, Running, ada, persona};

/// Nothing begins by itself, at no hour.
const CALM: &str = "backup.mode = \"off\"\nbackup.quiet = \"off\"\nnotify.quiet = \"off\"\n";

async fn up(home: &Home) -> Running {
    let agent = home.agent(CALM).up().await;
    agent
        .when("Ada is known", |status| {
            common::device(status, ADA).is_some_and(|one| one.seen_at.is_some())
        })
        .await;
    agent
}

/// What changes something, and what it would need.
fn posts() -> Vec<(String, &'static str)> {
    vec![
        ("/check".to_owned(), ""),
        (format!("/devices/{ADA}/backup"), ""),
        (format!("/devices/{ADA}/cancel"), ""),
        (format!("/devices/{ADA}/listen"), ""),
        (format!("/devices/{ADA}/stop-listening"), ""),
        (format!("/devices/{ADA}/snooze"), "days=1"),
        (format!("/devices/{ADA}/local-only"), "chosen=yes"),
        (format!("/devices/{ADA}/steps/S0"), "mark=did"),
    ]
}

#[tokio::test]
async fn a_link_opens_once_and_says_nothing_of_its_key_afterwards() {
    let home = Home::with(vec![ada()]);
    let agent = up(&home).await;
    let (port, path) = link(&agent).await;
    let stranger = Browser::stranger(port);
    // Who only looks whether there is something does not use it up.
    for (method, headers) in [("HEAD", vec![]), ("GET", vec![("Sec-Purpose", "prefetch")])] {
        let said = stranger.send(method, &path, &headers, "").await;
        assert_eq!(said.status, 405, "{said:?}");
        assert_eq!(said.header("set-cookie"), None);
    }
    let said = stranger.get(&path).await;
    assert_eq!(said.status, 200, "{said:?}");
    let cookie = said.header("set-cookie").unwrap();
    let (name, rest) = cookie.split_once('=').unwrap();
    assert_eq!(name, format!("backupwatch-{port}"));
    let (secret, flags) = rest.split_once("; ").unwrap();
    assert_eq!(secret.len(), 64, "32 bytes");
    assert_eq!(flags, "HttpOnly; SameSite=Strict; Path=/");
    let key = path.split_once("key=").unwrap().1;
    assert!(!said.body.contains(key) && !said.body.contains(secret));

    let again = stranger.get(&path).await;
    assert_eq!((again.status, again.header("set-cookie")), (403, None));
    assert!(again.body.contains("backupwatch open"), "{}", again.body);
    agent.end().await;
}

#[tokio::test]
async fn a_link_leads_to_the_device_and_the_step_that_were_asked_for() {
    let home = Home::with(vec![ada()]);
    let agent = up(&home).await;
    let (udid, step) = (ADA.parse().unwrap(), backupwatch_core::steps::StepId::S4);
    for (asked, place) in [
        ((None, None), "/".to_owned()),
        ((Some(&udid), None), format!("/devices/{ADA}")),
        ((Some(&udid), Some(step)), format!("/devices/{ADA}#S4")),
    ] {
        let url = agent.client.page(asked.0, asked.1).await.unwrap().url;
        let rest = url.strip_prefix("http://127.0.0.1:").unwrap();
        let (port, path) = rest.split_once('/').unwrap();
        let browser = Browser::stranger(port.parse().unwrap());
        let said = browser.get(&format!("/{path}")).await;
        assert!(
            said.body.contains(&format!("content=\"0; url={place}\"")),
            "{}",
            said.body
        );
    }
    agent.end().await;
}

/// The clock of the computer, moved.
struct Moved(Arc<AtomicI64>);

impl backupwatch_backup::Clock for Moved {
    fn now(&self) -> HostTime {
        let later = Period::seconds(self.0.load(Ordering::SeqCst));
        backupwatch_backup::Clock::now(&SystemClock).plus(later)
    }
}

impl Clock for Moved {
    fn utc_offset_s(&self) -> i32 {
        0
    }
}

#[tokio::test]
async fn links_and_visits_come_to_an_end() {
    let home = Home::with(vec![ada()]);
    let later = Arc::new(AtomicI64::new(0));
    let mut setup = home.setup(CALM);
    setup.clock = Arc::new(Moved(Arc::clone(&later)));
    let agent = home.agent_of(setup).up().await;
    let browser = Browser::enter(&agent).await;
    let (port, path) = link(&agent).await;
    later.store(121, Ordering::SeqCst);
    let said = Browser::stranger(port).get(&path).await;
    assert_eq!(said.status, 403, "two minutes are over");
    assert_eq!(browser.get("/").await.status, 200, "the visit is not");
    later.fetch_add(12 * 3600 - 60, Ordering::SeqCst);
    assert_eq!(browser.get("/").await.status, 200, "it was used");
    later.fetch_add(12 * 3600 + 60, Ordering::SeqCst);
    assert_eq!(browser.get("/").await.status, 403, "it was not used");
    agent.end().await;
}

#[tokio::test]
async fn many_links_leave_the_newest_and_no_heap_of_them() {
    let home = Home::with(vec![]);
    let agent = home.agent(CALM).up().await;
    let mut links = Vec::new();
    for _ in 0..100 {
        links.push(link(&agent).await);
    }
    let mut good = 0;
    for (port, path) in &links {
        good += usize::from(Browser::stranger(*port).get(path).await.status == 200);
    }
    assert_eq!(good, 16);
    agent.end().await;
}

#[tokio::test]
async fn without_a_cookie_or_with_a_guessed_one_there_is_nothing() {
    let home = Home::with(vec![ada()]);
    let agent = up(&home).await;
    let known = Browser::enter(&agent).await;
    let right = known.cookie.clone().unwrap();
    let (name, secret) = right.split_once('=').unwrap();
    let guesses = [
        None,
        Some(format!("{name}=")),
        Some(format!("{name}={}", "0".repeat(64))),
        Some(format!("{name}={}0", &secret[..63])),
        Some(format!("{name}={secret}{secret}")),
        Some(format!("{name}={}", secret.to_uppercase())),
        Some(format!("backupwatch-1={secret}")),
        Some(format!("{name}={}", known.token)),
    ];
    let device = format!("/devices/{ADA}");
    let events = format!("/devices/{ADA}/events");
    for cookie in guesses {
        // A guess may be right by chance, once in sixteen of its last digit.
        if cookie.as_deref() == Some(&right) {
            continue;
        }
        let guess = Browser {
            cookie: cookie.clone(),
            ..known.clone()
        };
        for path in ["/", &device, &events, "/nothing", "/static/", "/enter"] {
            let said = guess.get(path).await;
            assert_eq!(said.status, 403, "{path} with {cookie:?}");
            assert!(said.body.contains("backupwatch open"), "{}", said.body);
            assert!(!said.body.contains("Ada"), "{}", said.body);
        }
        for (path, fields) in posts() {
            let said = guess.post(&path, fields).await;
            assert_eq!(said.status, 403, "{path} with {cookie:?}");
        }
    }
    let status = agent.client.status().await.unwrap();
    assert_eq!(common::device(&status, ADA).unwrap().snoozed_until, None);
    agent.end().await;
}

#[tokio::test]
async fn a_name_that_somebody_points_here_leads_nowhere() {
    let home = Home::with(vec![ada()]);
    let agent = up(&home).await;
    let browser = Browser::enter(&agent).await;
    let (port, cookie) = (browser.port, browser.cookie.clone().unwrap());
    let (_, enter) = link(&agent).await;
    let request = |line: &str, host: &str| {
        format!("{line}\r\n{host}Cookie: {cookie}\r\nConnection: close\r\n\r\n")
    };
    for host in [
        format!("Host: evil.example:{port}\r\n"),
        "Host: evil.example\r\n".to_owned(),
        format!("Host: 127.0.0.1.evil.example:{port}\r\n"),
        "Host: 127.0.0.1\r\n".to_owned(),
        format!("Host: 127.0.0.1:{port}\r\nHost: evil.example\r\n"),
        String::new(),
    ] {
        for path in ["/", "/static/page.css", &enter] {
            let said = raw(
                port,
                request(&format!("GET {path} HTTP/1.1"), &host).as_bytes(),
            )
            .await;
            assert!(matches!(said.status, 400 | 421), "{host:?}: {said:?}");
            assert_eq!(said.header("set-cookie"), None);
        }
    }
    let old = raw(port, request("GET / HTTP/1.0", "").as_bytes()).await;
    assert_eq!(old.status, 421, "{old:?}");
    let elsewhere = format!("GET http://evil.example:{port}/ HTTP/1.1");
    let ours = format!("Host: 127.0.0.1:{port}\r\n");
    let said = raw(port, request(&elsewhere, &ours).as_bytes()).await;
    assert_eq!(said.status, 421, "{said:?}");
    let by_name = format!("Host: localhost:{port}\r\n");
    let said = raw(port, request("GET / HTTP/1.1", &by_name).as_bytes()).await;
    assert_eq!(said.status, 200, "{said:?}");
    agent.end().await;
}

#[tokio::test]
async fn a_form_of_another_page_changes_nothing() {
    let home = Home::with(vec![ada()]);
    let agent = up(&home).await;
    let (browser, other) = (Browser::enter(&agent).await, Browser::enter(&agent).await);
    let form = OWN_FORM[2];
    let site = |site| ("Sec-Fetch-Site", site);
    let origin = |origin| ("Origin", origin);
    for (path, fields) in posts() {
        let with = |token: &str| format!("token={token}&{fields}");
        let good = with(&browser.token);
        for headers in [
            vec![form],
            vec![form, origin("https://evil.example"), site("cross-site")],
            vec![form, origin("http://127.0.0.1:9"), site("same-site")],
            vec![form, origin("null")],
            vec![form, origin("https://evil.example"), site("same-origin")],
        ] {
            let said = browser.send("POST", &path, &headers, &good).await;
            assert_eq!(said.status, 403, "{path} {headers:?}");
        }
        for bad in [
            fields.to_owned(),
            with(""),
            with(&other.token),
            with(&"0".repeat(64)),
        ] {
            let said = browser.send("POST", &path, &OWN_FORM, &bad).await;
            assert_eq!(said.status, 403, "{path} {bad}");
        }
        for sort in ["text/plain", "application/json", "multipart/form-data"] {
            let headers = [OWN_FORM[0], OWN_FORM[1], ("Content-Type", sort)];
            let said = browser.send("POST", &path, &headers, &good).await;
            assert_eq!(said.status, 415, "{path} {sort}");
        }
        for method in ["GET", "HEAD"] {
            let said = browser.send(method, &path, &OWN_FORM, &good).await;
            assert_eq!(said.status, 405, "{method} {path}");
        }
    }
    for method in ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"] {
        let override_ = [("X-HTTP-Method-Override", "POST")];
        let said = browser.send(method, "/check", &override_, "").await;
        assert_eq!(said.status, 405, "{method}");
        assert_eq!(said.header("access-control-allow-origin"), None);
    }
    let status = agent.client.status().await.unwrap();
    let ada = common::device(&status, ADA).unwrap();
    assert_eq!((ada.snoozed_until, ada.backup), (None, None));
    agent.end().await;
}

#[tokio::test]
async fn no_path_leads_out_of_the_page() {
    let home = Home::with(vec![ada()]);
    let agent = up(&home).await;
    let browser = Browser::enter(&agent).await;
    for path in [
        "/static/../../../../etc/passwd",
        "/static/%2e%2e/%2e%2e/etc/passwd",
        "/static/..%2f..%2fetc%2fpasswd",
        "/static//page.css",
        "/static/page.css/",
        "/STATIC/page.css",
        "//etc/passwd",
        "/devices/..%2f..%2f",
        "/devices/%00",
        "/devices/%ff",
        "/devices/<script>",
        "/devices/00008110-0000000000000001",
        "/state.db",
    ] {
        let said = browser.get(path).await;
        assert!(matches!(said.status, 400 | 404), "{path}: {said:?}");
        assert!(!said.body.contains("root:") && !said.body.contains("<script>"));
    }
    agent.end().await;
}

#[tokio::test]
async fn a_phone_that_is_called_script_is_called_so_and_does_nothing() {
    let name = "</title><script>alert(1)</script>\" on='&amp;'";
    let toml = toml::Value::from(name).to_string();
    let hostile = persona("stale-58-days", |text| {
        text.replace("\"Ada’s iPhone 📱\"", &toml)
    });
    let home = Home::with(vec![hostile]);
    let agent = up(&home).await;
    let browser = Browser::enter(&agent).await;
    for path in ["/".to_owned(), format!("/devices/{ADA}")] {
        let body = browser.get(&path).await.body;
        assert!(!body.contains("<script>"), "{body}");
        assert!(!body.contains("\" on="), "{body}");
        assert!(
            body.contains("&lt;script&gt;alert(1)&lt;/script&gt;&quot; on='&amp;amp;'"),
            "{body}"
        );
        assert_eq!(
            body.matches("</title>").count(),
            body.matches("<title").count()
        );
    }
    agent.end().await;
}

#[tokio::test]
async fn where_a_phone_is_backed_up_to_is_shown_where_that_is_its_own() {
    let home = Home::with(vec![ada()]);
    let own = format!("{CALM}[device.{ADA}]\nbackup.root = \"/disk/<b>photos\"\n");
    let agent = home.agent(&own).up().await;
    agent
        .when("Ada is known", |status| {
            common::device(status, ADA).is_some_and(|one| one.root.is_some())
        })
        .await;
    let browser = Browser::enter(&agent).await;
    let body = browser.get(&format!("/devices/{ADA}")).await.body;
    let words = "It goes to a folder of its own: <code>/disk/&lt;b&gt;photos</code>";
    assert!(body.contains(words), "{body}");
    agent.end().await;
}
