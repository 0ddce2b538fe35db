//! The local API, as a client meets it: requests over its socket. Whatever is asked, the answer is JSON of a known schema, and
//! never "internal error".

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use backupwatch_agent::agent::Desk;
use backupwatch_agent::api::listen::Listener;
use backupwatch_agent::api::{self, Context};
use backupwatch_agent::clock::SystemClock;
use backupwatch_agent::config::Sources;
use backupwatch_agent::metrics::Source;
use backupwatch_agent::paths::Base;
use backupwatch_agent::reload::Reload;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::place::memory;

const METHODS: [&str; 4] = ["GET", "POST", "DELETE", "PUT"];

/// `{}` is the input's own.
const ROUTES: [&str; 20] = [
    "/v1/version",
    "/v1/status",
    "/v1/check",
    "/v1/history",
    "/v1/history?{}",
    "/v1/history?limit={}",
    "/v1/history?udid={}",
    "/v1/pair",
    "/v1/snooze",
    "/v1/local-only",
    "/v1/devices/{}/backup",
    "/v1/page",
    "/v1/devices/00008101-000A11112222F1E5/backup",
    "/v1/devices/{}/ladder",
    "/v1/devices/00008101-000A11112222F1E5/steps/{}",
    "/v1/devices/00008101-000A11112222F1E5/diagnosis",
    "/v1/devices/00008101-000A11112222F1E5/books",
    "/v1/devices/00008101-000A11112222F1E5/listen",
    "/v1/devices/00008101-000A11112222F1E5/verified",
    "/{}",
];

pub fn target(input: &[u8]) {
    let [method, route, own, rest @ ..] = input else {
        return;
    };
    // Bytes as they are: all that is asked is that it ends, and that the next one is answered.
    if *method == 255 {
        let (mut stream, mut answer) = (connect(), Vec::new());
        let _ = stream
            .write_all(rest)
            .and_then(|()| stream.shutdown(Shutdown::Write));
        let _ = stream.read_to_end(&mut answer);
        return;
    }
    let (own, body) = rest.split_at(rest.len().min((*own).into()));
    let method = METHODS[usize::from(*method) % METHODS.len()];
    let route = ROUTES[usize::from(*route) % ROUTES.len()].replace("{}", &encode(own));
    let answer = ask(method, &route, body);
    let Some((head, said)) = answer.split_once("\r\n\r\n") else {
        // The server takes what follows a refused head for the first words of HTTP/2, and hangs up.
        let h2 = b"PRI * HTTP/2.0";
        assert!(answer.is_empty() && body.windows(h2.len()).any(|part| part == h2));
        return;
    };
    let status = head
        .strip_prefix("HTTP/1.1 ")
        .and_then(|head| head.get(..3));
    assert!(
        status.is_some_and(|status| status != "500"),
        "{method} {route}: {answer}"
    );
    if head.contains("content-type: application/json") {
        let answer: serde_json::Value = serde_json::from_str(said).expect("JSON");
        assert_eq!(answer["schema"], 1, "{method} {route}: {answer}");
    } else {
        // The server's own refusal of what is no request: too long a line.
        assert!(
            said.is_empty() && status >= Some("400"),
            "{method} {route}: {answer}"
        );
    }
}

fn ask(method: &str, route: &str, body: &[u8]) -> String {
    let mut stream = connect();
    let length = body.len();
    let head = format!(
        "{method} {route} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
    );
    let mut answer = Vec::new();
    // A server that has heard enough may close before it has heard all.
    let _ = stream.write_all(&[head.as_bytes(), body].concat());
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8(answer).expect("text")
}

fn connect() -> UnixStream {
    let stream = SERVER.with(|folder| UnixStream::connect(folder.path().join("socket")));
    let stream = stream.expect("an agent");
    stream
        .set_read_timeout(Some(Duration::from_secs(8)))
        .unwrap();
    stream
}

thread_local! {
    /// An agent whose loop answers nothing, with an empty history. Not static: what is static is never dropped, and would leave
    /// its folder behind.
    static SERVER: TempDir = start();
}

fn start() -> TempDir {
    let folder = TempDir::with_prefix_in("backupwatch-fuzz-", memory()).unwrap();
    let (socket, database) = (folder.path().join("socket"), folder.path().join("state.db"));
    backupwatch_agent::state::open(&database).unwrap();
    let (ready, is_ready) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.unwrap().block_on(async {
            let listener = Listener::bind(&socket).unwrap();
            ready.send(()).unwrap();
            let (desk, mut asks) = Desk::new();
            tokio::spawn(async move { while asks.recv().await.is_some() {} });
            let clock = Arc::new(SystemClock);
            let started = jiff::Timestamp::UNIX_EPOCH;
            let sources = Sources {
                managed: None,
                file: database.with_file_name("config.toml"),
                named: false,
                base: Base::of_this_user().unwrap(),
            };
            let context = Context {
                metrics: Source {
                    desk: desk.clone(),
                    database: database.clone(),
                    clock: clock.clone(),
                    started,
                    pulse: Arc::default(),
                    names: Arc::default(),
                },
                reload: Arc::new(Reload::without_metrics(sources, desk.clone())),
                desk,
                door: None,
                place: backupwatch_agent::doctor::Place {
                    root: database.with_file_name("backups"),
                    origin: backupwatch_agent::medium::Origin::OurOwn,
                    own: std::collections::BTreeMap::new(),
                    database: database.clone(),
                    desktop: false,
                },
                database,
                clock,
                started,
            };
            api::serve(listener, context, CancellationToken::new()).await;
        });
    });
    is_ready.recv().unwrap();
    folder
}

/// As it can stand in a request line.
pub fn encode(bytes: &[u8]) -> String {
    let mut out = String::new();
    for byte in bytes {
        match byte {
            0x21..=0x7E => out.push(char::from(*byte)),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
