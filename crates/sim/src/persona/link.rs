//! How the phone hangs on the host: by cable, over Wi-Fi, or both, as usbmuxd lists it (protocol.md 3.3).

use serde::Deserialize;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkSpec {
    pub kind: LinkKind,
    /// False: the link is known but not there until a driver plugs it.
    #[serde(default = "yes")]
    pub plugged: bool,
    /// Whether anything answers behind it: a Network device may be listed and dead (protocol.md section 6).
    #[serde(default)]
    pub answers: Answers,
}

impl LinkSpec {
    #[must_use]
    pub fn new(kind: LinkKind, plugged: bool) -> Self {
        Self {
            kind,
            plugged,
            answers: Answers::Yes,
        }
    }
}

/// What a Connect over a link comes to.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Answers {
    #[default]
    Yes,
    /// Every Connect is refused.
    Refuses,
    /// Every Connect succeeds, and then there is silence.
    Silent,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
pub enum LinkKind {
    Usb,
    Network,
}

pub(super) fn one_cable() -> Vec<LinkSpec> {
    vec![LinkSpec::new(LinkKind::Usb, true)]
}

fn yes() -> bool {
    true
}
