//! Whether a notice would come onto a screen, asked without showing one.

/// Why it would not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreachable {
    /// In words for the person, without a full stop.
    pub why: &'static str,
    /// The one thing that helps.
    pub cure: &'static str,
}

/// Asks who shows notices here. A desktop that does not answer is waited for without end; the caller sets a bound.
///
/// # Errors
/// When nobody does.
pub async fn reachable() -> Result<(), Unreachable> {
    let asked = tokio::task::spawn_blocking(platform::ask).await;
    asked.unwrap_or(Err(Unreachable {
        why: "asking for it broke",
        cure: "Log in to the desktop again.",
    }))
}

#[cfg(not(target_os = "macos"))]
mod platform {
    use super::Unreachable;

    pub(super) fn ask() -> Result<(), Unreachable> {
        notify_rust::get_server_information()
            .map(drop)
            .map_err(|error| {
                let text = error.to_string();
                tracing::debug!(error = text, "no notification service");
                // The names of D-Bus itself for a bus on which nobody has this name.
                if text.contains("ServiceUnknown") || text.contains("NameHasNoOwner") {
                    Unreachable {
                        why: "this desktop has no program that shows them",
                        cure: "Install one, for example: sudo apt install dunst",
                    }
                } else {
                    Unreachable {
                        why: "there is no desktop session (D-Bus does not answer)",
                        cure: "Log in to the desktop and run there: backupwatch restart",
                    }
                }
            })
    }
}

#[cfg(target_os = "macos")]
mod platform {
    use super::Unreachable;

    pub(super) fn ask() -> Result<(), Unreachable> {
        use crate::mac::{Permission, permission};

        if !crate::app::is_bundled() {
            return Err(Unreachable {
                why: "macOS shows notices only of the app, not of the bare program",
                cure: "Install Backupwatch.app, and run from it: backupwatch install",
            });
        }
        match permission() {
            // Who has not been asked yet is asked when one is shown.
            Some(Permission::Granted | Permission::NotAsked) => Ok(()),
            Some(Permission::Denied) => Err(Unreachable {
                why: "macOS does not let backupwatch show any",
                cure: "Allow them in System Settings > Notifications > backupwatch.",
            }),
            None => Err(Unreachable {
                why: "the notification centre of macOS does not answer",
                cure: "Log out and in again.",
            }),
        }
    }
}
