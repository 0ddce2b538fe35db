//! A desktop of its own: an X server nobody sees, a session bus, and a real notification daemon.

use crate::peers;
use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// Xvfb, dbus-daemon and dunst. They end when this is dropped.
#[derive(Debug)]
pub struct Desktop {
    running: Vec<Child>,
    /// `DISPLAY`
    pub display: String,
    /// `DBUS_SESSION_BUS_ADDRESS`
    pub bus: String,
}

/// Where a click hits the newest notice: dunst is told to put it into the upper left corner.
const NOTICE: (u32, u32) = (120, 30);

impl Desktop {
    /// Starts one with its files in `folder`; `None` when a part of it is missing and the skip was recorded.
    #[must_use]
    pub fn start(folder: &Path) -> Option<Self> {
        let (xvfb, dbus, dunst, _) = (
            peers::find("Xvfb")?,
            peers::find("dbus-daemon")?,
            peers::find("dunst")?,
            peers::find("xdotool")?,
        );
        let mut running = Vec::new();

        let mut server = Command::new(xvfb)
            .args([
                "-displayfd",
                "1",
                "-screen",
                "0",
                "800x600x24",
                "-nolisten",
                "tcp",
            ])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("Xvfb starts");
        let display = format!(":{}", first_line(&mut server));
        running.push(server);

        let mut daemon = Command::new(dbus)
            .args(["--session", "--nofork", "--nopidfile", "--print-address=1"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("dbus-daemon starts");
        let bus = first_line(&mut daemon);
        running.push(daemon);

        let settings = folder.join("dunstrc");
        std::fs::write(
            &settings,
            "[global]\norigin = top-left\noffset = 0x0\nwidth = 480\nheight = 300\nword_wrap = yes\nnotification_limit = 1\n\
             mouse_left_click = do_action\nshow_indicators = no\nfont = Sans 11\n\
             [urgency_normal]\ntimeout = 0\n[urgency_critical]\ntimeout = 0\n[urgency_low]\ntimeout = 0\n",
        )
        .expect("the settings can be written");
        let child = Command::new(dunst)
            .arg("-config")
            .arg(&settings)
            .env("DISPLAY", &display)
            .env("DBUS_SESSION_BUS_ADDRESS", &bus)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("dunst starts");
        running.push(child);
        let desktop = Self {
            running,
            display,
            bus,
        };
        desktop.wait("dunst answers", |desktop| {
            desktop.dunstctl(&["is-paused"]).is_some()
        });
        Some(desktop)
    }

    /// Waits until a notice is on the screen.
    pub fn wait_for_notice(&self) {
        self.wait("a notice is on the screen", |desktop| {
            desktop
                .dunstctl(&["count", "displayed"])
                .is_some_and(|count| count.trim() != "0")
        });
        // dunst counts a notice before it has drawn its window.
        self.wait("the notice's window is mapped", |desktop| {
            desktop
                .x("xdotool", &["search", "--onlyvisible", "--class", "Dunst"])
                .is_some()
        });
    }

    /// Clicks the notice, as a person would.
    pub fn click_notice(&self) {
        let (x, y) = NOTICE;
        let (x, y) = (x.to_string(), y.to_string());
        self.x("xdotool", &["mousemove", &x, &y, "click", "1"])
            .expect("xdotool clicks");
    }

    fn dunstctl(&self, args: &[&str]) -> Option<String> {
        self.x("dunstctl", args)
    }

    /// A program on this desktop; its output when it ends well.
    fn x(&self, program: &str, args: &[&str]) -> Option<String> {
        let output = Command::new(program)
            .args(args)
            .env("DISPLAY", &self.display)
            .env("DBUS_SESSION_BUS_ADDRESS", &self.bus)
            .output()
            .ok()?;
        output
            .status
            .success()
            .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn wait(&self, what: &str, mut until: impl FnMut(&Self) -> bool) {
        let begin = Instant::now();
        while !until(self) {
            assert!(
                begin.elapsed() < Duration::from_secs(30),
                "after 30 s it is still not so that {what}"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Desktop {
    fn drop(&mut self) {
        for child in self.running.iter_mut().rev() {
            // A process that has ended already is what is wanted.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn first_line(child: &mut Child) -> String {
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("its output is piped"))
        .read_line(&mut line)
        .expect("it says where it is");
    line.trim().to_owned()
}
