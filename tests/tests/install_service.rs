//! From a program to a service and back, by a real systemd of a real login: what a person types, and what they find then.

#![cfg(target_os = "linux")]

use backupwatch_e2e::{
    agent::Agent,
    binary,
    desktop::Desktop,
    peers, schema,
    table::{PATIENCE, Said, Table, persona},
    user_manager::{self, UserManager},
};
use serde_json::Value;
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

/// Somebody's computer: a home, and the program in a folder that is not a temporary one.
struct Computer {
    home: tempfile::TempDir,
    _programs: tempfile::TempDir,
    program: PathBuf,
}

impl Computer {
    /// The program is in a folder of this name.
    fn with_program_in(folder: &str) -> Self {
        let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
        fs::create_dir_all(&target).unwrap();
        let programs = tempfile::tempdir_in(target.canonicalize().unwrap()).unwrap();
        let folder = programs.path().join(folder);
        fs::create_dir_all(&folder).unwrap();
        let program = folder.join("backupwatch");
        fs::copy(binary::path(), &program).unwrap();
        Self {
            home: tempfile::tempdir().unwrap(),
            _programs: programs,
            program,
        }
    }

    fn home(&self) -> &Path {
        self.home.path()
    }

    /// Typed at a login.
    fn types(&self, arguments: &[&str]) -> Said {
        self.types_to(&self.program, arguments)
    }

    fn types_to(&self, program: &Path, arguments: &[&str]) -> Said {
        let mut command = user_manager::typed(program);
        command
            .env_clear()
            .env("HOME", self.home())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("XDG_RUNTIME_DIR", user_manager::runtime(self.home()))
            .args(arguments);
        peers::run(&mut command, PATIENCE).into()
    }

    /// The document that is printed.
    #[track_caller]
    fn asks(&self, arguments: &[&str]) -> Value {
        let said = self.types(arguments);
        serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{said:?}"))
    }

    fn unit(&self) -> PathBuf {
        self.home().join(".config/systemd/user/backupwatch.service")
    }

    fn state(&self) -> PathBuf {
        self.home().join(".local/state/backupwatch")
    }
}

#[track_caller]
fn pid(document: &Value) -> u64 {
    document["agent"]["pid"]
        .as_u64()
        .unwrap_or_else(|| panic!("{document:#}"))
}

#[test]
fn a_service_from_its_first_run_to_its_end() {
    let computer = Computer::with_program_in("my programs");
    let Some(login) = UserManager::log_in(computer.home(), &[]) else {
        return;
    };
    // Somebody tries another agent by hand, on another state.
    let other = Table::of(Vec::new());
    let by_hand = Agent::start(&other);

    let first = computer.types(&["install"]);
    assert!(first.ok(), "{first:?}");
    for words in [
        "The agent runs now",
        "reads when its last iCloud backup ended",
        "you hear nothing",
        "makes a local backup in",
        "backupwatch pair",
        "Nothing leaves this computer",
        "A test notice could not be shown",
    ] {
        assert!(first.out.contains(words), "{words}: {first:?}");
    }
    let unit = fs::read_to_string(computer.unit()).unwrap();
    assert!(unit.contains(computer.program.to_str().unwrap()), "{unit}");
    let mode = fs::metadata(computer.unit()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644);
    assert_eq!(
        login.systemctl(&["is-enabled", "backupwatch"]).out.trim(),
        "enabled"
    );
    assert_eq!(
        login.systemctl(&["is-active", "backupwatch"]).out.trim(),
        "active"
    );

    let status = computer.asks(&["agent", "status", "--json"]);
    assert_eq!(status["manager"], "systemd");
    assert_eq!(status["service"], "running");
    assert_eq!(status["unit"], computer.unit().to_str().unwrap());
    assert_eq!(status["program"], computer.program.to_str().unwrap());
    assert_eq!(status["service_pid"].as_u64(), Some(pid(&status)));

    // A second time there is nothing to do, and nobody is disturbed.
    let written = fs::metadata(computer.unit()).unwrap().modified().unwrap();
    let again = computer.asks(&["install", "--json"]);
    assert_eq!(
        (&again["wrote"], &again["started"], &again["notice"]),
        (&"unchanged".into(), &"before".into(), &Value::Null)
    );
    assert_eq!(pid(&again), pid(&status));
    assert_eq!(
        fs::metadata(computer.unit()).unwrap().modified().unwrap(),
        written
    );

    let restarted = computer.asks(&["restart", "--json"]);
    assert_eq!(restarted["started"], "now");
    assert_ne!(pid(&restarted), pid(&status));

    let gone = computer.asks(&["uninstall", "--json"]);
    assert_eq!(gone["removed"][0], computer.unit().to_str().unwrap());
    assert!(gone["agent"].is_null(), "{gone:#}");
    schema::assert_hold(&[
        ("install".to_owned(), again),
        ("agent-status".to_owned(), status),
        ("restart".to_owned(), restarted),
        ("uninstall".to_owned(), gone.clone()),
    ]);
    assert!(!computer.unit().exists());
    let left: Vec<&str> = gone["left"]
        .as_array()
        .unwrap()
        .iter()
        .map(|left| left["what"].as_str().unwrap())
        .collect();
    // The place for backups has its mark already.
    assert_eq!(left, ["backups", "state"]);
    let status = computer.types(&["agent", "status", "--json"]);
    assert_eq!(status.code, Some(5), "{status:?}");
    assert!(status.out.contains("\"not_loaded\""), "{status:?}");
    let units = login.systemctl(&["list-unit-files", "backupwatch.service"]);
    assert!(units.out.contains("0 unit files"), "{units:?}");
    let nothing = computer.types(&["restart"]);
    assert_eq!(nothing.code, Some(2), "{nothing:?}");
    assert!(nothing.err.contains("backupwatch install"), "{nothing:?}");

    let purged = computer.types(&["uninstall", "--purge"]);
    assert!(
        purged.ok() && purged.out.contains("Backups are never removed"),
        "{purged:?}"
    );
    assert!(!computer.state().exists());
    by_hand.end();
}

/// Where nobody is logged in the service is prepared, and the next login starts it.
#[test]
fn a_service_that_waits_for_the_next_login() {
    let computer = Computer::with_program_in("bin");
    if peers::find("systemctl").is_none() {
        return;
    }
    let installed = computer.asks(&["install", "--json"]);
    assert_eq!(installed["started"], "at_login", "{installed:#}");
    assert!(
        installed["why"]
            .as_str()
            .unwrap()
            .contains("no systemd runs"),
        "{installed:#}"
    );
    let said = computer.types(&["install"]);
    assert!(
        said.ok() && said.out.contains("starts at your next login"),
        "{said:?}"
    );

    let Some(_login) = UserManager::log_in(computer.home(), &[]) else {
        return;
    };
    let begin = Instant::now();
    loop {
        let status = computer.types(&["agent", "status", "--json"]);
        if status.ok() {
            assert!(status.out.contains("\"running\""), "{status:?}");
            break;
        }
        assert!(begin.elapsed() < PATIENCE, "{status:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
    let gone = computer.types(&["uninstall"]);
    assert!(gone.ok(), "{gone:?}");
    assert!(gone.out.contains("no longer started at login"), "{gone:?}");
    assert!(
        gone.out.contains(computer.state().to_str().unwrap()),
        "{gone:?}"
    );
}

/// The service finds the phone and the desktop of the person, shows the test notice, and leaves every backup when it goes.
#[test]
fn a_service_shows_a_notice_and_leaves_the_backups() {
    let computer = Computer::with_program_in("bin");
    let phone = persona("stale-58-days");
    let table = Table::unix(phone);
    let Some(desktop) = Desktop::start(table.home()) else {
        return;
    };
    let environment = [
        ("DISPLAY", desktop.display.as_str()),
        ("DBUS_SESSION_BUS_ADDRESS", desktop.bus.as_str()),
    ];
    let Some(_login) = UserManager::log_in(computer.home(), &environment) else {
        return;
    };
    let address = table.home().join("usbmuxd");
    fs::write(
        table.config(),
        format!(
            "page.port = 0\nnotify.quiet = \"off\"\nbackup.quiet = \"off\"\nusbmuxd.address = \"{}\"\n",
            address.display()
        ),
    )
    .unwrap();
    let (config, state) = (table.config(), table.state());
    let of_table = |arguments: &[&'static str]| {
        let places = [
            "--config",
            config.to_str().unwrap(),
            "--state-dir",
            state.to_str().unwrap(),
        ];
        computer.types(&[&places, arguments].concat())
    };

    let installed = of_table(&["install"]);
    assert!(installed.ok(), "{installed:?}");
    assert!(
        installed.out.contains("A test notice was shown"),
        "{installed:?}"
    );
    assert!(!desktop.all().is_empty());
    let notice = desktop.wait_for_notice("is backed up to this computer");
    assert!(notice.body.contains("checked on this disk"), "{notice:?}");

    let gone = of_table(&["uninstall", "--purge"]);
    assert!(gone.ok(), "{gone:?}");
    assert!(gone.out.contains("Backups are never removed"), "{gone:?}");
    assert!(
        !config.exists() && !state.join("state.db").exists(),
        "{gone:?}"
    );
    let verdict = table.phone().verdict(&state.join("backups"));
    assert!(verdict.is_whole(), "{verdict}");
}

/// The very file that is written, looked at by systemd: with names in it that mean something to systemd.
#[test]
fn systemd_finds_no_fault_with_the_unit() {
    let Some(analyze) = peers::find("systemd-analyze") else {
        return;
    };
    for folder in ["bin", "100% & my $HOME {x} [y]; <z> ü %h"] {
        let computer = Computer::with_program_in(folder);
        let state = computer.home().join("a $HOME of 5% \"x\"");
        let said = computer.types(&["--state-dir", state.to_str().unwrap(), "install"]);
        assert!(said.ok(), "{said:?}");
        let verify = || -> Said {
            let mut command = Command::new(&analyze);
            command
                .args(["--user", "--man=no", "--recursive-errors=no", "verify"])
                .arg(computer.unit())
                .env_clear()
                .env("HOME", computer.home())
                .env("XDG_RUNTIME_DIR", computer.home());
            peers::run(&mut command, PATIENCE).into()
        };
        let verdict = verify();
        assert_eq!(
            (verdict.code, verdict.all().trim()),
            (Some(0), ""),
            "{folder}"
        );
        // It would have said so: the program has to be where the unit says it is.
        fs::remove_file(&computer.program).unwrap();
        let verdict = verify();
        assert!(verdict.all().contains("is not executable"), "{verdict:?}");
    }
}

/// systemd starts nothing whose path has a quote in it, however it is written.
#[test]
fn a_program_that_systemd_cannot_start_is_refused() {
    if peers::find("systemctl").is_none() {
        return;
    }
    let computer = Computer::with_program_in("Ada's \"programs\"");
    let said = computer.types(&["install"]);
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(
        said.err.contains("quotes") && !computer.unit().exists(),
        "{said:?}"
    );
}

#[test]
fn what_cannot_be_installed_is_said_and_nothing_is_written() {
    if peers::find("systemctl").is_none() {
        return;
    }
    let computer = Computer::with_program_in("bin");
    // A program in a temporary folder.
    let copy = computer.home().join("backupwatch");
    fs::copy(&computer.program, &copy).unwrap();
    let said = computer.types_to(&copy, &["install", "--json"]);
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(said.out.contains("\"temporary\""), "{said:?}");
    assert!(!computer.unit().exists());

    // A configuration with which the agent could not start; what is installed goes all the same.
    let config = computer.home().join(".config/backupwatch/config.toml");
    fs::create_dir_all(config.parent().unwrap()).unwrap();
    assert!(computer.types(&["install"]).ok());
    fs::write(&config, "icloud.stael = 3\n").unwrap();
    let said = computer.types(&["uninstall", "--purge"]);
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(
        said.err.contains("nothing was removed") && computer.unit().exists(),
        "{said:?}"
    );
    let said = computer.types(&["uninstall"]);
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(
        said.err.contains("The service is removed") && !computer.unit().exists(),
        "{said:?}"
    );
    let said = computer.types(&["install"]);
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(!computer.unit().exists());
    fs::remove_file(&config).unwrap();

    // Somebody's own unit.
    fs::write(computer.unit(), "[Service]\nExecStart=/bin/mine\n").unwrap();
    for verb in ["install", "uninstall"] {
        let said = computer.types(&[verb]);
        assert_eq!(said.code, Some(2), "{said:?}");
        assert!(
            said.err.contains("was not written by backupwatch"),
            "{said:?}"
        );
    }
    assert!(
        fs::read_to_string(computer.unit())
            .unwrap()
            .contains("/bin/mine")
    );
}
