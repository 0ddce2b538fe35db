//! The page for people, as a browser, another page in it, or a program of this computer meets it. Nobody without the cookie sees
//! more than the door, nothing is changed without the token, and what is asked for stands in no answer as markup.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use backupwatch_agent::agent::{Ask, Desk};
use backupwatch_agent::clock::SystemClock;
use backupwatch_agent::page::{self, Context, Door, Listener, Place};
use backupwatch_agent::status::{AgentStatus, SCHEMA, Status};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::api::encode;
use super::place::memory;

const METHODS: [&str; 4] = ["GET", "POST", "HEAD", "PUT"];

/// `{}` is the input's own.
const ROUTES: [&str; 16] = [
    "/",
    "/check",
    "/enter",
    "/enter?key={}",
    "/static/{}",
    "/devices/{}",
    "/devices/00008101-000A11112222F1E5",
    "/devices/{}/backup",
    "/devices/00008101-000A11112222F1E5/cancel",
    "/devices/00008101-000A11112222F1E5/listen",
    "/devices/00008101-000A11112222F1E5/stop-listening",
    "/devices/00008101-000A11112222F1E5/snooze",
    "/devices/00008101-000A11112222F1E5/local-only",
    "/devices/00008101-000A11112222F1E5/steps/{}",
    "/?{}",
    "/{}",
];

/// What a byte of an input makes of a request.
#[derive(Clone, Copy)]
struct Choices(u8);

impl Choices {
    const COOKIE: u8 = 1;
    const TOKEN: u8 = 2;
    /// From this page, as browsers say it.
    const OURS: u8 = 4;
    /// The bytes are headers, not a form.
    const HEADERS: u8 = 8;

    const fn has(self, choice: u8) -> bool {
        self.0 & choice != 0
    }
}

thread_local! {
    /// Not static: what is static is never dropped, and would leave its folder behind.
    static SERVER: Server = Server::start();
}

pub fn target(input: &[u8]) {
    SERVER.with(|server| server.meet(input));
}

/// An agent that knows no phone, and somebody who has come in.
struct Server {
    _folder: TempDir,
    port: u16,
    cookie: String,
    token: String,
}

impl Server {
    fn meet(&self, input: &[u8]) {
        let [method, route, choices, own, rest @ ..] = input else {
            return;
        };
        // Bytes as they are: all that is asked is that it ends, and that the next one is answered.
        if *method == 255 {
            let (mut stream, mut answer) = (self.connect(), Vec::new());
            let _ = stream
                .write_all(rest)
                .and_then(|()| stream.shutdown(Shutdown::Write));
            let _ = stream.read_to_end(&mut answer);
            return;
        }
        let (method, choices) = (
            METHODS[usize::from(*method) % METHODS.len()],
            Choices(*choices),
        );
        let (own, rest) = rest.split_at(rest.len().min((*own).into()));
        let template = ROUTES[usize::from(*route) % ROUTES.len()];
        let route = template.replace("{}", &encode(own));
        let mut head = format!(
            "{method} {route} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\n",
            self.port
        );
        if choices.has(Choices::COOKIE) {
            head.push_str(&format!("Cookie: {}\r\n", self.cookie));
        }
        if choices.has(Choices::OURS) {
            head.push_str("Sec-Fetch-Site: same-origin\r\n");
        }
        let mut body = Vec::new();
        let mut bytes = head.into_bytes();
        if choices.has(Choices::HEADERS) {
            bytes.extend_from_slice(rest);
            bytes.extend_from_slice(b"\r\n");
        } else {
            if choices.has(Choices::TOKEN) {
                body.extend_from_slice(format!("token={}&", self.token).as_bytes());
            }
            body.extend_from_slice(rest);
            bytes.extend_from_slice(b"Content-Type: application/x-www-form-urlencoded\r\n");
        }
        bytes.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
        bytes.extend_from_slice(&body);
        // Headers of the input's own can be none, or announce more than comes.
        if choices.has(Choices::HEADERS) {
            let mut stream = self.connect();
            let _ = stream
                .write_all(&bytes)
                .and_then(|()| stream.shutdown(Shutdown::Write));
            let _ = stream.read_to_end(&mut Vec::new());
        } else {
            let answer = self.send(&bytes);
            judge(
                &format!("{method} {route}"),
                method,
                template,
                choices,
                own,
                &answer,
            );
        }
    }

    fn send(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect();
        let mut answer = Vec::new();
        // A server that has heard enough may close before it has heard all.
        let _ = stream.write_all(bytes);
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8(answer).expect("text")
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).expect("a page");
        stream
            .set_read_timeout(Some(Duration::from_secs(8)))
            .unwrap();
        stream
    }

    fn start() -> Self {
        let folder = TempDir::with_prefix_in("backupwatch-fuzz-", memory()).unwrap();
        let database = folder.path().join("state.db");
        backupwatch_agent::state::open(&database).unwrap();
        let (ready, is_ready) = channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.unwrap().block_on(async {
                let clock = Arc::new(SystemClock);
                let listener = Listener::bind(0).await.unwrap();
                let door = Door::new(listener.port(), clock.clone());
                ready
                    .send((listener.port(), door.link(Place::Devices).unwrap()))
                    .unwrap();
                let (desk, mut asks) = Desk::new();
                tokio::spawn(async move {
                    while let Some(ask) = asks.recv().await {
                        if let Ask::Status(reply) | Ask::Check { reply, .. } = ask {
                            let _ = reply.send(nothing());
                        }
                    }
                });
                let context = Context {
                    desk,
                    database,
                    clock,
                    zone: jiff::tz::TimeZone::UTC,
                    door,
                };
                page::serve(listener, context, CancellationToken::new()).await;
            });
        });
        let (port, link) = is_ready.recv().unwrap();
        let mut server = Self {
            _folder: folder,
            port,
            cookie: String::new(),
            token: String::new(),
        };
        let (_, path) = link.split_once(&port.to_string()).unwrap();
        let entered = server.send(server.get(path).as_bytes());
        server.cookie = between(&entered, "set-cookie: ", ";");
        let home = server.send(server.get("/").as_bytes());
        server.token = between(&home, "name=\"token\" value=\"", "\"");
        server
    }

    fn get(&self, path: &str) -> String {
        let (port, cookie) = (self.port, &self.cookie);
        format!(
            "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n"
        )
    }
}

fn judge(what: &str, method: &str, template: &str, choices: Choices, own: &[u8], answer: &str) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
    let status = head
        .strip_prefix("HTTP/1.1 ")
        .and_then(|head| head.get(..3));
    let status: u16 = status
        .and_then(|status| status.parse().ok())
        .expect("an answer");
    assert_ne!(status, 500, "{what}: {answer}");
    // The server's own refusal of what is no request, such as too long a line, has neither.
    if status != 400 && status != 414 && status != 431 {
        assert!(
            head.contains("content-security-policy: default-src 'none'"),
            "{what}: {head}"
        );
    }
    let open = template.starts_with("/enter") || what.contains(" /static/");
    if !choices.has(Choices::COOKIE) && !open {
        assert!(status >= 400, "{what} without a cookie: {answer}");
    }
    let is_allowed =
        choices.has(Choices::COOKIE) && choices.has(Choices::TOKEN) && choices.has(Choices::OURS);
    if method == "POST" && !is_allowed {
        assert!(status >= 400, "{what} without a token: {answer}");
    }
    if let Ok(own) = str::from_utf8(own)
        && own.len() > 3
        && own.contains('<')
    {
        assert!(!body.contains(own), "{what}: {own} stands in the page");
    }
}

/// What an agent says that knows nothing.
fn nothing() -> Status {
    Status {
        schema: SCHEMA,
        as_of: jiff::Timestamp::UNIX_EPOCH,
        agent: AgentStatus {
            running: true,
            last_poll: None,
            usbmuxd: Some(true),
            remarks: Vec::new(),
            managed: None,
        },
        store: None,
        stores: Vec::new(),
        devices: Vec::new(),
    }
}

fn between(text: &str, before: &str, after: &str) -> String {
    let (_, rest) = text
        .split_once(before)
        .unwrap_or_else(|| panic!("{before} in {text}"));
    rest.split_once(after).expect("an end").0.to_owned()
}
