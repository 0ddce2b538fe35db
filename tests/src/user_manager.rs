//! The systemd of a user, as a login starts it: with a control group of its own, so that it moves and ends no process but those
//! that it has started.

use crate::{
    peers,
    somebody::is_root,
    table::{PATIENCE, Said},
};
use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

/// A login. It ends, with everything that it started, when this is dropped.
#[derive(Debug)]
pub struct UserManager {
    child: Child,
    runtime: PathBuf,
    group: String,
}

/// What a login needs of the system: somewhere that says that systemd started it, and a control group. Without its own group it would
/// take every process of the computer for its own: rather not at all.
const LOGIN: &str = "set -e
mount -t tmpfs none /run
mkdir -p /run/systemd/system
mount -t cgroup2 none /sys/fs/cgroup
mkdir \"/sys/fs/cgroup/$1\"
echo 0 > \"/sys/fs/cgroup/$1/cgroup.procs\"
grep -qx \"0::/$1\" /proc/self/cgroup
exec \"$2\" --user --log-target=console";

impl UserManager {
    /// The user of this home logs in, at a desktop that tells `more` of itself; `None` when that is not possible here, which is said.
    #[must_use]
    pub fn log_in(home: &Path, more: &[(&str, &str)]) -> Option<Self> {
        let (unshare, systemd) = (peers::find("unshare")?, peers::find("systemd")?);
        if !is_root() {
            eprintln!("SKIPPED: only root can make a login of its own");
            return None;
        }
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let group = format!("backupwatch-test-{}-{count}", std::process::id());
        let runtime = runtime(home);
        std::fs::create_dir_all(&runtime).expect("a folder can be made");
        let log = std::fs::File::create(home.join("systemd.log")).expect("a file can be made");
        let child = Command::new(unshare)
            .args(["--mount", "sh", "-c", LOGIN, "login", &group])
            .arg(systemd)
            .env_clear()
            .env("HOME", home)
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("XDG_RUNTIME_DIR", &runtime)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file can be shared"))
            .stderr(log)
            .spawn()
            .expect("unshare starts");
        let mut manager = Self {
            child,
            runtime,
            group,
        };
        let begin = Instant::now();
        loop {
            let asked = manager.systemctl(&["is-system-running"]);
            if ["running", "degraded"].contains(&asked.out.trim()) {
                manager.tell(more);
                return Some(manager);
            }
            if manager.child.try_wait().expect("it can be asked").is_some() {
                let log = std::fs::read_to_string(home.join("systemd.log")).unwrap_or_default();
                eprintln!("SKIPPED: no login can be made here: {log}");
                return None;
            }
            assert!(
                begin.elapsed() < PATIENCE,
                "the login does not end: {asked:?}"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What every desktop tells of itself: the login has a bus of its own until then.
    fn tell(&self, desktop: &[(&str, &str)]) {
        for (name, value) in desktop {
            let told = self.systemctl(&["set-environment", &format!("{name}={value}")]);
            assert!(told.ok(), "{told:?}");
        }
    }

    /// `systemctl --user`, as the person asks it.
    #[must_use]
    pub fn systemctl(&self, arguments: &[&str]) -> Said {
        let mut command = typed(Path::new("systemctl"));
        command
            .env("XDG_RUNTIME_DIR", &self.runtime)
            .env_remove("DBUS_SESSION_BUS_ADDRESS")
            .arg("--user")
            .args(arguments);
        peers::run(&mut command, PATIENCE).into()
    }
}

/// A program as it is typed on a computer that systemd started, which this one may not be.
#[must_use]
pub fn typed(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("unshare");
    let script = "mount -t tmpfs none /run && mkdir -p /run/systemd/system && exec \"$@\"";
    command
        .args(["--mount", "sh", "-c", script, "typed"])
        .arg(program);
    command
}

/// Where the login of this home has its sockets.
#[must_use]
pub fn runtime(home: &Path) -> PathBuf {
    home.join("run")
}

impl Drop for UserManager {
    fn drop(&mut self) {
        // A process that has ended already is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
        for folder in ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"] {
            let begin = Instant::now();
            let group = Path::new(folder).join(&self.group);
            // All that it has started, whoever started it there.
            let _ = std::fs::write(group.join("cgroup.kill"), "1");
            while group.exists() && begin.elapsed() < Duration::from_secs(2) {
                remove_group(&group);
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

/// A control group is removed from its leaves on, once nobody is left in it.
fn remove_group(group: &Path) {
    for entry in std::fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            remove_group(&entry.path());
        }
    }
    let _ = std::fs::remove_dir(group);
}
