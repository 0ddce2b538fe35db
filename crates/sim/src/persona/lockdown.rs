//! How lockdownd behaves when it does not behave: refused values, broken answers, services and their TLS.

use std::collections::BTreeMap;

use serde::Deserialize;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LockdownSpec {
    /// `domain` or `domain/key` (root: `root/key`) that answer GetProhibited even inside a session.
    pub prohibited: Vec<String>,
    /// `domain` or `domain/key` that the phone does not have.
    pub missing: Vec<String>,
    /// Keys of the root domain that are readable without a session, beside those of protocol.md 5.4.
    pub unpaired_readable: Vec<String>,
    /// Seconds after which an idle connection is closed.
    pub idle_s: f64,
    /// Whether StartSession asks for TLS.
    pub session_ssl: bool,
    pub fault: Vec<LockdownFault>,
}

impl Default for LockdownSpec {
    fn default() -> Self {
        Self {
            prohibited: Vec::new(),
            missing: Vec::new(),
            unpaired_readable: Vec::new(),
            idle_s: 10.0,
            session_ssl: true,
            fault: Vec::new(),
        }
    }
}

/// One broken answer.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct LockdownFault {
    /// The request that it befalls, such as "GetValue"; any when absent.
    pub request: Option<String>,
    /// Only for this domain, where the request has one.
    pub domain: Option<String>,
    /// How many such requests are answered well before.
    #[serde(default)]
    pub after: u32,
    /// How often it happens; for ever when absent.
    pub times: Option<u32>,
    pub kind: LockdownFaultKind,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum LockdownFaultKind {
    /// No answer at all; the connection stays open.
    Stall,
    /// The connection closes instead of an answer.
    Close,
    /// Half of the answer, then the connection closes.
    Cut,
    /// Half of the answer, then the whole phone goes away.
    Unplug,
    /// A well-framed answer that is no plist.
    Rubbish,
    /// A plist that is no dictionary.
    NotADictionary,
    /// A frame that claims nearly 4 GiB.
    HugeLength,
    /// This error string.
    Error(String),
    /// The right answer, so many seconds later.
    Slow(f64),
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServicesSpec {
    pub ssl: ServiceSsl,
    /// Services that answer something else than a port: name → error string.
    pub refuse: BTreeMap<String, String>,
}

/// Where StartService asks for TLS. Absent over USB in the notes of some clients, always there over Wi-Fi (protocol.md 6).
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceSsl {
    #[default]
    Always,
    WifiOnly,
    Never,
}

/// An installed application.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct App {
    pub bundle_id: String,
    pub name: String,
    #[serde(default = "version")]
    pub version: String,
}

fn version() -> String {
    "1.0".to_owned()
}
