//! Whether the phone trusts this host, and what its owner does when the Trust dialog comes up.

use serde::Deserialize;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrustSpec {
    /// The host has a pair record from the start, and the phone knows it.
    pub paired: bool,
    /// The host has a record, but the phone has forgotten it (reset, or unused for 30 days): InvalidHostID.
    pub expired: bool,
    pub dialog: Dialog,
    pub pairing: PairingPolicy,
}

impl Default for TrustSpec {
    fn default() -> Self {
        Self {
            paired: true,
            expired: false,
            dialog: Dialog::Wait,
            pairing: PairingPolicy::Allowed,
        }
    }
}

/// What happens to the Trust dialog once it is on the screen.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum Dialog {
    /// It stays until a driver taps.
    #[default]
    Wait,
    /// "Trust", after so many seconds.
    TapAfter(f64),
    /// "Don't Trust", after so many seconds.
    DenyAfter(f64),
}

/// Whether pairing is possible at all.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum PairingPolicy {
    #[default]
    Allowed,
    /// A supervised phone that pairs with nobody: MCProtected.
    Managed,
    /// A supervised phone that wants the supervisor's signature: MCChallengeRequired.
    ManagedChallenge,
}
