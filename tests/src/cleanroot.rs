//! A Debian that nobody has used yet, with a user in it: where our package is installed, used and removed.
//!
//! It is an archive that `cargo xtask peers` makes, unpacked into a folder of the test, with processes, mounts and a home of its own.
//! What is started in it ends with it.

use crate::peers;
use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{BufRead as _, BufReader},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// The one person on this computer.
pub const USER: &str = "ada";
const USER_ID: u32 = 1000;

/// How long one command may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The first process: it lays out what a booted system has, and sleeps.
const INIT: &str = r#"
mount --make-rprivate /
mount -t proc proc "$1/proc"
mount --rbind /dev "$1/dev"
mount --rbind /sys "$1/sys"
chroot "$1" useradd --create-home --uid "$3" "$2"
mkdir -p "$1/run/systemd/system" "$1/run/user/$3"
chown "$3" "$1/run/user/$3"
chmod 0700 "$1/run/user/$3"
echo ready
exec sleep infinity
"#;

/// The user's own manager, in control groups that are the user's, as logind hands them out.
const MANAGER: &str = r#"
for group do echo $$ > "$group/cgroup.procs"; done
exec setpriv --reuid=1000 --regid=1000 --clear-groups /lib/systemd/systemd --user --log-target=console
"#;

#[derive(Debug)]
pub struct CleanRoot {
    init: Child,
    manager: Option<Child>,
    groups: Vec<PathBuf>,
    folder: tempfile::TempDir,
}

impl CleanRoot {
    /// Unpacks one; `None` where that cannot be, and the skip was recorded.
    #[must_use]
    pub fn unpack() -> Option<Self> {
        let archive = peers::folder().with_file_name("debian-root-1.tar");
        if !archive.is_file() {
            peers::missed("clean Debian");
            return None;
        }
        for program in ["unshare", "nsenter", "chroot", "tar"] {
            peers::find(program)?;
        }
        let us = fs::metadata("/proc/self").expect("a process can look at itself");
        if us.uid() != 0 {
            peers::missed("root, who makes a system of its own");
            return None;
        }
        // A socket's path is short: not below the target folder.
        let folder = tempfile::tempdir().expect("a folder can be made");
        // The folder of the test is its user's alone; a system's root is everybody's.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))
            .expect("a folder can be opened");
        let unpacked = peers::run(
            Command::new("tar")
                .args(["--numeric-owner", "-xf"])
                .arg(archive)
                .arg("-C")
                .arg(folder.path()),
            PATIENCE,
        );
        assert!(unpacked.status.success(), "{}", peers::words(&unpacked));
        let mut init = Command::new("unshare")
            .args(["--mount", "--pid", "--fork", "--kill-child"])
            .args(["sh", "-ec", INIT, "init"])
            .arg(folder.path())
            .args([USER, &USER_ID.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare starts");
        let mut ready = String::new();
        BufReader::new(init.stdout.take().expect("it is piped"))
            .read_line(&mut ready)
            .expect("it can be read");
        let root = Self {
            init,
            manager: None,
            groups: Vec::new(),
            folder,
        };
        assert_eq!(ready, "ready\n", "the system does not start");
        Some(root)
    }

    /// Where a path of this system is for everybody else.
    #[must_use]
    pub fn path(&self, inside: &str) -> PathBuf {
        self.folder.path().join(inside.trim_start_matches('/'))
    }

    /// A command of root's.
    #[must_use]
    pub fn root(&self, words: &[&str]) -> Command {
        let mut command = self.enter();
        command.env("HOME", "/root").args(words);
        command
    }

    /// A command of the user's.
    #[must_use]
    pub fn user(&self, words: &[&str]) -> Command {
        let mut command = self.enter();
        as_user(&mut command)
            .args(["setpriv", "--reuid=1000", "--regid=1000", "--clear-groups"])
            .args(words);
        command
    }

    fn enter(&self) -> Command {
        let namespaces = format!("/proc/{}/ns", self.init.id());
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--mount={namespaces}/mnt"))
            .arg(format!("--pid={namespaces}/pid_for_children"))
            .arg("chroot")
            .arg(self.folder.path())
            .env_clear()
            .env("LANG", "C.UTF-8")
            .env("DEBIAN_FRONTEND", "noninteractive")
            .env(
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            );
        command
    }

    /// Runs a command that has to end well, and tells what it said.
    #[track_caller]
    #[must_use]
    pub fn said(&self, mut command: Command) -> String {
        let output = peers::run(&mut command, PATIENCE);
        assert!(
            output.status.success(),
            "{command:?}\n{}",
            peers::words(&output)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The user logs in: their own systemd starts, and everything that it starts.
    pub fn log_in(&mut self) {
        let name = format!("backupwatch-test-{}", self.init.id());
        for hierarchy in ["", "systemd", "unified"] {
            let hierarchy = Path::new("/sys/fs/cgroup").join(hierarchy);
            if !hierarchy.join("cgroup.procs").is_file() {
                continue;
            }
            let group = hierarchy.join(&name);
            fs::create_dir(&group).expect("a control group can be made");
            self.groups.push(group.clone());
            let mut files = vec![group.clone()];
            files.extend(
                fs::read_dir(&group)
                    .expect("it can be listed")
                    .map(|entry| entry.expect("it can be listed").path()),
            );
            for file in files {
                std::os::unix::fs::chown(file, Some(USER_ID), Some(USER_ID))
                    .expect("it can be given away");
            }
        }
        let log = File::create(self.path("/var/log/user-manager")).expect("a log can be made");
        let manager = as_user(&mut self.enter())
            .args(["sh", "-ec", MANAGER, "manager"])
            .args(&self.groups)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log can be shared"))
            .stderr(log)
            .spawn()
            .expect("nsenter starts");
        self.manager = Some(manager);
        let begin = Instant::now();
        loop {
            let state = peers::run(
                &mut self.user(&["systemctl", "--user", "is-system-running"]),
                PATIENCE,
            );
            if state.stdout == b"running\n" {
                return;
            }
            assert!(
                begin.elapsed() < PATIENCE,
                "the user's systemd does not run\n{}\n{}",
                peers::words(&state),
                fs::read_to_string(self.path("/var/log/user-manager")).unwrap_or_default()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// A socket of this computer's, at a path of that system's, for everybody.
    pub fn share_socket(&self, ours: &Path, inside: &str) {
        fs::hard_link(ours, self.path(inside)).expect("a socket has room for a second name");
        fs::set_permissions(ours, fs::Permissions::from_mode(0o666))
            .expect("a socket can be opened to all");
    }

    /// Every file of the system, without homes, and without what changes by itself.
    #[must_use]
    pub fn files(&self) -> BTreeSet<String> {
        let apart = [
            "dev",
            "home",
            "proc",
            "root",
            "run",
            "sys",
            "tmp",
            "var/cache",
            "var/lib/apt",
            "var/lib/dpkg",
            "var/log",
        ];
        let mut found = BTreeSet::new();
        let mut folders = vec![self.folder.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).expect("a folder can be listed") {
                let entry = entry.expect("a folder can be listed");
                let path = entry.path();
                let inside = path.strip_prefix(self.folder.path()).expect("it is below");
                if apart.iter().any(|apart| inside == Path::new(apart)) {
                    continue;
                }
                found.insert(inside.to_string_lossy().into_owned());
                if entry.file_type().expect("it has a type").is_dir() {
                    folders.push(path);
                }
            }
        }
        found
    }
}

fn as_user(command: &mut Command) -> &mut Command {
    command
        .env("HOME", format!("/home/{USER}"))
        .env("USER", USER)
        .env("XDG_RUNTIME_DIR", format!("/run/user/{USER_ID}"))
        .current_dir("/")
}

impl Drop for CleanRoot {
    fn drop(&mut self) {
        // unshare takes the first process along, and the kernel takes all others with that one.
        let _ = self.init.kill();
        let _ = self.init.wait();
        if let Some(manager) = &mut self.manager {
            let _ = manager.wait();
        }
        let begin = Instant::now();
        while !self.groups.iter().all(|group| remove_group(group)) {
            if begin.elapsed() > Duration::from_secs(5) {
                eprintln!("control groups are left: {:?}", self.groups);
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Whether a control group and all below it are gone.
fn remove_group(group: &Path) -> bool {
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            remove_group(&entry.path());
        }
    }
    fs::remove_dir(group).is_ok() || !group.exists()
}
