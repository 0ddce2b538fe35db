//! How the phone hangs on the host: by cable, over Wi-Fi, or both, as usbmuxd lists it (protocol.md 3.3).

use serde::Deserialize;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkSpec {
    pub kind: LinkKind,
    /// False: the link is known but not there until a driver plugs it.
    #[serde(default = "yes")]
    pub plugged: bool,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
pub enum LinkKind {
    Usb,
    Network,
}

pub(super) fn one_cable() -> Vec<LinkSpec> {
    vec![LinkSpec {
        kind: LinkKind::Usb,
        plugged: true,
    }]
}

fn yes() -> bool {
    true
}
