//! A desktop of its own: an X server nobody sees, a session bus, and a real notification daemon.
//!
//! What dunst shows is known from dunst: it hands each notice to a script of ours. Whether it is drawn is seen on the screen.

use crate::peers;
use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// Xvfb, dbus-daemon and dunst. They end when this is dropped.
#[derive(Debug)]
pub struct Desktop {
    // Ended in this order.
    dunst: Option<Child>,
    bus_daemon: Child,
    server: Child,
    folder: PathBuf,
    /// `DISPLAY`
    pub display: String,
    /// `DBUS_SESSION_BUS_ADDRESS`
    pub bus: String,
}

/// A notice as dunst has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    pub summary: String,
    pub body: String,
    /// `LOW`, `NORMAL` or `CRITICAL`.
    pub urgency: String,
}

/// An `xdg-open` that only writes down what it was given.
#[derive(Debug)]
pub struct Opener {
    list: PathBuf,
}

impl Opener {
    /// For a command of somebody who sits at this desktop; its files are below `folder`.
    #[must_use]
    pub fn at(command: &mut Command, folder: &Path, desktop: &Desktop) -> Self {
        let programs = folder.join("programs");
        fs::create_dir(&programs).expect("a folder can be made");
        let list = folder.join("opened");
        let opener = programs.join("xdg-open");
        let script = format!("#!/bin/sh\nprintf '%s\\n' \"$@\" >> '{}'\n", list.display());
        fs::write(&opener, script).expect("a script can be written");
        fs::set_permissions(&opener, fs::Permissions::from_mode(0o755))
            .expect("a script can be made to run");
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::iter::once(programs).chain(std::env::split_paths(&path));
        command
            .env("PATH", std::env::join_paths(path).expect("it is a path"))
            .env("DISPLAY", &desktop.display)
            .env("DBUS_SESSION_BUS_ADDRESS", &desktop.bus);
        Self { list }
    }

    /// Waits until something is opened, and says what.
    #[must_use]
    #[track_caller]
    pub fn opened(&self) -> String {
        let begin = Instant::now();
        loop {
            match fs::read_to_string(&self.list) {
                Ok(text) if text.ends_with('\n') => return text.trim_end().to_owned(),
                _ => assert!(begin.elapsed() < PATIENCE, "nothing is opened"),
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Where a click hits the newest notice: dunst is told to put it into the upper left corner.
const NOTICE: (u32, u32) = (120, 30);

const PATIENCE: Duration = Duration::from_secs(30);

/// A bus that starts no programs by itself: the notification service is the one that is started here, or none.
const BUS: &str =
    "<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN\" \
\"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\">
<busconfig>
  <type>session</type>
  <listen>unix:tmpdir=/tmp</listen>
  <auth>EXTERNAL</auth>
  <policy context=\"default\">
    <allow user=\"*\"/>
    <allow send_destination=\"*\" eavesdrop=\"true\"/>
    <allow eavesdrop=\"true\"/>
    <allow own=\"*\"/>
  </policy>
</busconfig>
";

impl Desktop {
    /// Starts one with its files below `folder`; `None` when a part of it is missing and the skip was recorded.
    #[must_use]
    pub fn start(folder: &Path) -> Option<Self> {
        let (xvfb, dbus, dunst) = (
            peers::find("Xvfb")?,
            peers::find("dbus-daemon")?,
            peers::find("dunst")?,
        );
        for other in ["xdotool", "import"] {
            peers::find(other)?;
        }
        let folder = folder.join("desktop");
        fs::create_dir_all(folder.join("shown")).expect("a folder can be made");

        let mut server = Command::new(xvfb)
            .args(["-displayfd", "1", "-screen", "0", "800x600x24"])
            .args(["-nolisten", "tcp"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("Xvfb starts");
        let display = format!(":{}", first_line(&mut server));

        let settings = folder.join("bus.conf");
        fs::write(&settings, BUS).expect("the settings can be written");
        let mut bus_daemon = Command::new(dbus)
            .arg("--config-file")
            .arg(&settings)
            .args(["--nofork", "--nopidfile", "--print-address=1"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("dbus-daemon starts");
        let bus = first_line(&mut bus_daemon);

        let mut desktop = Self {
            dunst: None,
            bus_daemon,
            server,
            folder,
            display,
            bus,
        };
        desktop.start_dunst(&dunst);
        Some(desktop)
    }

    fn start_dunst(&mut self, dunst: &Path) {
        let shown = self.folder.join("shown");
        // dunst calls it with: program, summary, body, icon, urgency. Written whole, then named, so that nobody reads half.
        let script = self.script(
            "show",
            &format!(
                "f='{}'/$(date +%s%N)\nprintf '%s\\0%s\\0%s' \"$2\" \"$3\" \"$5\" > \"$f.new\" && mv \"$f.new\" \"$f\"\n",
                shown.display()
            ),
        );
        // dunst's menu of actions: their lines come in, the chosen one goes out.
        let menu = self.script(
            "menu",
            &format!(
                "grep -m 1 -F \"$(cat '{}')\"\n",
                self.folder.join("wish").display()
            ),
        );
        let settings = self.folder.join("dunstrc");
        let text = format!(
            "[global]\norigin = top-left\noffset = 0x0\nwidth = 480\nheight = 300\nnotification_limit = 3\n\
             mouse_left_click = do_action, close_current\nmouse_right_click = context\nshow_indicators = no\nfont = Sans 11\n\
             dmenu = {}\n\
             [urgency_normal]\ntimeout = 0\n[urgency_critical]\ntimeout = 0\n[urgency_low]\ntimeout = 0\n\
             [all]\nsummary = \"*\"\nscript = {}\n",
            menu.display(),
            script.display()
        );
        fs::write(&settings, text).expect("the settings can be written");
        let child = Command::new(dunst)
            .arg("-config")
            .arg(&settings)
            .env("HOME", &self.folder)
            .env("DISPLAY", &self.display)
            .env("DBUS_SESSION_BUS_ADDRESS", &self.bus)
            .env_remove("WAYLAND_DISPLAY")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("dunst starts");
        self.dunst = Some(child);
        self.wait("dunst answers", |desktop| {
            desktop.run("dunstctl", &["is-paused"])
        });
    }

    /// The notification service ends; the desktop goes on without one.
    pub fn end_dunst(&mut self) {
        if let Some(mut dunst) = self.dunst.take() {
            end(&mut dunst);
        }
    }

    /// Waits until a notice with these words in its title is the one on the screen, with letters in its window.
    #[track_caller]
    pub fn wait_for_notice(&self, words: &str) -> Shown {
        let begin = Instant::now();
        let (summary, body, urgency) = loop {
            let last = self.all().pop();
            match last {
                Some(last) if last.0.contains(words) => break last,
                _ => assert!(
                    begin.elapsed() < PATIENCE,
                    "after {PATIENCE:?} there is no “{words}” among {:?}",
                    self.all()
                ),
            }
            std::thread::sleep(Duration::from_millis(50));
        };
        // dunst has a notice before it has drawn its window.
        let window = self.wait("the notice's window is mapped", |desktop| {
            desktop.run("xdotool", &["search", "--onlyvisible", "--class", "Dunst"])
        });
        let window = window.lines().next().unwrap_or_default();
        // Letters have edges in many shades; an empty frame has three colours.
        self.wait("the notice has letters", |desktop| {
            let colours = desktop.run("import", &["-window", window, "-format", "%k", "info:"])?;
            colours
                .trim()
                .parse()
                .ok()
                .filter(|count: &u32| *count > 16)
        });
        Shown {
            summary,
            body,
            urgency,
        }
    }

    /// Clicks the notice, as a person would.
    pub fn click_notice(&self) {
        self.click("1");
    }

    /// Opens the menu of the notice's actions and takes the one with this label.
    pub fn choose(&self, label: &str) {
        fs::write(self.folder.join("wish"), label).expect("a wish can be written");
        self.click("3");
    }

    fn click(&self, button: &str) {
        let (x, y) = NOTICE;
        let (x, y) = (x.to_string(), y.to_string());
        self.run("xdotool", &["mousemove", &x, &y, "click", button])
            .expect("xdotool clicks");
    }

    /// Clicks the first item of a panel at the upper edge, and waits until its menu is on the screen.
    pub fn open_menu(&self) {
        let menus = |desktop: &Self| desktop.run("xwininfo", &["-root", "-tree"]);
        let before = menus(self);
        self.run("xdotool", &["mousemove", "14", "14", "click", "1"])
            .expect("xdotool clicks");
        self.wait("a menu opens", |desktop| {
            (menus(desktop) != before).then_some(())
        });
        // It is mapped before it is drawn.
        std::thread::sleep(Duration::from_millis(500));
    }

    /// Presses a key, by its name in X.
    pub fn press(&self, key: &str) {
        self.run("xdotool", &["key", key]).expect("xdotool types");
        std::thread::sleep(Duration::from_millis(300));
    }

    /// The whole screen as a picture.
    pub fn screenshot(&self, file: &Path) {
        let file = file.to_string_lossy();
        self.run("import", &["-window", "root", &file])
            .expect("the screen can be taken");
    }

    /// Every notice that dunst was given: title, text and urgency, oldest first.
    #[must_use]
    pub fn all(&self) -> Vec<(String, String, String)> {
        let mut files: Vec<PathBuf> = fs::read_dir(self.folder.join("shown"))
            .expect("the folder can be listed")
            .map(|entry| entry.expect("the folder can be listed").path())
            .filter(|path| path.extension().is_none())
            .collect();
        files.sort();
        files
            .iter()
            .map(|file| {
                let text = fs::read_to_string(file).expect("a notice can be read");
                let mut parts = text.split('\0').map(str::to_owned);
                let mut part = || parts.next().unwrap_or_default();
                (part(), part(), part())
            })
            .collect()
    }

    /// Notices on the screen now.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.run("dunstctl", &["count", "displayed"])
            .and_then(|count| count.trim().parse().ok())
            .expect("dunst counts")
    }

    fn script(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}")).expect("a script can be written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
            .expect("a script can be made to run");
        path
    }

    /// A program on this desktop; its output when it ends well.
    pub(crate) fn run(&self, program: &str, args: &[&str]) -> Option<String> {
        let output = Command::new(program)
            .args(args)
            .env("DISPLAY", &self.display)
            .env("DBUS_SESSION_BUS_ADDRESS", &self.bus)
            .stdin(Stdio::null())
            .output()
            .ok()?;
        output
            .status
            .success()
            .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    #[track_caller]
    pub(crate) fn wait<T>(&self, what: &str, until: impl Fn(&Self) -> Option<T>) -> T {
        let begin = Instant::now();
        loop {
            if let Some(there) = until(self) {
                return there;
            }
            assert!(
                begin.elapsed() < PATIENCE,
                "after {PATIENCE:?} it is still not so that {what}"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Desktop {
    fn drop(&mut self) {
        self.end_dunst();
        end(&mut self.bus_daemon);
        end(&mut self.server);
    }
}

pub(crate) fn end(child: &mut Child) {
    // A process that has ended already is what is wanted. SIGTERM first: Xvfb removes its lock file then.
    let _ = Command::new("kill").arg(child.id().to_string()).status();
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(2) {
        if child.try_wait().is_ok_and(|ended| ended.is_some()) {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let _ = child.kill();
    let _ = child.wait();
}

fn first_line(child: &mut Child) -> String {
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("its output is piped"))
        .read_line(&mut line)
        .expect("it says where it is");
    line.trim().to_owned()
}
