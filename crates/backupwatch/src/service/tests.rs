//! What is asked of the managers, and what becomes of their answers: stories on fakes that behave as the real ones do in the cases
//! that are documented as odd. A transcript tells each order with its exit code.

mod fake_launchd;
mod fake_systemd;

use super::*;
use fake_launchd::Launchd;
use fake_systemd::Systemd;
use std::{fs, time::Duration};
use tempfile::TempDir;

/// A home, and what is told of it.
struct Story {
    home: TempDir,
    place: Place,
    program: PathBuf,
}

impl Story {
    fn on(manager: Manager) -> Self {
        let home = tempfile::tempdir().unwrap();
        let (system, folder) = match manager {
            Manager::Launchd => (Kind::MacOs, "Library"),
            Manager::Systemd => (Kind::Xdg, ".config"),
        };
        fs::create_dir(home.path().join(folder)).unwrap();
        let base = Base {
            system,
            home: home.path().to_owned(),
            config: home.path().join(".config"),
            state: home.path().join(".local/state"),
            data: home.path().join(".local/share"),
            runtime: None,
            uid: 501,
        };
        let mut place = Place::of(&base);
        place.package = place
            .package
            .map(|_| home.path().join("package/backupwatch.service"));
        let program = home.path().join("bin/backupwatch");
        Self {
            home,
            place,
            program,
        }
    }

    fn wanted(&self, options: &[&str]) -> Wanted {
        Wanted {
            program: self.program.clone(),
            options: options.iter().map(|&word| word.to_owned()).collect(),
            logs: self.home.path().join("Library/Logs/backupwatch"),
        }
    }

    fn install(&self, port: &impl Port) -> String {
        self.say(install_by(port, &self.place, &self.wanted(&[])))
    }

    /// The same after the program was moved.
    fn install_moved(&self, port: &impl Port) -> String {
        let wanted = Wanted {
            program: self.home.path().join("elsewhere/backupwatch"),
            ..self.wanted(&[])
        };
        self.say(install_by(port, &self.place, &wanted))
    }

    fn uninstall(&self, port: &impl Port) -> String {
        self.say(uninstall_by(port, &self.place))
    }

    fn restart(&self, port: &impl Port) -> String {
        self.say(restart_by(port, &self.place))
    }

    fn look(&self, port: &impl Port) -> String {
        self.told(&format!("= {:?}\n", look_by(port, &self.place)))
    }

    fn say<T: std::fmt::Debug>(&self, result: Result<T, Failure>) -> String {
        self.told(&match result {
            Ok(done) => format!("= {done:?}\n"),
            Err(failure) => format!("! {} [{}]\n", failure.words(), failure.error),
        })
    }

    fn told(&self, text: &str) -> String {
        text.replace(self.home.path().to_str().unwrap(), "~")
    }

    /// What was asked, and what came of it. Waiting is told once.
    fn tell(&self, name: &str, asked: Vec<String>, result: &str) -> String {
        let mut lines: Vec<String> = Vec::new();
        for line in asked {
            lines.push(format!("  {line}\n"));
            let again = lines.len().checked_sub(4);
            if let Some(again) = again.filter(|at| lines[*at..at + 2] == lines[at + 2..]) {
                lines.truncate(again + 2);
            }
        }
        format!("{name}\n{}{result}\n", self.told(&lines.concat()))
    }
}

/// One story: what is so at the beginning, and what is done.
type Case<'c, F> = (&'c str, fn(&Story, &mut F), &'c [&'c str]);

fn launchd_stories(cases: &[Case<'_, Launchd>]) -> String {
    let mut all = String::new();
    for (name, arrange, verbs) in cases {
        let story = Story::on(Manager::Launchd);
        let mut fake = Launchd::of(story.place.uid);
        arrange(&story, &mut fake);
        fake.asked();
        for verb in *verbs {
            let said = tell_one(&story, &fake, verb);
            all.push_str(&story.tell(&format!("{name}: {verb}"), fake.asked(), &said));
        }
    }
    all
}

fn tell_one(story: &Story, port: &impl Port, verb: &str) -> String {
    match verb {
        "install" => story.install(port),
        "install moved" => story.install_moved(port),
        "uninstall" => story.uninstall(port),
        "restart" => story.restart(port),
        "look" => story.look(port),
        other => panic!("no such verb: {other}"),
    }
}

#[test]
fn launchd_is_asked_as_its_odd_answers_need_it() {
    let cases: &[Case<'_, Launchd>] = &[
        (
            "first run",
            |_, _| {},
            &[
                "install",
                "look",
                "install",
                "restart",
                "uninstall",
                "look",
                "uninstall",
            ],
        ),
        (
            "the program has moved, and the agent takes a second to end",
            |story, fake| {
                story.install(fake);
                fake.ends_in(Duration::from_secs(1));
            },
            &["install moved", "look"],
        ),
        (
            "print no longer knows it, and bootstrap still does",
            |story, fake| {
                story.install(fake);
                fake.busy_for(3);
            },
            &["install moved"],
        ),
        (
            "somebody switched it off, as it is said since macOS 14",
            |_, fake| fake.switch_off("disabled"),
            &["look", "install", "look"],
        ),
        (
            "somebody switched it off, as it was said before",
            |_, fake| fake.switch_off("true"),
            &["look", "install"],
        ),
        (
            "it was ended by hand and stays installed",
            |story, fake| {
                story.install(fake);
                fake.boot_out();
            },
            &["look", "restart"],
        ),
        (
            "it crashes at once and waits for its next start",
            |story, fake| {
                story.install(fake);
                fake.crash();
            },
            &["look", "install"],
        ),
        (
            "nobody sits at the screen",
            |_, fake| fake.leave(),
            &["look", "install", "uninstall"],
        ),
        (
            "bootstrap never works",
            |_, fake| fake.busy_for(99),
            &["install"],
        ),
        (
            "it never ends",
            |story, fake| {
                story.install(fake);
                fake.ends_in(Duration::from_secs(3600));
            },
            &["uninstall", "look"],
        ),
        (
            "there is no launchctl",
            |_, fake| fake.remove(),
            &["look", "install"],
        ),
        (
            "somebody removed its file while it ran",
            |story, fake| {
                story.install(fake);
                fs::remove_file(&story.place.unit).unwrap();
            },
            &["uninstall", "look"],
        ),
        (
            "it is not installed",
            |_, _| {},
            &["look", "restart", "uninstall"],
        ),
    ];
    insta::assert_snapshot!("launchd", launchd_stories(cases));
}

fn systemd_stories(cases: &[Case<'_, Systemd>]) -> String {
    let mut all = String::new();
    for (name, arrange, verbs) in cases {
        let story = Story::on(Manager::Systemd);
        let mut fake = Systemd::of(&story.place.unit, story.place.package.as_deref());
        arrange(&story, &mut fake);
        fake.asked();
        for verb in *verbs {
            let said = tell_one(&story, &fake, verb);
            all.push_str(&story.tell(&format!("{name}: {verb}"), fake.asked(), &said));
        }
    }
    all
}

#[test]
fn systemd_is_asked_as_its_odd_answers_need_it() {
    let cases: &[Case<'_, Systemd>] = &[
        (
            "first run",
            |_, _| {},
            &[
                "install",
                "look",
                "install",
                "restart",
                "uninstall",
                "look",
                "uninstall",
            ],
        ),
        (
            "the program has moved",
            |story, fake| {
                story.install(fake);
            },
            &["install moved", "look"],
        ),
        (
            "somebody switched it off",
            |story, fake| {
                story.install(fake);
                fake.switch_off();
            },
            &["look", "install", "look"],
        ),
        (
            "it crashed too often",
            |story, fake| {
                story.install(fake);
                fake.crash();
            },
            &["look", "install"],
        ),
        (
            "no manager runs for this user",
            |_, fake| fake.leave("Failed to connect to bus: No medium found"),
            &["look", "install", "look", "install", "restart", "uninstall"],
        ),
        (
            "the computer was not started by systemd",
            |_, fake| {
                fake.leave("System has not been booted with systemd as init system (PID 1). Can't operate.")
            },
            &["install"],
        ),
        (
            "there is no systemd",
            |_, fake| fake.remove(),
            &["look", "install"],
        ),
        (
            "the manager looks for units elsewhere",
            |_, fake| fake.look_elsewhere(),
            &["install"],
        ),
        (
            "the program cannot be started",
            |_, fake| fake.break_program(),
            &["install"],
        ),
        (
            "the unit came with the package",
            |story, _| {
                let text = unit::render(Manager::Systemd, &story.wanted(&[])).unwrap();
                unit::write(story.place.package.as_deref().unwrap(), &text).unwrap();
            },
            &["install", "look", "install", "uninstall", "look"],
        ),
        (
            "the package’s unit starts another program",
            |story, _| {
                let text = unit::render(Manager::Systemd, &story.wanted(&[])).unwrap();
                unit::write(story.place.package.as_deref().unwrap(), &text).unwrap();
            },
            &["install moved"],
        ),
        (
            "somebody removed its file while it ran",
            |story, fake| {
                story.install(fake);
                fs::remove_file(&story.place.unit).unwrap();
            },
            &["uninstall", "look"],
        ),
        (
            "it is not installed",
            |_, _| {},
            &["look", "restart", "uninstall"],
        ),
    ];
    insta::assert_snapshot!("systemd", systemd_stories(cases));
}

/// What another program or person wrote is neither changed nor removed, and nobody is asked anything.
#[test]
fn a_file_of_somebody_else_is_left_alone() {
    for (text, error) in [
        ("<plist><dict/></plist>", "foreign"),
        ("", "foreign"),
        (
            "<plist version=\"1.0\"><dict><key>ProgramArguments</key><array><string>/opt/homebrew/opt/backupwatch/Backupwatch.app/Contents/MacOS/backupwatch</string></array></dict></plist>",
            "homebrew",
        ),
    ] {
        let story = Story::on(Manager::Launchd);
        unit::write(&story.place.unit, text).unwrap();
        let fake = Launchd::of(501);
        let installed = install_by(&fake, &story.place, &story.wanted(&[])).unwrap_err();
        let uninstalled = uninstall_by(&fake, &story.place).unwrap_err();
        assert_eq!((installed.error, uninstalled.error), (error, error));
        assert_eq!(fs::read_to_string(&story.place.unit).unwrap(), text);
        assert_eq!(fake.asked(), [""; 0]);
        if error == "homebrew" {
            let next = [installed, uninstalled].map(|failure| failure.next.unwrap());
            let verbs =
                ["start", "stop"].map(|verb| format!("Run `brew services {verb} backupwatch`."));
            assert_eq!(next, verbs);
        }
    }
}

#[test]
fn the_options_of_the_call_travel_with_the_service() {
    let story = Story::on(Manager::Systemd);
    let fake = Systemd::of(&story.place.unit, None);
    let wanted = story.wanted(&["--state-dir", "/home/ada/my state"]);
    install_by(&fake, &story.place, &wanted).unwrap();
    let text = fs::read_to_string(&story.place.unit).unwrap();
    let line = text
        .lines()
        .find(|line| line.starts_with("ExecStart="))
        .unwrap();
    assert!(
        line.ends_with(" agent \"--state-dir\" \"/home/ada/my state\""),
        "{line}"
    );
    // And go with it again.
    let (wrote, _, _) = install_by(&fake, &story.place, &story.wanted(&[])).unwrap();
    assert_eq!(wrote, Wrote::Changed);
}

#[test]
fn the_service_is_of_the_person_at_the_screen() {
    let home = tempfile::tempdir().unwrap();
    let mine = fs::metadata(home.path()).unwrap().uid();
    let judge = |system, uid| {
        let base = Base {
            system,
            home: home.path().to_owned(),
            config: home.path().to_owned(),
            state: home.path().to_owned(),
            data: home.path().to_owned(),
            runtime: None,
            uid,
        };
        Place::of(&base)
            .belongs_to_its_user(&base)
            .map_err(|failure| failure.error)
    };
    assert_eq!(judge(Kind::MacOs, 0), Err("wrong_user"));
    assert_eq!(judge(Kind::Xdg, mine), Ok(()));
    for system in [Kind::MacOs, Kind::Xdg] {
        assert_eq!(
            judge(system, mine + 1),
            Err("wrong_user"),
            "sudo with this home"
        );
    }
}
