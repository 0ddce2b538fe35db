//! A real browser that nobody sees: Chromium, told what to do over its own debugging pipe. JSON messages that end with a NUL byte
//! go in at descriptor 3 and come out at descriptor 4; no driver, no crate and no port is between.
//!
//! What a person does on a page is in [`page`]; whether others can use the page is asked of axe-core in [`axe`].

pub mod axe;
pub mod elsewhere;
pub mod page;
pub mod visit;

use crate::{peers, somebody, table::PATIENCE};
use page::Page;
use serde_json::{Value, json};
use std::{
    cell::{Cell, RefCell},
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{self, Receiver},
    time::{Duration, Instant},
};

/// The browser's names on the systems where tests run.
const NAMES: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
];

/// Where macOS keeps it.
const ON_MACOS: &str = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome";

/// Nothing of the network, nothing of the machine's settings. Every name that ends in `.test` is this computer, for pages of strangers.
const FLAGS: [&str; 14] = [
    "--headless=new",
    "--remote-debugging-pipe",
    "--host-resolver-rules=MAP *.test 127.0.0.1",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
];

/// A running browser. It ends when it is dropped.
#[derive(Debug)]
pub struct Browser {
    child: Child,
    // Closed first when it is dropped: the browser ends when nobody can talk to it any more.
    into: RefCell<Option<ChildStdin>>,
    out: Receiver<Value>,
    events: RefCell<Vec<Value>>,
    last: Cell<u64>,
}

impl Browser {
    /// Starts one with its files below `folder`; `None` when there is none here and the skip was recorded.
    #[must_use]
    pub fn start(folder: &Path) -> Option<Self> {
        let program = find()?;
        let profile = folder.join("browser");
        std::fs::create_dir_all(&profile).expect("a folder can be made");
        // Only a shell gives away other descriptors than the first three without unsafe code.
        let mut command = Command::new("sh");
        command
            .args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >/dev/null"])
            .arg(program)
            .args(FLAGS)
            .arg(format!("--user-data-dir={}", profile.display()))
            .env("HOME", &profile)
            .env("TZ", "UTC")
            .env("LANG", "C.UTF-8")
            .env_remove("DISPLAY")
            .env_remove("WAYLAND_DISPLAY");
        if somebody::is_root() {
            // Its sandbox refuses to be root's.
            command.arg("--no-sandbox");
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell starts");
        let pipe = BufReader::new(child.stdout.take().expect("its output is piped"));
        let (sender, out) = mpsc::channel();
        std::thread::spawn(move || {
            for message in pipe.split(0).map_while(Result::ok) {
                let message = serde_json::from_slice(&message).expect("it speaks JSON");
                // Nobody listens any more.
                if sender.send(message).is_err() {
                    break;
                }
            }
        });
        let browser = Self {
            into: RefCell::new(child.stdin.take()),
            child,
            out,
            events: RefCell::default(),
            last: Cell::new(0),
        };
        browser.call(None, "Browser.getVersion", json!({}));
        Some(browser)
    }

    /// A page of somebody who has nothing of anybody else's: no cookie, no cache.
    #[must_use]
    pub fn somebody(&self) -> Page<'_> {
        let context = self.call(None, "Target.createBrowserContext", json!({}));
        self.page(text(&context, "browserContextId"))
    }

    /// A page in the profile of this name.
    fn page(&self, context: String) -> Page<'_> {
        let target = self.call(
            None,
            "Target.createTarget",
            json!({ "url": "about:blank", "browserContextId": context }),
        );
        let attached = self.call(
            None,
            "Target.attachToTarget",
            json!({ "targetId": text(&target, "targetId"), "flatten": true }),
        );
        let (frame, session) = (text(&target, "targetId"), text(&attached, "sessionId"));
        Page::new(self, context, frame, session)
    }

    /// One command, to its answer.
    #[track_caller]
    fn call(&self, session: Option<&str>, method: &str, parameters: Value) -> Value {
        self.ask(session, method, parameters)
            .unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// One command; an error is what the browser says of it.
    fn ask(&self, session: Option<&str>, method: &str, parameters: Value) -> Result<Value, String> {
        let id = self.last.get() + 1;
        self.last.set(id);
        let mut message = json!({ "id": id, "method": method, "params": parameters });
        if let Some(session) = session {
            message["sessionId"] = session.into();
        }
        let mut bytes = serde_json::to_vec(&message).expect("a message has a JSON form");
        bytes.push(0);
        let mut into = self.into.borrow_mut();
        let into = into.as_mut().expect("it runs");
        into.write_all(&bytes).expect("the browser listens");
        into.flush().expect("the browser listens");
        let begin = Instant::now();
        loop {
            let left = PATIENCE.saturating_sub(begin.elapsed());
            let mut answer = self
                .out
                .recv_timeout(left)
                .map_err(|_| format!("no answer within {PATIENCE:?}, or the browser ended"))?;
            if answer["id"] != id {
                self.events.borrow_mut().push(answer);
            } else if answer["error"].is_null() {
                return Ok(answer["result"].take());
            } else {
                return Err(answer["error"]["message"].to_string());
            }
        }
    }

    /// What the browser said by itself since the last time, of this session.
    fn events(&self, session: &str) -> Vec<Value> {
        self.events.borrow_mut().extend(self.out.try_iter());
        let mut events = self.events.borrow_mut();
        let (ours, others) = events
            .drain(..)
            .partition(|event| event["sessionId"] == session);
        *events = others;
        ours
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.into.borrow_mut().take();
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(5) {
            if self.child.try_wait().is_ok_and(|ended| ended.is_some()) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        // A process that has ended already is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The browser of this machine; a loud skip where there is none.
fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .flat_map(|folder| NAMES.map(|name| folder.join(name)))
        .chain([ON_MACOS.into()])
        .find(|path| path.is_file());
    if found.is_none() {
        peers::missed("chromium");
    }
    found
}

fn text(value: &Value, name: &str) -> String {
    value[name]
        .as_str()
        .unwrap_or_else(|| panic!("no {name} in {value}"))
        .to_owned()
}
