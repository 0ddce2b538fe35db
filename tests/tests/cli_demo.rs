//! `demo` and `simulate`: the two commands that need no phone.

#![cfg(unix)]

use backupwatch_e2e::{
    binary, peers,
    table::{PATIENCE, Said},
};
use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

fn names(folder: &Path) -> Vec<String> {
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect()
}

/// The first thing that a visitor runs.
#[test]
fn the_demonstration_tells_the_whole_story_and_leaves_nothing_behind() {
    let home = tempfile::tempdir().unwrap();
    let temporary = home.path().join("tmp");
    fs::create_dir(&temporary).unwrap();
    let mut command = binary::command(home.path());
    command
        .env("TMPDIR", &temporary)
        // Whatever this says, the demonstration has a phone of its own.
        .env(
            "USBMUXD_SOCKET_ADDRESS",
            home.path().join("a phone of somebody"),
        )
        .args(["demo", "--once"]);
    let begin = Instant::now();
    let said: Said = peers::run(&mut command, PATIENCE).into();
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(
        begin.elapsed() < Duration::from_secs(30),
        "{:?}",
        begin.elapsed()
    );
    let all = said.all();
    for words in [
        "simulated iPhone",
        "UNPROTECTED",
        "58 days",
        "Notice:",
        "[Back Up Now]",
        "waiting for the passcode on the phone",
        "The backup is complete and was checked on disk",
        "at risk",
        "verified (L2)",
        "/enter?key=",
    ] {
        assert!(all.contains(words), "{words}: {all}");
    }
    for wrong in ["panicked", "ERROR", "failed", "0 files", "\u{1b}"] {
        assert!(!all.contains(wrong), "{wrong}: {all}");
    }
    assert_eq!(
        names(&temporary),
        Vec::<String>::new(),
        "it leaves something behind"
    );
    assert_eq!(
        names(home.path()),
        ["tmp"],
        "it leaves something in the home"
    );
}

#[test]
fn a_demonstration_that_is_stopped_leaves_nothing_behind_either() {
    for (signal, after) in [("INT", 0), ("INT", 2_500), ("TERM", 2_500)] {
        let home = tempfile::tempdir().unwrap();
        let temporary = home.path().join("tmp");
        fs::create_dir(&temporary).unwrap();
        let child = binary::command(home.path())
            .env("TMPDIR", &temporary)
            .arg("demo")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let mut demo = Running(child.unwrap());
        let begin = Instant::now();
        while names(&temporary).is_empty() {
            assert!(begin.elapsed() < PATIENCE, "it does not begin");
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(Duration::from_millis(after));
        assert!(demo.0.try_wait().unwrap().is_none(), "it ended by itself");
        let code = end(&mut demo, signal);
        assert_eq!(code, Some(130), "{signal} after {after} ms");
        assert_eq!(
            names(&temporary),
            Vec::<String>::new(),
            "{signal} after {after} ms"
        );
    }
}

/// A process that does not outlive its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // A process that has ended already is what is wanted.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn end(Running(child): &mut Running, signal: &str) -> Option<i32> {
    let status = Command::new("kill")
        .args(["-s", signal, &child.id().to_string()])
        .status();
    assert!(status.is_ok_and(|status| status.success()));
    let begin = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        assert!(begin.elapsed() < PATIENCE, "it does not end");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// `simulate`, and the address that it says.
fn simulate(home: &Path, arguments: &[&str]) -> (Running, String) {
    let mut child = binary::command(home)
        .arg("simulate")
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let address = line
        .trim_end()
        .strip_prefix("USBMUXD_SOCKET_ADDRESS=")
        .unwrap_or_else(|| panic!("{line:?}"))
        .to_owned();
    (Running(child), address)
}

#[test]
fn strangers_see_the_simulated_phones() {
    let home = tempfile::tempdir().unwrap();
    let socket = home.path().join("mux");
    let phones = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/phones");
    let (fresh, old) = (
        format!("{phones}/fresh.toml"),
        format!("{phones}/old-iphone.toml"),
    );
    for (arguments, udids) in [
        (
            vec!["--listen", socket.to_str().unwrap(), &fresh, &old],
            vec![
                "00008101-000A11112222F1E5",
                "fa4e000000000000000000000000000000000008",
            ],
        ),
        (
            vec!["--listen", "127.0.0.1:0", &fresh],
            vec!["00008101-000A11112222F1E5"],
        ),
        (
            vec!["--listen", socket.to_str().unwrap()],
            vec!["00008101-000A11112222DE40"],
        ),
    ] {
        let (mut child, address) = simulate(home.path(), &arguments);
        let stranger = |program: &str, arguments: &[&str]| -> Option<Said> {
            let mut command = Command::new(peers::find(program)?);
            command
                .env("USBMUXD_SOCKET_ADDRESS", &address)
                .env("HOME", home.path())
                .env_remove("XDG_CONFIG_HOME")
                .args(arguments);
            Some(peers::run(&mut command, PATIENCE).into())
        };
        let Some(listed) = stranger("idevice_id", &["-l"]) else {
            let _ = end(&mut child, "INT");
            return;
        };
        let mut lines: Vec<&str> = listed.out.lines().collect();
        lines.sort_unstable();
        if arguments.len() > 2 {
            assert_eq!(lines, udids, "{listed:?}");
        } else {
            assert_eq!(lines.len(), 1, "{listed:?}");
        }
        let info = stranger(
            "ideviceinfo",
            &["-u", lines[0], "-q", "com.apple.mobile.backup"],
        );
        let info = info.expect("it comes with the other one");
        assert_eq!(info.code, Some(0), "{info:?}");
        assert!(info.out.contains("LastCloudBackupDate: "), "{info:?}");
        // And so does our own binary.
        let said: Said = peers::run(
            binary::command(home.path())
                .env("USBMUXD_SOCKET_ADDRESS", &address)
                .args(["check", "--json"]),
            PATIENCE,
        )
        .into();
        assert!(said.out.contains(lines[0]), "{said:?}");
        assert_eq!(end(&mut child, "INT"), Some(0));
        assert!(!socket.exists(), "the socket is left behind");
    }
}

#[test]
fn a_host_to_listen_on_may_have_a_name() {
    let home = tempfile::tempdir().unwrap();
    let free = std::net::TcpListener::bind("localhost:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let (mut child, address) = simulate(home.path(), &["--listen", &format!("localhost:{port}")]);
    assert!(address.ends_with(&format!(":{port}")), "{address}");
    assert_eq!(end(&mut child, "TERM"), Some(0));
}

#[test]
fn an_address_that_is_taken_is_said() {
    let home = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let said: Said = peers::run(
        binary::command(home.path()).args(["simulate", "--listen", &address]),
        PATIENCE,
    )
    .into();
    assert_eq!(said.code, Some(2), "{said:?}");
    let words = format!("failed to listen on {address}: Address already in use");
    assert!(said.err.contains(&words), "{said:?}");
    // What is no socket is nobody's to remove.
    let file = home.path().join("letter.txt");
    fs::write(&file, "precious").unwrap();
    let said: Said = peers::run(
        binary::command(home.path()).args(["simulate", "--listen", file.to_str().unwrap()]),
        Duration::from_secs(10),
    )
    .into();
    assert_eq!(said.code, Some(2), "{said:?}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
}
