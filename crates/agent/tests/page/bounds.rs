//! What holds for the page as a whole: its bounds, its port, its headers, and whose connection it is.

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::browser::{Browser, OWN_FORM, raw, read};
use crate::common::{ADA, Home};
use crate::{CALM, ada, up};

#[tokio::test]
async fn what_is_too_long_or_too_slow_is_let_go() {
    let home = Home::with(vec![ada()]);
    let agent = up(&home).await;
    let browser = Browser::enter(&agent).await;
    let port = browser.port;
    let long = format!("token={}&days=1&x={}", browser.token, "x".repeat(64 << 10));
    let said = browser
        .send("POST", &format!("/devices/{ADA}/snooze"), &OWN_FORM, &long)
        .await;
    assert_eq!(said.status, 413, "{said:?}");
    let head = format!(
        "GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nX: {}\r\n\r\n",
        "x".repeat(100 << 10)
    );
    let said = raw(port, head.as_bytes()).await;
    assert!(matches!(said.status, 0 | 400 | 431), "{said:?}");

    // Heads that never end, and forms that never come, all at once: everybody else is served meanwhile or afterwards.
    let mut slow = Vec::new();
    for _ in 0..40 {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: ").await.unwrap();
        slow.push(stream);
    }
    let cookie = browser.cookie.clone().unwrap();
    let mut form = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let head = format!(
        "POST /check HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nCookie: {cookie}\r\nSec-Fetch-Site: same-origin\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nConnection: close\r\nContent-Length: 100\r\n\r\ntoken="
    );
    form.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(browser.get("/").await.status, 200);
    assert_eq!(read(&mut form).await.status, 408);
    for mut stream in slow {
        let said = read(&mut stream).await;
        assert!(matches!(said.status, 0 | 408), "{said:?}");
    }
    agent.end().await;
}

#[tokio::test]
async fn a_taken_port_is_no_reason_to_be_without_the_page() {
    let home = Home::with(vec![ada()]);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let wanted = taken.local_addr().unwrap().port();
    let mut setup = home.setup(CALM);
    setup.config.own.page.port = wanted;
    let agent = home.agent_of(setup).up().await;
    let browser = Browser::enter(&agent).await;
    assert_ne!(browser.port, wanted);
    let remarks = agent.client.status().await.unwrap().agent.remarks;
    let remark = format!(
        "The page is at port {}, because port {wanted} is taken; `backupwatch open` finds it.",
        browser.port
    );
    assert!(remarks.contains(&remark), "{remarks:?}");
    let second = home.agent(CALM).up_or_error().await;
    assert!(second.contains("already"), "{second}");
    assert_eq!(
        browser.get("/").await.status,
        200,
        "the first one is not disturbed"
    );
    agent.end().await;

    let mut off = home.setup(CALM);
    off.config.own.page.enabled = false;
    let agent = home.agent_of(off).up().await;
    let refused = agent.client.page(None, None).await.unwrap_err();
    assert!(refused.to_string().contains("serves no page"), "{refused}");
    agent.end().await;
}

/// Only root can be somebody else for a moment, and only Linux tells whose connection it is.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn another_user_gets_nothing_even_with_the_cookie() {
    use std::os::unix::process::CommandExt as _;
    if !rustix::process::geteuid().is_root() {
        let skipped = "skipped: nobody else can be asked, as this is not run by root\n";
        std::io::Write::write_all(&mut std::io::stderr(), skipped.as_bytes()).unwrap();
        return;
    }
    let home = Home::with(vec![ada()]);
    let agent = up(&home).await;
    let browser = Browser::enter(&agent).await;
    let (port, cookie) = (browser.port, browser.cookie.clone().unwrap());
    let script = format!(
        "exec 3<>/dev/tcp/127.0.0.1/{port} && \
         printf 'GET / HTTP/1.1\\r\\nHost: 127.0.0.1:{port}\\r\\nCookie: {cookie}\\r\\nConnection: close\\r\\n\\r\\n' >&3 && cat <&3"
    );
    for (uid, served) in [(0, true), (65_534, false)] {
        let mut command = std::process::Command::new("bash");
        command.args(["-c", &script]).current_dir("/").uid(uid);
        let said = tokio::task::spawn_blocking(move || command.output());
        let said = said.await.unwrap().unwrap();
        let said = String::from_utf8(said.stdout).unwrap();
        assert_eq!(said.contains("Your devices"), served, "user {uid}: {said}");
        assert_eq!(said.is_empty(), !served, "user {uid}: {said}");
    }
    agent.end().await;
}

#[tokio::test]
async fn every_answer_keeps_the_browser_to_this_page() {
    let home = Home::with(vec![ada()]);
    let agent = up(&home).await;
    let browser = Browser::enter(&agent).await;
    let stranger = Browser::stranger(browser.port);
    let device = format!("/devices/{ADA}");
    for (who, path) in [
        (&browser, "/"),
        (&browser, &device),
        (&browser, "/nothing"),
        (&stranger, "/"),
        (&stranger, "/enter"),
        (&stranger, "/static/page.css"),
        (&stranger, "/static/page.js"),
        (&stranger, "/static/icon.svg"),
    ] {
        let said = who.get(path).await;
        let policy = said.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none';"), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(said.header(name), Some(value), "{path}");
        }
        assert_eq!(said.header("access-control-allow-origin"), None);
        if path.starts_with("/static/") {
            assert_eq!(said.status, 200, "{path}");
            continue;
        }
        // Nothing inline, and nothing from elsewhere but what a person clicks.
        assert!(!said.body.contains(" style=\"") && !said.body.contains("<style"));
        assert!(!said.body.contains(" onclick="), "{path}");
        for source in said.body.split("src=\"").skip(1) {
            assert!(source.starts_with('/'), "{path}: {}", &source[..40]);
        }
    }
    agent.end().await;
}
