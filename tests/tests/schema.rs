//! The contract with programs: what every `--json` prints and the agent answers is what `docs/schema` says, and what the releases
//! before this one promised is kept.
//!
//! `fixtures/json/<release>` holds what a release printed, and below `schema` what it promised.

#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    reason = "the helpers of tests may fail as tests do"
)]

use backupwatch_agent::{
    api::words::{BackupEvent, Failure, History, PairAnswer, TestNotice, Version},
    diagnosis::{DiagnosisDocument, ListenEvent},
    doctor::Report,
    ladder::LadderDocument,
    status::Status,
};
use backupwatch_e2e::{
    agent::{Agent, WATCH_ONLY, configure},
    peers,
    schema::{self, Named},
    table::{PATIENCE, Running, Said, Table, persona},
};
use backupwatch_sim::phone::Channel;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// Where the outputs of this release are kept when it is made: `docs/release.md`.
const KEEP: &str = "BACKUPWATCH_KEEP_OUTPUTS";

/// The program's outputs of one story, by the name of their schema.
struct Outputs<'t> {
    table: &'t Table,
    all: Vec<Named>,
}

impl Outputs<'_> {
    /// Runs it; each line or the whole is a document.
    fn of(&mut self, name: &str, arguments: &[&str]) -> Said {
        let said: Said = peers::run(&mut self.table.ours(arguments), PATIENCE).into();
        self.take(name, &said);
        said
    }

    fn take(&mut self, name: &str, said: &Said) {
        let before = self.all.len();
        for document in serde_json::Deserializer::from_str(&said.out).into_iter() {
            let document = document.unwrap_or_else(|error| panic!("{name}: {error}: {said:?}"));
            self.all.push((name.to_owned(), document));
        }
        assert!(self.all.len() > before, "{name} said nothing: {said:?}");
    }

    /// What the agent answers to a request by hand, as curl would send it.
    fn asked(&mut self, name: &str, method: &str, path: &str, body: &Value) {
        let mut socket = UnixStream::connect(self.table.state().join("agent.sock")).unwrap();
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        write!(
            socket,
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        let (_, document) = answer.split_once("\r\n\r\n").unwrap();
        let document = serde_json::from_str(document).unwrap_or_else(|_| panic!("{answer}"));
        self.all.push((name.to_owned(), document));
    }
}

/// One phone whose iCloud Backup fails, and one that trusts nobody, through every command that prints JSON.
#[test]
fn what_is_printed_is_what_the_schemas_say() {
    let mut failing = persona("icloud-no-network");
    failing.passcode.after_s = 0.1;
    let table = Table::of(vec![failing, persona("untrusted")]);
    let root = table.root();
    fs::create_dir(&root).unwrap();
    configure(
        &table,
        &format!("{WATCH_ONLY}backup.root = \"{}\"\n", root.display()),
    );
    let udid = table.udid();
    let udid = udid.as_str();
    let mut outputs = Outputs {
        table: &table,
        all: Vec::new(),
    };
    outputs.of("status", &["status", "--json"]);
    outputs.of("status", &["check", "--json"]);
    outputs.of("error", &["backup", "Nobody", "--json"]);
    outputs.of("pair", &["pair", udid, "--json"]);
    outputs.of("backup", &["backup", udid, "--json"]);
    let again = outputs.of("backup", &["backup", udid, "--json"]);
    assert!(again.ok(), "{again:?}");
    outputs.of("versions", &["versions", udid, "--json"]);
    outputs.of(
        "versions-prune",
        &["versions", "prune", udid, "--dry-run", "--json"],
    );
    outputs.of("verify", &["verify", udid, "--json"]);
    let to = table.home().join("out").display().to_string();
    fs::create_dir(&to).unwrap();
    outputs.of("export", &["export", udid, "--to", &to, "--json"]);
    outputs.of("fix", &["fix", udid, "--json"]);
    outputs.of("diagnose", &["diagnose", udid, "--json"]);
    outputs.of("doctor", &["doctor", "--json"]);
    outputs.of("agent-status", &["agent", "status", "--json"]);

    let agent = Agent::start(&table);
    agent.when_device(udid, "it is there", |device| !device.links.is_empty());
    let live = Running::start(&mut table.ours(&["diagnose", udid, "--live", "--json"]));
    let begin = Instant::now();
    while !(table.phone().phone().journal().names(Channel::Log))
        .contains(&"StartActivity".to_owned())
    {
        assert!(begin.elapsed() < PATIENCE, "nobody listens");
        std::thread::sleep(Duration::from_millis(20));
    }
    table.phone().back_up_to_icloud_now();
    outputs.take("diagnose-live", &live.end());
    outputs.of("status", &["status", "--json"]);
    outputs.of("history", &["history", "--json"]);
    outputs.of("agent-status", &["agent", "status", "--json"]);
    outputs.asked("status", "GET", "/v1/status", &Value::Null);
    outputs.asked("api-version", "GET", "/v1/version", &Value::Null);
    outputs.asked("api-page", "POST", "/v1/page", &json!({"udid": udid}));
    outputs.asked("api-test-notice", "POST", "/v1/test-notice", &Value::Null);
    outputs.asked("error", "GET", "/v1/nothing", &Value::Null);
    agent.end();

    schema::assert_hold(&outputs.all);
    every_one_can_fail(&outputs.all);
    if let Some(folder) = std::env::var_os(KEEP) {
        keep(Path::new(&folder), &table, &outputs.all);
    }
}

/// A field that is promised and not there is seen in each sort of document.
fn every_one_can_fail(documents: &[Named]) {
    let mut poorer = Vec::new();
    for (name, document) in documents {
        let text = fs::read_to_string(schema::folder().join(format!("{name}.json"))).unwrap();
        let schema: Value = serde_json::from_str(&text).unwrap();
        for field in schema["required"].as_array().into_iter().flatten() {
            let mut document = document.clone();
            document
                .as_object_mut()
                .unwrap()
                .remove(field.as_str().unwrap());
            poorer.push((name.clone(), document));
        }
    }
    assert!(poorer.len() > 50, "{}", poorer.len());
    let Some(wrong) = schema::wrong(&schema::folder(), &poorer) else {
        return;
    };
    for (one, wrong) in poorer.iter().zip(wrong) {
        assert!(wrong.is_some(), "{one:#?}");
    }
}

fn keep(folder: &Path, table: &Table, documents: &[Named]) {
    fs::create_dir_all(folder.join("schema")).unwrap();
    for entry in fs::read_dir(schema::folder()).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, folder.join("schema").join(path.file_name().unwrap())).unwrap();
    }
    let mut files: BTreeMap<String, Vec<&Value>> = BTreeMap::new();
    for (name, document) in documents {
        files.entry(name.clone()).or_default().push(document);
    }
    let home = table.home().display().to_string();
    for (name, documents) in files {
        // Of what comes in hundreds, the first and the last tell enough.
        let left_out = 4..documents.len().saturating_sub(4).max(4);
        let kept = documents.iter().enumerate();
        let documents: Vec<&&Value> = kept
            .filter_map(|(number, document)| (!left_out.contains(&number)).then_some(document))
            .collect();
        let text = serde_json::to_string_pretty(&documents).unwrap();
        let text = text.replace(&home, "/home/ada") + "\n";
        fs::write(folder.join(format!("{name}.json")), text).unwrap();
    }
}

fn releases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/json");
    let entries = fs::read_dir(folder).unwrap();
    let folders: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    assert!(!folders.is_empty());
    folders
}

fn read(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path:?}: {error}"))
}

fn json_files(folder: &Path) -> Vec<(String, PathBuf)> {
    let entries = fs::read_dir(folder).unwrap();
    let mut files: Vec<(String, PathBuf)> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "json"))
        .map(|path| {
            (
                path.file_stem().unwrap().to_string_lossy().into_owned(),
                path,
            )
        })
        .collect();
    files.sort();
    files
}

/// Whoever reads or writes by a schema of an older release can go on.
#[test]
fn what_older_releases_promised_is_kept() {
    for release in releases() {
        for (name, path) in json_files(&release.join("schema")) {
            let (old, new) = (
                read(&path),
                read(&schema::folder().join(format!("{name}.json"))),
            );
            let broken = if name.ends_with("-request") {
                schema::broken_for_writers(&old, &new)
            } else {
                schema::broken_for_readers(&old, &new)
            };
            assert!(broken.is_empty(), "{name} since {release:?}: {broken:#?}");
        }
    }
}

/// What an older release printed is what it promised, and this release's own programs understand it: an agent and a command need not be
/// of the same release.
#[test]
fn what_older_releases_printed_is_understood() {
    for release in releases() {
        let mut documents = Vec::new();
        for (name, path) in json_files(&release) {
            for document in read(&path).as_array().unwrap() {
                understood(&name, document);
                documents.push((name.clone(), document.clone()));
            }
        }
        let wrong = schema::wrong(&release.join("schema"), &documents).unwrap_or_default();
        let wrong: Vec<String> = wrong.into_iter().flatten().collect();
        assert!(wrong.is_empty(), "{release:?}: {wrong:#?}");
    }
}

/// Where something of ours reads it.
fn understood(name: &str, document: &Value) {
    let document = document.clone();
    let read = match name {
        "status" => serde_json::from_value::<Status>(document).map(drop),
        "history" => serde_json::from_value::<History>(document).map(drop),
        "fix" => serde_json::from_value::<LadderDocument>(document).map(drop),
        "diagnose" => serde_json::from_value::<DiagnosisDocument>(document).map(drop),
        "diagnose-live" => serde_json::from_value::<ListenEvent>(document).map(drop),
        "doctor" => serde_json::from_value::<Report>(document).map(drop),
        "backup" => serde_json::from_value::<BackupEvent>(document).map(drop),
        "pair" => serde_json::from_value::<PairAnswer>(document).map(drop),
        "error" => serde_json::from_value::<Failure>(document).map(drop),
        "api-version" => serde_json::from_value::<Version>(document).map(drop),
        "api-test-notice" => serde_json::from_value::<TestNotice>(document).map(drop),
        _ => Ok(()),
    };
    read.unwrap_or_else(|error| panic!("{name}: {error}"));
}

/// The comparison sees what it is there for.
#[test]
fn a_promise_that_is_broken_is_seen() {
    let old = json!({
        "type": "object",
        "properties": {
            "name": {"type": ["string", "null"]},
            "bytes": {"type": "integer"},
            "net": {"$ref": "#/$defs/Net"},
            "parts": {"type": "array", "items": {"$ref": "#/$defs/Net"}},
            "how": {"type": "string", "enum": ["pass", "fail"]},
            "end": {"anyOf": [{"$ref": "#/$defs/Net"}, {"type": "null"}]},
            "event": {"oneOf": [
                {"type": "object", "properties": {"is": {"const": "begun"}}, "required": ["is"]},
                {"$ref": "#/$defs/Net", "properties": {"is": {"const": "ended"}}, "required": ["is"]},
            ], "properties": {"at": {"type": "string"}}},
        },
        "required": ["name", "bytes", "net", "parts"],
        "$defs": {"Net": {"type": "object", "properties": {"state": {"type": "string"}}, "required": ["state"]}},
    });
    let changed = |pointer: &str, to: Value| {
        let mut new = old.clone();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let parent = new.pointer_mut(parent).unwrap();
        match (parent, to) {
            (Value::Object(fields), Value::Null) => drop(fields.remove(key)),
            (Value::Object(fields), to) => drop(fields.insert(key.to_owned(), to)),
            (parent, to) => *parent.get_mut(key.parse::<usize>().unwrap()).unwrap() = to,
        }
        new
    };
    let more_events = {
        let mut new = old.clone();
        let events = new.pointer_mut("/properties/event/oneOf").unwrap();
        events.as_array_mut().unwrap().push(
            json!({"type": "object", "properties": {"is": {"const": "paused"}}, "required": ["is"]}),
        );
        new
    };
    for (what, new, seen) in [
        ("nothing", old.clone(), None),
        (
            "a field more",
            changed("/properties/more", json!({"type": "string"})),
            None,
        ),
        ("a sort of event more", more_events, None),
        (
            "never null any more",
            changed("/properties/name", json!({"type": "string"})),
            None,
        ),
        (
            "a field is gone",
            changed("/properties/name", Value::Null),
            Some(".name is gone"),
        ),
        (
            "a field within is gone",
            changed("/$defs/Net/properties/state", Value::Null),
            Some(".event.state is gone"),
        ),
        (
            "a field of all events is gone",
            changed("/properties/event/properties", Value::Null),
            Some(".event.at is gone"),
        ),
        (
            "a field may be left out",
            changed("/required", json!(["bytes", "net", "parts"])),
            Some(".name need not be there any more"),
        ),
        (
            "a field may be null",
            changed("/properties/bytes", json!({"type": ["integer", "null"]})),
            Some(".bytes is"),
        ),
        (
            "a number is text",
            changed("/properties/bytes", json!({"type": "string"})),
            Some(".bytes is"),
        ),
        (
            "a part is another thing",
            changed(
                "/properties/parts",
                json!({"type": "array", "items": {"type": "string"}}),
            ),
            Some(".parts[] is"),
        ),
        (
            "a value more",
            changed("/properties/how/enum", json!(["pass", "fail", "warn"])),
            Some(".how has values"),
        ),
        (
            "an event is gone",
            changed(
                "/properties/event/oneOf",
                json!([{"$ref": "#/$defs/Net", "properties": {"is": {"const": "ended"}}, "required": ["is"]}]),
            ),
            Some(".event is=\"begun\" is gone"),
        ),
    ] {
        let broken = schema::broken_for_readers(&old, &new);
        match seen {
            None => assert!(broken.is_empty(), "{what}: {broken:?}"),
            Some(line) => assert!(
                broken.iter().any(|broken| broken.starts_with(line)),
                "{what}: {broken:?}"
            ),
        }
    }

    let request = json!({"type": "object", "properties": {"udid": {"type": "string"}, "full": {"type": "boolean"}}, "required": ["udid"]});
    let with = |properties: Value, required: Value| json!({"type": "object", "properties": properties, "required": required});
    let (text, yes) = (json!({"type": "string"}), json!({"type": "boolean"}));
    for (what, new, holds) in [
        ("the same", request.clone(), true),
        (
            "more to say",
            with(
                json!({"udid": text, "full": yes, "why": text}),
                json!(["udid"]),
            ),
            true,
        ),
        (
            "more to be said",
            with(
                json!({"udid": text, "full": yes, "why": text}),
                json!(["udid", "why"]),
            ),
            false,
        ),
        (
            "less to say",
            with(json!({"udid": text}), json!(["udid"])),
            false,
        ),
        (
            "said otherwise",
            with(json!({"udid": text, "full": text}), json!(["udid"])),
            false,
        ),
    ] {
        let broken = schema::broken_for_writers(&request, &new);
        assert_eq!(broken.is_empty(), holds, "{what}: {broken:?}");
    }
}
