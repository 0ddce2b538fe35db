//! The JSON Schemas in `docs/schema`, one a document that a program may read or send, made from the very types. Only the tests have
//! them: `cargo xtask schema` asks whether the files are what the types say, and `--write` has them written.

use crate::commands;
use backupwatch_agent::{api::words, diagnosis, doctor, ladder, status};
use schemars::{JsonSchema, generate::SchemaSettings};
use std::{collections::BTreeMap, fs, path::Path};

/// Set by `cargo xtask schema --write`.
const WRITE: &str = "BACKUPWATCH_WRITE_SCHEMAS";

/// A file's name and its text.
type Files = BTreeMap<String, String>;

/// Which way a document goes.
#[derive(Debug, Clone, Copy)]
enum Goes {
    /// From us: what is always there is required.
    Out,
    /// To us: what may be left out is not.
    In,
}

fn every() -> Files {
    let out = Goes::Out;
    let all = [
        schema::<status::Status>("status", out),
        schema::<commands::status::watch::Line>("status-watch", out),
        schema::<commands::device::Document>("device", out),
        schema::<words::History>("history", out),
        schema::<ladder::LadderDocument>("fix", out),
        schema::<diagnosis::DiagnosisDocument>("diagnose", out),
        schema::<diagnosis::ListenEvent>("diagnose-live", out),
        schema::<doctor::Report>("doctor", out),
        schema::<words::BackupEvent>("backup", out),
        schema::<words::PairAnswer>("pair", out),
        schema::<words::Failure>("error", out),
        schema::<commands::verify::found::Found>("verify", out),
        schema::<commands::versions::listed::Listed>("versions", out),
        schema::<commands::versions::pruned::Pruned>("versions-prune", out),
        schema::<commands::export::Report<'_>>("export", out),
        schema::<commands::install::Document>("install", out),
        schema::<commands::restart::Document>("restart", out),
        schema::<commands::uninstall::Document>("uninstall", out),
        schema::<commands::agent::status::Document>("agent-status", out),
        schema::<words::Version>("api-version", out),
        schema::<words::PageAnswer>("api-page", out),
        schema::<words::TestNotice>("api-test-notice", out),
        schema::<words::BackupRequest>("api-backup-request", Goes::In),
        schema::<words::PairRequest>("api-pair-request", Goes::In),
        schema::<words::SnoozeRequest>("api-snooze-request", Goes::In),
        schema::<words::LocalOnlyRequest>("api-local-only-request", Goes::In),
        schema::<words::MarkRequest>("api-mark-request", Goes::In),
        schema::<words::PageRequest>("api-page-request", Goes::In),
    ];
    all.into()
}

fn schema<T: JsonSchema>(name: &str, goes: Goes) -> (String, String) {
    let settings = SchemaSettings::draft2020_12();
    let settings = match goes {
        Goes::Out => settings.for_serialize(),
        Goes::In => settings.for_deserialize(),
    };
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    schema.insert("title".to_owned(), format!("backupwatch {name}").into());
    let text = serde_json::to_string_pretty(&schema).unwrap();
    // A name of ours in brackets means something only to who reads the code.
    let text = text.replace("[`", "`").replace("`]", "`");
    (format!("{name}.json"), text + "\n")
}

#[test]
fn the_files_are_what_the_types_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schema");
    let every = every();
    let mut there = Files::new();
    for entry in fs::read_dir(&folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        there.insert(name, fs::read_to_string(path).unwrap());
    }
    let mut wrong: Vec<&String> = every.keys().chain(there.keys()).collect();
    wrong.sort();
    wrong.dedup();
    wrong.retain(|name| every.get(*name) != there.get(*name));
    if std::env::var_os(WRITE).is_none() {
        assert!(
            wrong.is_empty(),
            "run `cargo xtask schema --write`, and say in CHANGELOG.md what is new: {wrong:?}"
        );
        return;
    }
    fs::create_dir_all(&folder).unwrap();
    for name in wrong {
        let path = folder.join(name);
        match every.get(name) {
            Some(text) => fs::write(path, text).unwrap(),
            None => fs::remove_file(path).unwrap(),
        }
    }
}
