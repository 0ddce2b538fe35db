//! `status --watch --json`: the present state, a line for each change, an agent that dies, and how it ends.

#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    reason = "the helpers of tests may fail as tests do"
)]

use backupwatch_e2e::{
    agent::{Agent, WATCH_ONLY, configure},
    schema::{self, Named},
    table::{PATIENCE, Table, persona},
};
use serde_json::Value;
use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    time::{Duration, Instant},
};

/// The command, and its lines as they come.
struct Watching {
    child: Child,
    lines: Receiver<Value>,
    all: Vec<Named>,
}

impl Watching {
    fn start(table: &Table) -> Self {
        let mut child = table
            .ours(&["status", "--watch", "--json"])
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (tell, lines) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let line = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"));
                if tell.send(line).is_err() {
                    return;
                }
            }
        });
        Self {
            child,
            lines,
            all: Vec::new(),
        }
    }

    #[track_caller]
    fn next(&mut self) -> Value {
        let line = self.lines.recv_timeout(PATIENCE).unwrap();
        assert_eq!(line["schema"], 1, "{line}");
        self.all.push(("status-watch".to_owned(), line.clone()));
        line
    }

    /// The next line of this sort; a device is heard of more often than that.
    #[track_caller]
    fn until(&mut self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let begin = Instant::now();
        loop {
            let line = self.next();
            if is(&line) {
                return line;
            }
            assert!(begin.elapsed() < PATIENCE, "not so that {what}: {line}");
        }
    }

    fn ends(&mut self) -> Option<i32> {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(begin.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        // One that has ended already is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn what_changes_is_told_and_a_dead_agent_is_seen() {
    let table = Table::of(vec![persona("fresh")]);
    configure(&table, WATCH_ONLY);
    let udid = table.udid();
    let agent = Agent::start(&table);
    agent.when_device(&udid, "it is judged", |device| {
        device.protection == "protected"
    });

    let mut watching = Watching::start(&table);
    let first: Vec<Value> = (0..3).map(|_| watching.next()).collect();
    assert_eq!(first[0]["event"], "agent", "{first:#?}");
    assert_eq!(first[0]["agent"]["running"], true, "{first:#?}");
    assert_eq!(first[1]["event"], "device", "{first:#?}");
    assert_eq!(first[1]["device"]["udid"], udid.as_str(), "{first:#?}");
    assert_eq!(first[1]["device"]["protection"], "protected", "{first:#?}");
    assert_eq!(
        (&first[2]["event"], &first[2]["running"]),
        (&"alive".into(), &true.into()),
        "{first:#?}"
    );

    table.phone().unplug();
    let away = watching.until("it is away", |line| line["event"] == "device");
    assert_eq!(
        away["device"]["links"],
        Value::Array(Vec::new()),
        "{away:#}"
    );

    agent.kill();
    let dead = watching.until("the agent is dead", |line| line["event"] == "agent");
    assert_eq!(dead["agent"]["running"], false, "{dead:#}");
    let agent = Agent::start(&table);
    watching.until("there is another agent", |line| {
        line["event"] == "agent" && line["agent"]["running"] == true
    });
    agent.end();

    let id = watching.child.id().to_string();
    let sent = Command::new("kill").args(["-s", "INT", &id]).status();
    assert!(sent.unwrap().success());
    assert_eq!(watching.ends(), Some(130));
    schema::assert_hold(&watching.all);
}

#[test]
fn it_ends_with_its_reader() {
    let table = Table::of(vec![persona("fresh")]);
    configure(&table, WATCH_ONLY);
    let agent = Agent::start(&table);
    agent.when_device(&table.udid(), "it is there", |device| {
        !device.links.is_empty()
    });
    let mut child = table
        .ours(&["status", "--watch", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    drop(stdout);
    table.phone().unplug();
    let begin = Instant::now();
    while child.try_wait().unwrap().is_none() {
        assert!(begin.elapsed() < PATIENCE, "it does not end");
        std::thread::sleep(Duration::from_millis(20));
    }
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    agent.end();
}
