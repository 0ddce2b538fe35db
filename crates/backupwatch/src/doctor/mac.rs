//! What only a Mac has: the bundle and its signature, the login session, Finder's own backups, Full Disk Access. Each is one
//! short program of the system, or one folder; what they say is read by functions that are tested everywhere.

#[cfg(target_os = "macos")]
use crate::setup::Setup;
use backupwatch_agent::doctor::Check;
#[cfg(target_os = "macos")]
use backupwatch_agent::doctor::limited_blocking;
#[cfg(target_os = "macos")]
use std::process::{Command, Stdio};
use std::{
    io,
    path::{Path, PathBuf},
};

const SIGNATURE: &str = "signature";
const SESSION: &str = "session";
const FINDER: &str = "finder_backups";
const ACCESS: &str = "full_disk_access";
#[cfg(target_os = "macos")]
const LOGIN: &str = "login_item";

/// All of them.
#[cfg(target_os = "macos")]
pub async fn look(setup: &Setup) -> Vec<Check> {
    let cure = "Restart the Mac.";
    let program = std::env::current_exe().unwrap_or_default();
    let roots = setup.roots();
    let home = setup.base.home.clone();
    let plist = setup
        .base
        .launch_agents()
        .join(format!("{}.plist", crate::service::LABEL));
    let (signed, session, finder, access, login) = tokio::join!(
        limited_blocking(SIGNATURE, "codesign", cure, move || {
            let said = said_by(
                "/usr/bin/codesign",
                &["-dv", &program.display().to_string()],
            );
            signature(&said.unwrap_or_default())
        }),
        limited_blocking(SESSION, "launchctl", cure, || {
            session(&said_by("/bin/launchctl", &["managername"]).unwrap_or_default())
        }),
        limited_blocking(FINDER, "defaults", cure, || {
            let key = [
                "read",
                "com.apple.AMPDevicesAgent",
                "AutomaticDeviceBackupsDisabled",
            ];
            finder(&said_by("/usr/bin/defaults", &key).unwrap_or_default())
        }),
        limited_blocking(
            ACCESS,
            "The folder of Finder’s backups",
            cure,
            move || {
                let folder = finders_folder(&home);
                let needed = roots.iter().any(|root| root.starts_with(&folder));
                let opened = std::fs::read_dir(&folder).map(drop);
                access(needed, opened.err().as_ref())
            }
        ),
        limited_blocking(LOGIN, "macOS", cure, move || login(&plist)),
    );
    let ways = [signed, session, finder];
    let mut checks: Vec<Check> = ways
        .into_iter()
        .map(|check| check.unwrap_or_else(|silent| silent))
        .collect();
    for check in [access, login] {
        match check {
            Ok(check) => checks.extend(check),
            Err(silent) => checks.push(silent),
        }
    }
    checks
}

/// Whether macOS starts the agent at login; one that waits for a word of the person is not started, and nobody is told. Nothing
/// where no agent is installed, or macOS has not heard of it yet.
#[cfg(target_os = "macos")]
fn login(plist: &Path) -> Option<Check> {
    use backupwatch_notify::mac::{LoginItem, login_item};
    match login_item(plist) {
        LoginItem::Enabled => Some(Check::pass(LOGIN, "macOS starts the agent at login.")),
        LoginItem::RequiresApproval => Some(Check::fail(
            LOGIN,
            "macOS does not start the agent at login before you allow it.",
            "System Settings, General, Login Items & Extensions: allow backupwatch",
        )),
        LoginItem::NotRegistered | LoginItem::NotFound | LoginItem::Unknown => None,
    }
}

/// Both streams: codesign tells on the second.
#[cfg(target_os = "macos")]
fn said_by(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
    said.push_str(&String::from_utf8_lossy(&output.stderr));
    Some(said)
}

/// What `codesign -dv` says of our program: whether it is the app's, and what it is signed with.
fn signature(said: &str) -> Check {
    let value = |key: &str| {
        let mut lines = said.lines();
        lines.find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
    };
    let bundled = value("Identifier") == Some("dev.backupwatch")
        && value("Format").is_some_and(|format| format.contains("bundle"));
    let flags = said
        .lines()
        .find(|line| line.starts_with("CodeDirectory"))
        .unwrap_or_default();
    if said.contains("not signed at all") || value("Identifier").is_none() {
        return Check::fail(
            SIGNATURE,
            "This program is not signed, so macOS shows none of its notices.",
            "Install Backupwatch.app, and run from it: backupwatch install",
        );
    }
    if flags.contains("linker-signed") || !bundled {
        return Check::fail(
            SIGNATURE,
            "This is the bare program and not the app, so macOS shows none of its notices.",
            "Install Backupwatch.app, and run from it: backupwatch install",
        );
    }
    match value("TeamIdentifier") {
        Some(team) if team != "not set" => {
            Check::pass(SIGNATURE, "The app is signed by its developer.")
        }
        Some(_) | None => Check::pass(
            SIGNATURE,
            "The app is signed without a developer: macOS asks for each permission again after an update.",
        ),
    }
}

/// What `launchctl managername` says.
fn session(said: &str) -> Check {
    match said.trim() {
        "Aqua" => Check::pass(SESSION, "This is a session with a desktop."),
        "" => Check::warn(
            SESSION,
            "What kind of session this is, is not known.",
            "Run this in Terminal on the Mac itself.",
        ),
        _ => Check::warn(
            SESSION,
            "This is a session without a desktop: an agent that is started from here shows no notices.",
            "Run this in Terminal on the Mac itself, not by ssh or sudo.",
        ),
    }
}

/// What Finder does by itself when a phone is connected. Its settings are the person's: nothing is changed.
fn finder(said: &str) -> Check {
    if matches!(said.trim(), "1" | "true" | "YES") {
        Check::pass(FINDER, "Finder makes no backups by itself.")
    } else {
        Check::warn(
            FINDER,
            "Finder may begin a backup of its own when a phone is connected; the phone then asks for its passcode twice.",
            "defaults write com.apple.AMPDevicesAgent AutomaticDeviceBackupsDisabled -bool true",
        )
    }
}

/// Where Finder keeps backups; macOS opens it to nobody without Full Disk Access.
fn finders_folder(home: &Path) -> PathBuf {
    home.join("Library/Application Support/MobileSync")
}

/// Nothing where the folder for backups is another one: then it is only `export --to finder` that needs it, and says so.
fn access(needed: bool, error: Option<&io::Error>) -> Option<Check> {
    if !needed {
        return None;
    }
    /// `EPERM`: macOS itself, and not the folder's mode, which is `EACCES`.
    const PRIVACY: i32 = 1;
    Some(match error {
        Some(error) if error.raw_os_error() == Some(PRIVACY) => Check::fail(
            ACCESS,
            "Backups go to Finder’s folder, and macOS keeps backupwatch out of it.",
            "System Settings, Privacy & Security, Full Disk Access: add Backupwatch.app, then run: backupwatch restart",
        ),
        Some(_) | None => Check::pass(ACCESS, "Finder’s folder of backups can be used."),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use backupwatch_agent::doctor::Outcome::{Fail, Pass, Warn};

    #[test]
    fn signatures_as_codesign_tells_them() {
        let adhoc = "Executable=/Applications/Backupwatch.app/Contents/MacOS/backupwatch\nIdentifier=dev.backupwatch\nFormat=app bundle with Mach-O universal (x86_64 arm64)\nCodeDirectory v=20500 size=1 flags=0x2(adhoc) hashes=1+3 location=embedded\nSignature=adhoc\nTeamIdentifier=not set\n";
        let linker = "Executable=/opt/bin/backupwatch\nIdentifier=backupwatch-1f2e3d\nFormat=Mach-O thin (arm64)\nCodeDirectory v=20400 size=1 flags=0x20002(adhoc,linker-signed) hashes=1+0 location=embedded\nSignature=adhoc\nTeamIdentifier=not set\n";
        let developer = adhoc.replace("TeamIdentifier=not set", "TeamIdentifier=ABCDE12345");
        let none = "/opt/bin/backupwatch: code object is not signed at all\n";
        for (said, status, word) in [
            (adhoc, Pass, "without a developer"),
            (developer.as_str(), Pass, "by its developer"),
            (linker, Fail, "bare program"),
            (none, Fail, "not signed"),
            ("", Fail, "not signed"),
        ] {
            let check = signature(said);
            assert_eq!(check.status, status, "{said}");
            assert!(check.says.contains(word), "{said}: {check:?}");
        }
    }

    #[test]
    fn sessions_and_finder_and_the_folder_that_macos_guards() {
        assert_eq!(session("Aqua\n").status, Pass);
        assert_eq!(session("Background\n").status, Warn);
        assert_eq!(session("").status, Warn);
        assert_eq!(finder("1\n").status, Pass);
        let unset = "The domain/default pair of (com.apple.AMPDevicesAgent, AutomaticDeviceBackupsDisabled) does not exist";
        assert_eq!(finder(unset).status, Warn);
        let error = io::Error::from_raw_os_error;
        assert_eq!(access(false, Some(&error(1))), None);
        assert_eq!(access(true, Some(&error(1))).unwrap().status, Fail);
        assert_eq!(access(true, Some(&error(2))).unwrap().status, Pass);
        assert_eq!(access(true, None).unwrap().status, Pass);
        assert!(finders_folder(Path::new("/Users/ada")).ends_with("MobileSync"));
    }
}
