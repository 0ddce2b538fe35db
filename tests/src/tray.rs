//! A panel with a place for items: Xfce's, which nobody here wrote, with a DBusMenu of its own. And `busctl`, which asks the item
//! what any panel asks it.

use crate::{
    desktop::{Desktop, end},
    peers,
    table::PATIENCE,
};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// xfce4-panel, with nothing in it but the place for items. It ends when this is dropped.
#[derive(Debug)]
pub struct Panel {
    panel: Child,
    settings: Child,
}

/// One panel along the upper edge of the screen.
const SETTINGS: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<channel name="xfce4-panel" version="1.0">
  <property name="configver" type="int" value="2"/>
  <property name="panels" type="array">
    <value type="int" value="1"/>
    <property name="dark-mode" type="bool" value="true"/>
    <property name="panel-1" type="empty">
      <property name="position" type="string" value="p=6;x=0;y=0"/>
      <property name="length" type="double" value="100"/>
      <property name="size" type="uint" value="28"/>
      <property name="icon-size" type="uint" value="22"/>
      <property name="position-locked" type="bool" value="true"/>
      <property name="plugin-ids" type="array"><value type="int" value="1"/></property>
    </property>
  </property>
  <property name="plugins" type="empty">
    <property name="plugin-1" type="string" value="systray">
      <property name="square-icons" type="bool" value="true"/>
    </property>
  </property>
</channel>
"#;

/// Where Debian and Arch keep the daemon that the panel reads its settings from; it is on no PATH.
const XFCONFD: [&str; 3] = [
    "/usr/lib/x86_64-linux-gnu/xfce4/xfconf/xfconfd",
    "/usr/lib/aarch64-linux-gnu/xfce4/xfconf/xfconfd",
    "/usr/lib/xfce4/xfconf/xfconfd",
];

const WATCHER: [&str; 3] = [
    "org.kde.StatusNotifierWatcher",
    "/StatusNotifierWatcher",
    "org.kde.StatusNotifierWatcher",
];

impl Panel {
    /// Whether there is one here; `false` when the skip was recorded.
    #[must_use]
    pub fn is_here() -> bool {
        peers::find("xfce4-panel").is_some() && peers::find("busctl").is_some()
    }

    /// Starts it on this desktop, with its files below `folder`, and waits until it takes items.
    #[must_use]
    pub fn start(desktop: &Desktop, folder: &Path) -> Self {
        let folder = folder.join("panel");
        let channels = folder.join("xfce4/xfconf/xfce-perchannel-xml");
        fs::create_dir_all(&channels).expect("a folder can be made");
        fs::write(channels.join("xfce4-panel.xml"), SETTINGS).expect("it can be written");
        let xfconfd = XFCONFD.iter().map(PathBuf::from).find(|path| path.exists());
        let settings = spawn(
            desktop,
            &folder,
            Command::new(xfconfd.expect("xfconf has its daemon")),
        );
        desktop.wait("the panel's settings are there", |desktop| {
            desktop.run(
                "busctl",
                &["--address", &desktop.bus, "status", "org.xfce.Xfconf"],
            )
        });
        let mut panel = Command::new("xfce4-panel");
        // Else it waits for a window manager, and asks the session whether it may begin.
        panel.args(["--disable-wm-check", "--sm-client-disable"]);
        let panel = Self {
            panel: spawn(desktop, &folder, panel),
            settings,
        };
        desktop.wait("the panel takes items", |desktop| {
            let name = WATCHER[0];
            desktop.run("busctl", &["--address", &desktop.bus, "status", name])
        });
        panel
    }
}

impl Drop for Panel {
    fn drop(&mut self) {
        end(&mut self.panel);
        end(&mut self.settings);
    }
}

fn spawn(desktop: &Desktop, folder: &Path, mut command: Command) -> Child {
    command
        .env("HOME", folder)
        .env("XDG_CONFIG_HOME", folder)
        .env("XDG_CACHE_HOME", folder.join("cache"))
        .env("DISPLAY", &desktop.display)
        .env("DBUS_SESSION_BUS_ADDRESS", &desktop.bus)
        .env("NO_AT_BRIDGE", "1")
        .env_remove("WAYLAND_DISPLAY")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a part of the panel starts")
}

/// Our item, as a panel sees it.
#[derive(Debug)]
pub struct Item<'d> {
    desktop: &'d Desktop,
    name: String,
}

/// One line of its menu.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub id: i64,
    /// Empty for a separator.
    pub label: String,
    pub enabled: bool,
    /// A menu of its own.
    pub own: Vec<Line>,
}

impl<'d> Item<'d> {
    /// The one item, once the panel has it.
    #[must_use]
    #[track_caller]
    pub fn wait(desktop: &'d Desktop) -> Self {
        let name = desktop.wait("the panel has the item", |desktop| {
            let [name, path, interface] = WATCHER;
            let property = "RegisteredStatusNotifierItems";
            let items = ask(desktop, &["get-property", name, path, interface, property])?;
            let item = items["data"].get(0)?.as_str()?;
            // A name, and the path behind it.
            Some(item.split('/').next()?.to_owned())
        });
        Self { desktop, name }
    }

    /// What it says of itself, without its menu.
    #[must_use]
    #[track_caller]
    pub fn title(&self) -> String {
        let title = self.property("Title");
        title["data"].as_str().expect("a title is text").to_owned()
    }

    /// The pixels of its glyph, in every size.
    #[must_use]
    #[track_caller]
    pub fn glyph(&self) -> Value {
        self.property("IconPixmap")
    }

    #[track_caller]
    fn property(&self, property: &str) -> Value {
        let (path, interface) = ("/StatusNotifierItem", "org.kde.StatusNotifierItem");
        let args = ["get-property", &self.name, path, interface, property];
        ask(self.desktop, &args).expect("the item answers")
    }

    /// The menu, top to bottom.
    #[must_use]
    #[track_caller]
    pub fn lines(&self) -> Vec<Line> {
        let menu = self.menu(&["GetLayout", "iias", "0", "-1", "0"]);
        line(&menu.expect("the menu answers")["data"][1]).own
    }

    /// The first line that is so, also in a device's own menu, once there is one.
    #[track_caller]
    pub fn when(&self, what: &str, is: impl Fn(&Line) -> bool) -> Line {
        let begin = Instant::now();
        loop {
            let lines = self.lines();
            let own = lines.iter().flat_map(|line| &line.own);
            if let Some(line) = lines.iter().chain(own).find(|line| is(line)) {
                return line.clone();
            }
            assert!(
                begin.elapsed() < PATIENCE,
                "after {PATIENCE:?} it is still not so that {what}: {lines:#?}"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Takes the line with these words, as a click in a panel does.
    #[track_caller]
    pub fn choose(&self, label: &str) {
        let line = self.when(&format!("“{label}” is offered"), |line| {
            line.label == label && line.enabled
        });
        let id = line.id.to_string();
        self.menu(&["Event", "isvu", &id, "clicked", "s", "", "0"])
            .expect("the item takes a click");
    }

    fn menu(&self, call: &[&str]) -> Option<Value> {
        let mut args = vec!["call", &self.name, "/MenuBar", "com.canonical.dbusmenu"];
        args.extend(call);
        ask(self.desktop, &args)
    }
}

fn line(layout: &Value) -> Line {
    let properties = &layout[1];
    let own = layout[2].as_array().expect("a line has its own lines");
    Line {
        id: layout[0].as_i64().expect("a line has a number"),
        label: properties["label"]["data"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
        enabled: properties["enabled"]["data"].as_bool().unwrap_or(true),
        own: own.iter().map(|own| line(&own["data"])).collect(),
    }
}

fn ask(desktop: &Desktop, args: &[&str]) -> Option<Value> {
    let mut whole = vec!["--json=short", "--address", &desktop.bus, "--"];
    whole.extend(args);
    let answer = desktop.run("busctl", &whole)?;
    if answer.is_empty() {
        // A call that has nothing to answer.
        return Some(Value::Null);
    }
    serde_json::from_str(&answer).ok()
}
