//! What a person does on a page, and what they see.

use super::Browser;
use crate::table::PATIENCE;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use std::{
    cell::RefCell,
    path::Path,
    time::{Duration, Instant},
};

/// One tab. What it asked of the network and what it complained of is kept.
#[derive(Debug)]
pub struct Page<'b> {
    browser: &'b Browser,
    context: String,
    /// Its own frame, beside those that it has inside.
    frame: String,
    session: String,
    seen: RefCell<Seen>,
}

/// What the tab did by itself.
#[derive(Debug, Default, Clone)]
pub struct Seen {
    /// Addresses that it asked for, in their order.
    pub requests: Vec<String>,
    /// The status of each document that it got, in their order.
    pub documents: Vec<(u64, String)>,
    /// Errors of scripts, violations of the content security policy, dialogs.
    pub complaints: Vec<String>,
    loads: usize,
}

/// How wide, and how bright.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// `phone-light` and the like, for the name of a picture.
    pub name: &'static str,
    width: u32,
    height: u32,
    scheme: &'static str,
}

/// A phone and a desktop, by day and by night.
pub const LOOKS: [Look; 4] = [
    look("360-light", 360, "light"),
    look("360-dark", 360, "dark"),
    look("1440-light", 1440, "light"),
    look("1440-dark", 1440, "dark"),
];

const fn look(name: &'static str, width: u32, scheme: &'static str) -> Look {
    let height = if width < 600 { 740 } else { 900 };
    Look {
        name,
        width,
        height,
        scheme,
    }
}

impl<'b> Page<'b> {
    pub(super) fn new(
        browser: &'b Browser,
        context: String,
        frame: String,
        session: String,
    ) -> Self {
        let page = Self {
            browser,
            context,
            frame,
            session,
            seen: RefCell::default(),
        };
        for domain in ["Page", "Runtime", "Network", "Log"] {
            page.call(&format!("{domain}.enable"), json!({}));
        }
        page.media("light");
        page
    }

    /// Another tab of the same person.
    #[must_use]
    pub fn another(&self) -> Self {
        self.browser.page(self.context.clone())
    }

    /// Goes there, and waits until it is loaded. The status of the document, 0 where none came.
    #[track_caller]
    pub fn goto(&self, address: &str) -> u64 {
        let before = self.seen();
        let gone = self.call("Page.navigate", json!({ "url": address }));
        if gone["errorText"].is_null() {
            self.wait_until_loaded(&before);
        }
        let documents = self.seen().documents;
        documents
            .get(before.documents.len()..)
            .and_then(|new| new.last())
            .map_or(0, |(status, _)| *status)
    }

    /// Does something that leads to another document, and waits until that is loaded.
    #[track_caller]
    pub fn through(&self, act: impl FnOnce(&Self)) {
        let before = self.seen();
        act(self);
        self.wait_until_loaded(&before);
    }

    #[track_caller]
    fn wait_until_loaded(&self, before: &Seen) {
        self.wait("the page is loaded", |page| {
            page.seen().loads > before.loads
        });
    }

    /// The address, as a person sees it.
    #[must_use]
    pub fn address(&self) -> String {
        self.value("location.href")
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// Everything that can be read.
    #[must_use]
    pub fn words(&self) -> String {
        let words = self.value("document.body ? document.body.innerText : ''");
        words.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until this is so, in the page's own terms.
    #[track_caller]
    pub fn wait_until(&self, is: &str) {
        self.wait(is, |page| page.try_value(is) == Ok(Value::Bool(true)));
    }

    /// Waits until these words can be read.
    #[track_caller]
    pub fn wait_for(&self, words: &str) {
        let begin = Instant::now();
        while !self.reads(words) {
            assert!(
                begin.elapsed() < PATIENCE,
                "after {PATIENCE:?} there is no “{words}” on {}:\n{}\n{:?}",
                self.address(),
                self.words(),
                self.seen().complaints
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The same for a page that only a person renews, by loading it again.
    #[track_caller]
    pub fn reload_until(&self, words: &str) {
        let begin = Instant::now();
        while !self.reads(words) {
            assert!(
                begin.elapsed() < PATIENCE,
                "after {PATIENCE:?} there is no “{words}”:\n{}",
                self.words()
            );
            std::thread::sleep(Duration::from_millis(100));
            self.through(|page| {
                page.call("Page.reload", json!({}));
            });
        }
    }

    fn reads(&self, words: &str) -> bool {
        self.words().to_lowercase().contains(&words.to_lowercase())
    }

    /// Clicks the button or link with these words, inside the first element that the selector finds.
    #[track_caller]
    pub fn click_in(&self, selector: &str, words: &str) {
        let script = format!(
            "(() => {{
                const place = document.querySelector({selector});
                const all = place ? [...place.querySelectorAll('a, button, summary, input[type=submit]')] : [];
                const it = all.find(e => (e.innerText || e.value || '').trim().toLowerCase().includes({words}.toLowerCase()) && e.getClientRects().length);
                if (!it) return null;
                it.scrollIntoView({{ block: 'center', behavior: 'instant' }});
                const r = it.getBoundingClientRect();
                return [r.x + r.width / 2, r.y + r.height / 2];
            }})()",
            selector = json!(selector),
            words = json!(words),
        );
        let place = self.value(&script);
        let (Some(x), Some(y)) = (place[0].as_f64(), place[1].as_f64()) else {
            panic!(
                "there is no “{words}” to click in {selector}:\n{}",
                self.words()
            );
        };
        for kind in ["mousePressed", "mouseReleased"] {
            self.call(
                "Input.dispatchMouseEvent",
                json!({ "type": kind, "x": x, "y": y, "button": "left", "clickCount": 1 }),
            );
        }
    }

    /// Clicks the first button or link with these words.
    #[track_caller]
    pub fn click(&self, words: &str) {
        self.click_in("body", words);
    }

    /// Presses a key: `Tab` or `Enter`.
    pub fn key(&self, key: &str) {
        let (code, text) = match key {
            "Tab" => (9, ""),
            "Enter" => (13, "\r"),
            other => panic!("no key {other}"),
        };
        for kind in ["keyDown", "keyUp"] {
            let text = if kind == "keyDown" { text } else { "" };
            self.call(
                "Input.dispatchKeyEvent",
                json!({ "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code, "text": text }),
            );
        }
    }

    /// The value of an expression, which may be a promise.
    #[track_caller]
    pub fn value(&self, expression: &str) -> Value {
        self.try_value(expression)
            .unwrap_or_else(|error| panic!("{expression}: {error}"))
    }

    fn try_value(&self, expression: &str) -> Result<Value, String> {
        let evaluate = json!({
            "expression": expression, "returnByValue": true, "awaitPromise": true,
        });
        let begin = Instant::now();
        loop {
            let said = self
                .browser
                .ask(Some(&self.session), "Runtime.evaluate", evaluate.clone());
            match said {
                Ok(mut said) if said["exceptionDetails"].is_null() => {
                    return Ok(said["result"]["value"].take());
                }
                Ok(said) => return Err(said["exceptionDetails"].to_string()),
                // Between two documents there is nothing that could evaluate it.
                Err(_) if begin.elapsed() < Duration::from_secs(5) => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Scripts of pages run, or do not.
    pub fn scripts(&self, run: bool) {
        self.call(
            "Emulation.setScriptExecutionDisabled",
            json!({ "value": !run }),
        );
    }

    /// Looks at it like that.
    pub fn look(&self, look: Look) {
        self.call(
            "Emulation.setDeviceMetricsOverride",
            json!({ "width": look.width, "height": look.height, "deviceScaleFactor": 1, "mobile": look.width < 600 }),
        );
        self.media(look.scheme);
    }

    /// Nothing moves of itself, so that everything is in its place at once.
    fn media(&self, scheme: &str) {
        let features = [
            ("prefers-color-scheme", scheme),
            ("prefers-reduced-motion", "reduce"),
        ];
        let features = features.map(|(name, value)| json!({ "name": name, "value": value }));
        self.call(
            "Emulation.setEmulatedMedia",
            json!({ "features": features }),
        );
    }

    /// A picture of the whole page.
    pub fn screenshot(&self, file: &Path) {
        let size = self.call("Page.getLayoutMetrics", json!({}))["cssContentSize"].take();
        let clip =
            json!({ "x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1 });
        let shot = self.call(
            "Page.captureScreenshot",
            json!({ "format": "png", "captureBeyondViewport": true, "clip": clip }),
        );
        let bytes = BASE64_STANDARD
            .decode(super::text(&shot, "data"))
            .expect("a picture is base64");
        let folder = file.parent().expect("a picture has a folder");
        std::fs::create_dir_all(folder).expect("a folder can be made");
        std::fs::write(file, bytes).expect("a picture can be written");
    }

    /// What it did by itself until now.
    #[must_use]
    pub fn seen(&self) -> Seen {
        let mut seen = self.seen.borrow_mut();
        for event in self.browser.events(&self.session) {
            let what = &event["params"];
            let string = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            match event["method"].as_str().unwrap_or_default() {
                "Page.loadEventFired" => seen.loads += 1,
                "Network.requestWillBeSent" => seen.requests.push(string(&what["request"]["url"])),
                "Network.responseReceived"
                    if what["type"] == "Document" && what["frameId"] == self.frame =>
                {
                    let status = what["response"]["status"].as_u64().unwrap_or_default();
                    let address = string(&what["response"]["url"]);
                    seen.documents.push((status, address));
                }
                "Runtime.exceptionThrown" => seen.complaints.push(what.to_string()),
                "Log.entryAdded" if what["entry"]["level"] == "error" => {
                    seen.complaints.push(string(&what["entry"]["text"]));
                }
                "Page.javascriptDialogOpening" => {
                    seen.complaints
                        .push(format!("a dialog: {}", what["message"]));
                }
                _ => {}
            }
        }
        seen.clone()
    }

    #[track_caller]
    pub(super) fn call(&self, method: &str, parameters: Value) -> Value {
        self.browser.call(Some(&self.session), method, parameters)
    }

    #[track_caller]
    fn wait(&self, what: &str, is: impl Fn(&Self) -> bool) {
        let begin = Instant::now();
        while !is(self) {
            assert!(
                begin.elapsed() < PATIENCE,
                "after {PATIENCE:?} it is still not so that {what}: {:?}\n{}",
                self.seen(),
                self.words()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
