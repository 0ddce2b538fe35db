//! Which program the manager has to start: this one, if it will still be there at the next login.
//!
//! Refused is what is sure to go away (a temporary folder, a disk image), and what has another owner (Homebrew, which installs its own
//! file for the same label). A folder that cargo builds into is only warned of: it is where people try things, and it works until
//! `cargo clean`.

use super::Manager;
use crate::failure::Failure;
use backupwatch_agent::exit::ExitCode;
use std::path::{Component, Path, PathBuf};

/// A program that stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    pub path: PathBuf,
    /// What a person should know of its place.
    pub remark: Option<String>,
}

/// This program, by the path that leads to it without links. In an app bundle that is the bundle's own executable.
pub fn this(manager: Manager, home: &Path) -> Result<Program, Failure> {
    let path = std::env::current_exe().and_then(|path| path.canonicalize());
    let path = path.map_err(|error| {
        Failure::new(
            ExitCode::Internal,
            "program",
            format!("failed to find the path of this program: {error}"),
        )
        .next("If it was replaced just now, run the new one.")
    })?;
    let temporary = std::env::temp_dir();
    let temporary = temporary.canonicalize().unwrap_or(temporary);
    stable(manager, &path, home, &temporary)
}

/// Whether Homebrew owns the program, and with it the service.
pub fn is_homebrew(program: &Path) -> bool {
    let has = |name: &str| program.components().any(|part| part.as_os_str() == name);
    has("Cellar")
        || [
            "/opt/homebrew",
            "/home/linuxbrew/.linuxbrew",
            "/usr/local/opt/backupwatch",
        ]
        .iter()
        .any(|prefix| program.starts_with(prefix))
}

/// What to say where Homebrew is the owner.
pub fn homebrew(verb: &str) -> Failure {
    Failure::new(
        ExitCode::Usage,
        "homebrew",
        "Homebrew has installed this program, and starts and ends its service too",
    )
    .next(format!("Run `brew services {verb} backupwatch`."))
}

fn stable(
    manager: Manager,
    program: &Path,
    home: &Path,
    temporary: &Path,
) -> Result<Program, Failure> {
    let refused = |error, message: &str, next: &str| {
        let message = format!("{message} ({})", program.display());
        Err(Failure::new(ExitCode::Usage, error, message).next(next))
    };
    if is_homebrew(program) {
        return Err(homebrew("start"));
    }
    if program
        .components()
        .any(|part| part.as_os_str() == "AppTranslocation")
    {
        return refused(
            "temporary",
            "macOS runs the app from a hidden copy, because it was not moved since it was downloaded",
            "Move Backupwatch.app into Applications with Finder, open it there, and try again.",
        );
    }
    let below = |folder: &Path| program.starts_with(folder) && folder != Path::new("/");
    let fleeting = [
        "/tmp",
        "/private/tmp",
        "/var/tmp",
        "/private/var/tmp",
        "/var/folders",
    ];
    let fleeting = fleeting
        .iter()
        .chain(&["/private/var/folders", "/dev/shm", "/run/user"]);
    if below(temporary) || fleeting.map(Path::new).any(below) {
        return refused(
            "temporary",
            "this program is in a temporary folder and will not be there at the next login",
            "Move it to where programs stay, for example with `cargo install --path crates/backupwatch`, and try again.",
        );
    }
    if let Some(medium) = medium(manager, program)
        && !home.starts_with(&medium)
    {
        return refused(
            "removable",
            "this program is on a disk that may not be connected at the next login",
            "Copy it to this computer's own disk, on a Mac into Applications, and try again.",
        );
    }
    let built = program
        .ancestors()
        .skip(1)
        .any(|folder| folder.join(".rustc_info.json").is_file());
    Ok(Program {
        path: program.to_owned(),
        remark: built.then(|| {
            "The service starts the program from a folder that cargo builds into: each build changes it, and `cargo clean` removes it. To keep it, run `cargo install --path crates/backupwatch`, and then `backupwatch install` again.".to_owned()
        }),
    })
}

/// The folder of the disk that can be taken away, if the program is on one. A home folder may be on the same one: then it is there
/// whenever somebody is logged in.
fn medium(manager: Manager, program: &Path) -> Option<PathBuf> {
    let (root, depth) = match manager {
        Manager::Launchd => ("/Volumes", 3),
        Manager::Systemd if program.starts_with("/run/media") => ("/run/media", 5),
        Manager::Systemd => ("/media", 4),
    };
    let parts: Vec<Component<'_>> = program.components().take(depth).collect();
    (program.starts_with(root) && parts.len() == depth).then(|| parts.iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(manager: Manager, program: &str, home: &str) -> &'static str {
        let temporary = Path::new("/scratch/tmp");
        match stable(manager, Path::new(program), Path::new(home), temporary) {
            Ok(Program { remark: None, .. }) => "stays",
            Ok(Program { .. }) => "warned",
            Err(failure) => {
                assert!(failure.next.is_some());
                failure.error
            }
        }
    }

    #[test]
    fn a_place_that_stays_is_taken_and_others_are_not() {
        use Manager::{Launchd, Systemd};
        for (manager, program, expected) in [
            (
                Launchd,
                "/Applications/Backupwatch.app/Contents/MacOS/backupwatch",
                "stays",
            ),
            (Launchd, "/Users/ada/.cargo/bin/backupwatch", "stays"),
            (Launchd, "/usr/local/bin/backupwatch", "stays"),
            (Systemd, "/usr/bin/backupwatch", "stays"),
            (Systemd, "/home/ada/tmp/backupwatch", "stays"),
            (Systemd, "/media/backupwatch", "stays"),
            (
                Launchd,
                "/opt/homebrew/Cellar/backupwatch/0.1.0/Backupwatch.app/Contents/MacOS/backupwatch",
                "homebrew",
            ),
            (
                Launchd,
                "/opt/homebrew/opt/backupwatch/bin/backupwatch",
                "homebrew",
            ),
            (
                Launchd,
                "/usr/local/Cellar/backupwatch/0.1.0/bin/backupwatch",
                "homebrew",
            ),
            (
                Systemd,
                "/home/linuxbrew/.linuxbrew/bin/backupwatch",
                "homebrew",
            ),
            (Systemd, "/tmp/backupwatch", "temporary"),
            (Systemd, "/scratch/tmp/x/backupwatch", "temporary"),
            (Systemd, "/run/user/1000/backupwatch", "temporary"),
            (
                Launchd,
                "/private/var/folders/x/T/AppTranslocation/1/d/Backupwatch.app/Contents/MacOS/backupwatch",
                "temporary",
            ),
            (
                Launchd,
                "/Volumes/Backupwatch/Backupwatch.app/Contents/MacOS/backupwatch",
                "removable",
            ),
            (Systemd, "/run/media/ada/STICK/backupwatch", "removable"),
            (Systemd, "/media/ada/STICK/backupwatch", "removable"),
        ] {
            assert_eq!(
                verdict(manager, program, "/home/ada"),
                expected,
                "{program}"
            );
        }
        let at_home = "/Volumes/Data/ada/bin/backupwatch";
        assert_eq!(verdict(Launchd, at_home, "/Volumes/Data/ada"), "stays");
    }

    #[test]
    fn a_folder_of_cargo_is_warned_of() {
        // Where cargo has built this test.
        let program = std::env::current_exe().unwrap();
        match stable(
            Manager::Systemd,
            &program,
            Path::new("/home/a"),
            Path::new("/none"),
        ) {
            Ok(program) => assert!(program.remark.unwrap().contains("cargo")),
            // The whole checkout is in a temporary folder.
            Err(failure) => assert_eq!(failure.error, "temporary"),
        }
    }
}
