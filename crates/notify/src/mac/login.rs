//! What System Settings > General > Login Items & Extensions says of the agent. A hand-written agent may be switched off there, or wait
//! for a word of the person, and is then not started without any error.

use objc2_foundation::NSURL;
use objc2_service_management::{SMAppService, SMAppServiceStatus};
use std::path::Path;

/// How macOS takes an agent's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginItem {
    /// It has not heard of it.
    NotRegistered,
    /// It is started at login.
    Enabled,
    /// The person has to allow it.
    RequiresApproval,
    /// There is no such file.
    NotFound,
    /// It says something that was not known when this was written.
    Unknown,
}

/// How macOS takes the agent with this file in `~/Library/LaunchAgents`.
#[must_use]
pub fn login_item(plist: &Path) -> LoginItem {
    let Some(url) = NSURL::from_file_path(plist) else {
        return LoginItem::NotFound;
    };
    // SAFETY: the URL is one of a file, which is all that is asked of it.
    match unsafe { SMAppService::statusForLegacyURL(&url) } {
        SMAppServiceStatus::NotRegistered => LoginItem::NotRegistered,
        SMAppServiceStatus::Enabled => LoginItem::Enabled,
        SMAppServiceStatus::RequiresApproval => LoginItem::RequiresApproval,
        SMAppServiceStatus::NotFound => LoginItem::NotFound,
        _ => LoginItem::Unknown,
    }
}
