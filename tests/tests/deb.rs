//! The Debian package from its installation to its removal, on a Debian that nobody has used yet: a user's own systemd starts the
//! agent, which sees a phone, posts a notice on a real screen, and backs the phone up.

#![cfg(target_os = "linux")]

use backupwatch_e2e::{
    binary,
    cleanroot::{CleanRoot, USER},
    desktop::Desktop,
    peers,
    table::{PATIENCE, Table, persona},
};
use backupwatch_sim::persona::PromptAnswer;
use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// By day and by night, and beside other agents of this computer.
const CONFIG: &str = "page.port = 0\nnotify.quiet = \"off\"\nbackup.quiet = \"off\"\n";

/// The package with the binary under test; `None` where it cannot be packed, and the skip was recorded.
fn package(folder: &Path) -> Option<PathBuf> {
    for program in ["cargo-deb", "dpkg", "strip", "gzip"] {
        peers::find(program)?;
    }
    let mut command = binary::xtask();
    command
        .args(["deb", "--fast", "--executable"])
        .arg(binary::path());
    command.arg("--out").arg(folder);
    let output = peers::run(&mut command, Duration::from_secs(240));
    assert!(output.status.success(), "{}", peers::words(&output));
    let file = format!("backupwatch_{}-1_", env!("CARGO_PKG_VERSION"));
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| {
            path.file_name()
                .unwrap()
                .to_str()
                .unwrap()
                .starts_with(&file)
        })
}

#[test]
fn from_the_package_on_a_clean_debian_to_a_backup_and_away_again() {
    let mut phone = persona("stale-58-days");
    phone.passcode.answer = PromptAnswer::Wait;
    let table = Table::unix(phone);
    let Some(desktop) = Desktop::start(table.home()) else {
        return;
    };
    let Some(mut debian) = CleanRoot::unpack() else {
        return;
    };
    let Some(package) = package(table.home()) else {
        return;
    };
    let untouched = debian.files();

    fs::copy(package, debian.path("/root/backupwatch.deb")).unwrap();
    let _ = debian.said(debian.root(&["apt-get", "install", "-y", "/root/backupwatch.deb"]));
    everything_is_installed(&debian);

    table.phone().unplug();
    live(&mut debian, &desktop, &table);

    let _ = debian.said(debian.root(&["apt-get", "purge", "-y", "backupwatch"]));
    let left: Vec<_> = debian.files().difference(&untouched).cloned().collect();
    assert_eq!(left, Vec::<String>::new(), "the package leaves nothing");
    let verdict = table.phone().verdict(&backups(&debian));
    assert!(verdict.is_whole(), "what is the user's stays: {verdict}");
}

/// The program, its manual, its completions, its service, and what it asks Debian for.
fn everything_is_installed(debian: &CleanRoot) {
    let said = |words: &[&str]| debian.said(debian.user(words));
    let version = format!("backupwatch {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(said(&["backupwatch", "--version"]), version);
    for page in ["backupwatch", "backupwatch-agent"] {
        let text = said(&["man", "--pager=cat", page]);
        assert!(text.contains("SYNOPSIS"), "{text}");
    }
    let loaded = said(&[
        "bash",
        "-c",
        ". /usr/share/bash-completion/bash_completion; _completion_loader backupwatch; complete -p backupwatch",
    ]);
    assert!(loaded.contains("_backupwatch"), "{loaded}");
    for file in [
        "/usr/share/zsh/vendor-completions/_backupwatch",
        "/usr/share/fish/vendor_completions.d/backupwatch.fish",
    ] {
        let text = fs::read_to_string(debian.path(file)).unwrap();
        assert!(text.contains("diagnose"), "{file}");
    }
    let verified = peers::run(
        &mut debian.user(&["systemd-analyze", "verify", "--user", "backupwatch.service"]),
        PATIENCE,
    );
    assert!(
        verified.status.success() && verified.stderr.is_empty(),
        "{}",
        peers::words(&verified)
    );
    let fields = said(&[
        "dpkg-query",
        "--show",
        "--showformat=${Depends}|${Recommends}|${Suggests}",
        "backupwatch",
    ]);
    let (depends, others) = fields.split_once('|').unwrap();
    assert!(depends.contains("libc6 (>= "), "{fields}");
    assert_eq!(others, "usbmuxd|libimobiledevice-1.0-6 | libimobiledevice6");
    // Nobody has to have that library, and who wants to use it is told how to get it.
    let mut check = debian.user(&[
        "env",
        "BACKUPWATCH_BACKEND=libimobiledevice",
        "backupwatch",
        "check",
    ]);
    let checked = peers::run(&mut check, PATIENCE);
    assert_eq!(checked.status.code(), Some(2), "{}", peers::words(&checked));
    let complained = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert!(
        complained.contains("libimobiledevice is not installed; install it with: "),
        "{complained}"
    );
    let copyright = fs::read_to_string(debian.path("/usr/share/doc/backupwatch/copyright"));
    assert!(copyright.unwrap().contains("Permission is hereby granted"));
}

/// Somebody logs in, has the agent started from now on, and connects a phone. Later they have had enough of it.
fn live(debian: &mut CleanRoot, desktop: &Desktop, table: &Table) {
    let bus = desktop.bus.strip_prefix("unix:path=").unwrap();
    let bus = bus.split(',').next().unwrap();
    debian.share_socket(Path::new(bus), "/run/desktop");
    debian.share_socket(&table.home().join("usbmuxd"), "/run/usbmuxd");
    let config = format!("/home/{USER}/.config/backupwatch/config.toml");
    let write = format!("mkdir -p \"$(dirname {config})\"; printf '%s' '{CONFIG}' > {config}");
    let _ = debian.said(debian.user(&["sh", "-ec", &write]));

    debian.log_in();
    let said = |words: &[&str]| debian.said(debian.user(words));
    // What a desktop's session tells the user's systemd.
    let bus = "DBUS_SESSION_BUS_ADDRESS=unix:path=/run/desktop";
    let _ = said(&["systemctl", "--user", "set-environment", bus]);
    let installed = said(&["backupwatch", "install"]);
    assert!(
        installed.contains("/usr/lib/systemd/user/backupwatch.service came with the package"),
        "{installed}"
    );
    assert!(installed.contains("A test notice was shown"), "{installed}");
    let status = wait_for(debian, "the agent answers", |said| {
        said.contains("\"schema\"") && !said.contains("\"running\": false")
    });
    assert!(!status.contains(&table.udid()), "nobody was there yet");

    table.phone().plug();
    let notice = desktop.wait_for_notice("no iCloud backup");
    assert!(notice.summary.contains("58 days"), "{notice:?}");
    table.wait(
        "the phone asks for its passcode",
        table.phone().prompt_shown(),
    );
    desktop.wait_for_notice("Enter the passcode");
    assert!(table.phone().enter_passcode());
    desktop.wait_for_notice("is backed up to this computer");
    let _ = wait_for(debian, "the backup is verified", |said| {
        said.contains("\"state\": \"verified\"")
    });
    let verdict = table.phone().verdict(&backups(debian));
    assert!(verdict.is_whole(), "{verdict}");
    let verified = said(&["backupwatch", "verify"]);
    assert!(!verified.is_empty());
    let main = said(&[
        "systemctl",
        "--user",
        "show",
        "backupwatch",
        "--property=ExecMainStatus,ActiveState,NRestarts",
    ]);
    assert!(
        main.contains("ActiveState=active") && main.contains("NRestarts=0"),
        "{main}"
    );
    let _ = said(&["backupwatch", "uninstall"]);
    let main = said(&[
        "systemctl",
        "--user",
        "show",
        "backupwatch",
        "--property=Result,ExecMainStatus",
    ]);
    assert!(
        main.contains("Result=success") && main.contains("ExecMainStatus=0"),
        "{main}"
    );
}

fn backups(debian: &CleanRoot) -> PathBuf {
    debian.path(&format!("/home/{USER}/.local/share/backupwatch/backups"))
}

/// The user's own `status --json`, once it is as it should be.
#[track_caller]
fn wait_for(debian: &CleanRoot, what: &str, is: impl Fn(&str) -> bool) -> String {
    let begin = Instant::now();
    loop {
        let output = peers::run(
            &mut debian.user(&["backupwatch", "status", "--json"]),
            PATIENCE,
        );
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if is(&said) {
            return said;
        }
        assert!(
            begin.elapsed() < PATIENCE,
            "after {PATIENCE:?} it is still not so that {what}\n{}",
            peers::words(&output)
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}
