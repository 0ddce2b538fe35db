//! The local API as any client meets it: bytes over a Unix socket, hostile ones too.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "the helpers of tests may fail as tests do"
)]

mod common;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use backupwatch_agent::api::words::{Failure, HistoryEntry};
use backupwatch_agent::config::Config;
use backupwatch_agent::status::Status;
use common::{ADA, Home, ada};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// Sends a request as it stands and returns the status and the body of the answer.
async fn raw(socket: &Path, request: &[u8]) -> (u16, String) {
    let mut stream = UnixStream::connect(socket).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(8), stream.read_to_end(&mut answer));
    // A server that closes while we still send may reset the connection; what it has said counts.
    let _reset = read.await.expect("no answer");
    let text = String::from_utf8(answer).unwrap();
    let status = text
        .get(9..12)
        .and_then(|digits| digits.parse().ok())
        .unwrap_or(0);
    let body = text
        .split_once("\r\n\r\n")
        .map(|(_, body)| body.to_owned())
        .unwrap_or_default();
    (status, body)
}

fn request(method: &str, path: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
}

#[tokio::test]
async fn every_refusal_is_json_with_a_stable_code() {
    let home = Home::with(vec![ada()]);
    let agent = home
        .agent("[backup]\nmode = \"off\"\n[page]\nenabled = false")
        .up()
        .await;
    let stranger = "00008110-0000000000000001";
    let of = |path: &str| path.replace("DEVICE", stranger);
    let long = format!("{{\"udid\":\"{}\"}}", "a".repeat(40 << 10));
    let rows: [(&str, String, &str, u16, &str); 19] = [
        ("GET", "/v1/nothing".into(), "", 404, "no_such_route"),
        ("GET", "/".into(), "", 404, "no_such_route"),
        ("DELETE", "/v1/status".into(), "", 405, "wrong_method"),
        ("GET", "/v1/check".into(), "", 405, "wrong_method"),
        ("POST", "/v1/pair".into(), "", 400, "bad_request"),
        ("POST", "/v1/pair".into(), "{}", 400, "bad_request"),
        (
            "POST",
            "/v1/pair".into(),
            "{\"udid\":\"../../etc\"}",
            400,
            "bad_request",
        ),
        ("POST", "/v1/pair".into(), &long, 413, "bad_request"),
        (
            "POST",
            "/v1/pair".into(),
            "{\"udid\":\"00008110-0000000000000001\"}",
            404,
            "unknown_device",
        ),
        (
            "POST",
            "/v1/snooze".into(),
            "{\"udid\":\"00008110-0000000000000001\",\"until\":\"soon\"}",
            400,
            "bad_request",
        ),
        (
            "POST",
            of("/v1/devices/DEVICE/backup"),
            "",
            404,
            "unknown_device",
        ),
        (
            "POST",
            of("/v1/devices/DEVICE/backup"),
            "{\"root\":\"/\"}",
            400,
            "bad_request",
        ),
        (
            "DELETE",
            of("/v1/devices/DEVICE/backup"),
            "",
            409,
            "no_backup",
        ),
        (
            "POST",
            "/v1/devices/%ff/backup".into(),
            "",
            400,
            "bad_request",
        ),
        (
            "POST",
            "/v1/page".into(),
            "{\"udid\":\"00008110-0000000000000001\"}",
            404,
            "unknown_device",
        ),
        (
            "POST",
            "/v1/page".into(),
            "{\"step\":\"S4\"}",
            400,
            "bad_request",
        ),
        ("POST", "/v1/page".into(), "", 503, "no_page"),
        (
            "GET",
            "/v1/history?limit=many".into(),
            "",
            400,
            "bad_request",
        ),
        ("GET", "/v1/history?udid=..".into(), "", 400, "bad_request"),
    ];
    for (method, path, body, status, code) in rows {
        let (got, answer) = raw(&agent.socket, &request(method, &path, body)).await;
        let failure: Failure =
            serde_json::from_str(&answer).unwrap_or_else(|_| panic!("{method} {path}: {answer}"));
        assert_eq!(
            (got, failure.error.as_str(), failure.schema),
            (status, code, 1),
            "{method} {path}: {answer}"
        );
        assert!(!failure.message.is_empty());
    }
    agent.end().await;
}

/// What `reload` takes in is the file alone: all of it, or nothing.
#[tokio::test]
async fn a_configuration_that_is_cut_anywhere_is_taken_whole_or_not_at_all() {
    let home = Home::with(vec![ada()]);
    let agent = home.agent("[backup]\nmode = \"off\"").up().await;
    agent
        .when("judged", |status| !status.devices.is_empty())
        .await;
    let path = home.dir.path().join("config.toml");
    let whole = format!(
        "poll.parallel = 3\n[backup]\nmode = \"off\"\nper_disk = 2\n[device.{ADA}]\nname = \"Ada’s\"\n"
    );
    let reload = async || raw(&agent.socket, &request("POST", "/v1/reload", "{]")).await;
    let name = async || {
        agent.client.status().await.unwrap().devices[0]
            .nickname
            .clone()
    };
    let mut named = None;
    for end in (0..=whole.len()).rev() {
        let cut = &whole.as_bytes()[..end];
        std::fs::write(&path, cut).unwrap();
        let text = std::str::from_utf8(cut).ok();
        let parsed = text.and_then(|text| Config::parse(text).ok());
        let (status, body) = reload().await;
        match parsed {
            Some(config) => {
                assert_eq!(status, 200, "{end}: {body}");
                named = config.nicknames.values().next().cloned();
            }
            None => {
                assert_eq!(status, 409, "{end}: {body}");
                let failure: Failure = serde_json::from_str(&body).unwrap();
                assert_eq!(failure.error, "config");
            }
        }
        assert_eq!(name().await, named, "{end}");
    }
    std::fs::write(&path, vec![b'#'; 2 << 20]).unwrap();
    assert_eq!(reload().await.0, 409, "too long");
    agent.end().await;
}

/// Each of these reads well, and cannot be gone by. What stands beside it does not hold either.
#[tokio::test]
async fn one_section_that_is_of_no_use_leaves_everything_as_it_was() {
    let home = Home::with(vec![ada()]);
    let agent = home.agent("[backup]\nmode = \"off\"").up().await;
    let is = |state: &'static str| {
        move |status: &Status| {
            common::device(status, ADA).is_some_and(|one| one.icloud.state == state)
        }
    };
    let before = agent.when("judged", is("critical")).await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = format!("listen = \"{}\"", taken.local_addr().unwrap());
    let inside = home.paths().backups.join("inside");
    let good = format!(
        "icloud.critical = \"90 d\"\n[backup]\nmode = \"off\"\n[device.{ADA}]\nname = \"Mum\"\n"
    );
    let reload = async |text: &str| {
        std::fs::write(home.dir.path().join("config.toml"), text).unwrap();
        raw(&agent.socket, &request("POST", "/v1/reload", "")).await
    };
    for (bad, words) in [
        (format!("backup.root = {inside:?}"), "lies inside"),
        (format!("[metrics]\n{taken}"), "failed to listen on"),
        (
            "[[webhook]]\nurl = \"https://hook.example/\"\nsecret_file = \"/nowhere/secret\""
                .into(),
            "read its secret",
        ),
        (
            "[hooks]\nafter_backup = [\"/nowhere/program\"]".into(),
            "/nowhere/program",
        ),
    ] {
        let (status, body) = reload(&format!("{good}{bad}\n")).await;
        assert_eq!(status, 409, "{bad}: {body}");
        assert!(body.contains(words), "{bad}: {body}");
        let status = agent.client.status().await.unwrap();
        assert!(is("critical")(&status), "{bad}: {status:#?}");
        let (one, other) = (&status.devices[0], &before.devices[0]);
        assert_eq!(
            (&one.nickname, &one.root, &status.agent.remarks),
            (&other.nickname, &other.root, &before.agent.remarks),
            "{bad}"
        );
    }
    let (status, body) = reload(&good).await;
    assert_eq!(status, 200, "{body}");
    let status = agent.when("the other threshold holds", is("alarm")).await;
    assert_eq!(status.devices[0].nickname.as_deref(), Some("Mum"));
    agent.end().await;
}

#[tokio::test]
async fn rubbish_and_silence_do_not_disturb_the_others() {
    let home = Home::with(vec![]);
    let agent = home.agent("").up().await;
    let mut silent = Vec::new();
    for _ in 0..40 {
        silent.push(UnixStream::connect(&agent.socket).await.unwrap());
    }
    for rubbish in [
        b"\x00\x01\x02\x03\r\n\r\n".as_slice(),
        b"GET\r\n\r\n",
        &[b'A'; 100_000],
        b"POST /v1/pair HTTP/1.1\r\nContent-Length: 18446744073709551615\r\n\r\n",
    ] {
        let _whatever = raw(&agent.socket, rubbish).await;
    }
    let status = agent.client.status().await.unwrap();
    assert_eq!(status.devices, []);
    drop(silent);
    agent.end().await;
}

#[tokio::test]
async fn the_socket_is_private_and_replaces_a_left_over() {
    let home = Home::with(vec![]);
    let paths = home.paths();
    paths.create_state().unwrap();
    drop(std::os::unix::net::UnixListener::bind(&paths.socket).unwrap());
    let agent = home.agent("").up().await;
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&agent.socket), mode(&paths.state)), (0o600, 0o700));
    let version = agent.client.version().await.unwrap();
    assert_eq!((version.pid, version.schema), (std::process::id(), 1));
    agent.end().await;

    std::fs::write(&paths.socket, "precious").unwrap();
    let refused = home.agent("").up_or_error().await;
    assert!(refused.contains("not a socket"), "{refused}");
    assert_eq!(std::fs::read_to_string(&paths.socket).unwrap(), "precious");
}

/// What curl shows of a whole agent: read by scripts, so it is pinned with everything that changes taken out.
#[tokio::test]
async fn the_status_document_of_a_real_agent() {
    let home = Home::with(vec![ada()]);
    let agent = home
        .agent("[backup]\nmode = \"off\"\n[notify]\nquiet = \"off\"")
        .up()
        .await;
    agent
        .when("judged", |status| {
            common::device(status, ADA).is_some_and(|one| one.icloud.state == "critical")
                && status.store.is_some()
        })
        .await;
    let (status, body) = raw(&agent.socket, &request("GET", "/v1/status", "")).await;
    assert_eq!(status, 200);
    let mut document: serde_json::Value = serde_json::from_str(&body).unwrap();
    for changing in [
        "/as_of",
        "/agent/last_poll",
        "/store/root",
        "/store/free",
        "/devices/0/alias",
        "/devices/0/seen_at",
        "/devices/0/icloud/last",
        "/devices/0/icloud/age_s",
        "/devices/0/local/last",
        "/devices/0/local/age_s",
        "/devices/0/reason",
        "/devices/0/next/words",
        "/devices/0/due",
    ] {
        let value = document.pointer_mut(changing).unwrap();
        assert!(!value.is_null(), "{changing}");
        *value = "[changes]".into();
    }
    insta::assert_snapshot!(serde_json::to_string_pretty(&document).unwrap());
    agent.end().await;
}

/// It says by itself what it is for, and neither a quiet hour nor a second one in a row holds it back.
#[tokio::test]
async fn a_test_notice_is_shown_and_stands_in_the_history() {
    let home = Home::with(vec![]);
    let agent = home.agent("[notify]\nquiet = \"00:00-23:59\"").up().await;
    for _ in 0..2 {
        let told = agent.client.test_notice().await.unwrap();
        assert_eq!((told.shown, told.why), (true, None));
    }
    let posted = home.recorder.posted();
    let said: Vec<_> = posted
        .iter()
        .map(|one| (one.kind.code(), one.udid.as_ref()))
        .collect();
    assert_eq!(said, [("test", None), ("test", None)]);
    assert!(posted.iter().all(|one| one.actions.is_empty()));
    agent.end().await;

    let agent = home.agent("[notify]\ndesktop = false").up().await;
    let told = agent.client.test_notice().await.unwrap();
    assert!(!told.shown && told.why.unwrap().contains("notify.desktop"));
    assert_eq!(
        home.recorder.posted().len(),
        2,
        "nothing is shown where nothing is to be"
    );
    agent.end().await;

    let agent = home.agent("").up().await;
    let history = agent.client.history(None, 10).await.unwrap();
    let titles = history.entries.iter().map(|entry| match entry {
        HistoryEntry::Notice(notice) => (notice.title.as_str(), notice.udid.as_deref()),
        HistoryEntry::Run(_) | HistoryEntry::Verification(_) | HistoryEntry::Program(_) => {
            panic!("{entry:?}")
        }
    });
    assert_eq!(
        titles.collect::<Vec<_>>(),
        [("backupwatch is watching", None); 3]
    );
    agent.end().await;
}

#[tokio::test]
async fn a_state_folder_with_a_long_path_has_its_socket_elsewhere() {
    let home = Home::with(vec![]);
    let mut setup = home.setup("");
    let base = backupwatch_agent::paths::Base {
        runtime: Some(home.dir.path().join("run")),
        ..home.base()
    };
    let state = home.dir.path().join("long".repeat(30));
    let moved = backupwatch_agent::paths::Moved {
        state: Some(state.clone()),
        ..Default::default()
    };
    setup.paths = backupwatch_agent::paths::Paths::resolve(&base, &moved);
    let socket = setup.paths.socket.clone();
    assert!(!socket.starts_with(&state));
    let shutdown = tokio_util::sync::CancellationToken::new();
    let task = tokio::spawn(backupwatch_agent::process::serve(setup, shutdown.clone()));
    let client = backupwatch_agent::client::Client::new(&socket);
    for _ in 0..100 {
        if client.version().await.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    client.status().await.unwrap();
    shutdown.cancel();
    task.await.unwrap().unwrap();
}
