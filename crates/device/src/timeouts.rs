//! How long anything may take. Every wait in this crate but two has one of these: the wait for the next event of the
//! listening connection, and the wait for the next notification, which may well never come.

use std::time::Duration;

/// How long each kind of answer may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// An answer of usbmuxd. It is on this computer, or near.
    pub mux: Duration,
    /// The first answer of a phone on Wi-Fi: usbmuxd lists phones that are long gone (protocol.md 6).
    pub network_hello: Duration,
    /// An answer of lockdownd.
    pub request: Duration,
    /// A TLS handshake.
    pub tls: Duration,
    /// A whole probe.
    pub probe: Duration,
    /// Between two times of asking whether somebody has tapped Trust (protocol.md 4.2: about once a second).
    pub pair_repeat: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            mux: Duration::from_secs(5),
            network_hello: Duration::from_secs(3),
            request: Duration::from_secs(10),
            tls: Duration::from_secs(10),
            probe: Duration::from_secs(30),
            pair_repeat: Duration::from_secs(1),
        }
    }
}
