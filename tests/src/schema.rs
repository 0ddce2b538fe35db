//! The contract with programs: whether a document is what its schema says, as a stranger sees it (Python's jsonschema), and whether a
//! schema still keeps what an older one promised.

use crate::peers;
use serde_json::{Map, Value, json};
use std::{
    collections::BTreeSet,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The schemas of this release.
#[must_use]
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/schema")
}

/// A document, by the name of its schema.
pub type Named = (String, Value);

/// What is wrong with each of these documents by the schemas in `folder`, in the stranger's words; nothing where the stranger is not
/// here.
#[must_use]
pub fn wrong(folder: &Path, documents: &[Named]) -> Option<Vec<Option<String>>> {
    let python = peers::python("jsonschema")?;
    let asked = json!({"folder": folder, "documents": documents}).to_string();
    let mut child = Command::new(python)
        .args(["-c", ASK])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python starts");
    let mut stdin = child.stdin.take().expect("it has one");
    stdin
        .write_all(asked.as_bytes())
        .expect("it reads what it is asked");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "the validator failed");
    Some(serde_json::from_slice(&output.stdout).expect("it answers in JSON"))
}

const ASK: &str = r#"
import json, pathlib, sys
from jsonschema import Draft202012Validator
asked = json.load(sys.stdin)
validators = {}
def validator(name):
    if name not in validators:
        schema = json.loads((pathlib.Path(asked["folder"]) / (name + ".json")).read_text())
        Draft202012Validator.check_schema(schema)
        validators[name] = Draft202012Validator(schema)
    return validators[name]
def first(name, document):
    for error in validator(name).iter_errors(document):
        return f"{name}: {error.json_path}: {error.message}"[:500]
json.dump([first(name, document) for name, document in asked["documents"]], sys.stdout)
"#;

/// Fails unless each of them is what this release's schema says.
#[track_caller]
pub fn assert_hold(documents: &[Named]) {
    let wrong = wrong(&folder(), documents).unwrap_or_default();
    let wrong: Vec<String> = wrong.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Where the newer schema of a document that we write breaks what the older one promised to its readers: a field that is gone or need
/// not be there any more, a value that may be of another kind now. A new field breaks nothing, nor does a new sort of event: readers
/// are told to skip what they do not know.
#[must_use]
pub fn broken_for_readers(old: &Value, new: &Value) -> Vec<String> {
    let mut compared = Compared::of(old, new);
    compared.any(old, new, "");
    compared.broken
}

/// The same for a document that we read, and its writers: each that the older schema took, the newer one takes.
#[must_use]
pub fn broken_for_writers(old: &Value, new: &Value) -> Vec<String> {
    // Whoever wrote by the older schema is to the newer one what a new release is to its readers.
    let mut broken = broken_for_readers(new, old);
    // A field that is new is one that older writers do not know.
    broken.retain(|line| !line.ends_with(IS_GONE));
    let fields = |schema: &Value| -> BTreeSet<String> {
        let fields = schema["properties"].as_object();
        fields.into_iter().flat_map(Map::keys).cloned().collect()
    };
    let required = |schema: &Value| -> BTreeSet<String> {
        let names = schema["required"].as_array().into_iter().flatten();
        names
            .filter_map(|name| name.as_str().map(str::to_owned))
            .collect()
    };
    let (before, now) = (fields(old), fields(new));
    let gone = before.difference(&now);
    broken.extend(gone.map(|name| format!(".{name}{IS_GONE}")));
    let (before, now) = (required(old), required(new));
    let wanted = now.difference(&before);
    broken.extend(wanted.map(|name| format!(".{name} has to be there now")));
    broken
}

const IS_GONE: &str = " is gone";

struct Compared<'s> {
    old: &'s Value,
    new: &'s Value,
    /// Pairs of definitions that were compared already: some hold themselves.
    seen: BTreeSet<(String, String)>,
    broken: Vec<String>,
}

impl<'s> Compared<'s> {
    fn of(old: &'s Value, new: &'s Value) -> Self {
        Self {
            old,
            new,
            seen: BTreeSet::new(),
            broken: Vec::new(),
        }
    }

    fn any(&mut self, old: &Value, new: &Value, at: &str) {
        let refs = |schema: &Value| schema["$ref"].as_str().unwrap_or_default().to_owned();
        let pair = (refs(old), refs(new));
        let is_named = !pair.0.is_empty() || !pair.1.is_empty();
        if is_named && !self.seen.insert(pair) {
            return;
        }
        let (old, new) = (whole(self.old, old), whole(self.new, new));
        match (alternatives(&old), alternatives(&new)) {
            (Some(before), Some(now)) => {
                self.alternatives(&before, &now, at);
                // What all of them have is beside them.
                self.one(&old, &new, at);
            }
            (Some(before), None) => self.alternatives(&before, &[Value::Object(new)], at),
            (None, Some(now)) => {
                for one in &now {
                    self.any(&Value::Object(old.clone()), one, at);
                }
            }
            (None, None) => self.one(&old, &new, at),
        }
    }

    fn alternatives(&mut self, before: &[Value], now: &[Value], at: &str) {
        for old in before {
            if let Some(tag) = tag(&whole(self.old, old))
                && !now
                    .iter()
                    .any(|new| self::tag(&whole(self.new, new)).as_ref() == Some(&tag))
            {
                self.broken
                    .push(format!("{at} {}={}{IS_GONE}", tag.0, tag.1));
            }
        }
        for new in now {
            let tag = tag(&whole(self.new, new));
            let same = before
                .iter()
                .filter(|old| self::tag(&whole(self.old, old)) == tag);
            let mut best: Option<Vec<String>> = None;
            for old in same {
                let mut inner = Compared::of(self.old, self.new);
                inner.any(old, new, at);
                if best
                    .as_ref()
                    .is_none_or(|best| inner.broken.len() < best.len())
                {
                    best = Some(inner.broken);
                }
            }
            match (best, tag) {
                (Some(broken), _) => self.broken.extend(broken),
                (None, Some(_)) => {}
                (None, None) => self.broken.push(format!("{at} may be something else")),
            }
        }
    }

    fn one(&mut self, old: &Map<String, Value>, new: &Map<String, Value>, at: &str) {
        let (before, now) = (types(old), types(new));
        if !before.is_empty() && (now.is_empty() || !now.is_subset(&before)) {
            self.broken
                .push(format!("{at} is {now:?} and was {before:?}"));
            return;
        }
        if let Some(values) = old.get("enum").and_then(Value::as_array) {
            let now = new.get("enum").and_then(Value::as_array);
            if now.is_none_or(|now| now.iter().any(|value| !values.contains(value))) {
                self.broken.push(format!("{at} has values that it had not"));
            }
        }
        let required = |schema: &Map<String, Value>, name: &str| {
            let names = schema.get("required").and_then(Value::as_array);
            names.is_some_and(|names| names.iter().any(|one| one == name))
        };
        let fields = |schema: &Map<String, Value>| {
            let fields = schema.get("properties").and_then(Value::as_object);
            fields.cloned().unwrap_or_default()
        };
        let now = fields(new);
        for (name, field) in fields(old) {
            let at = format!("{at}.{name}");
            match now.get(&name) {
                None => self.broken.push(format!("{at}{IS_GONE}")),
                Some(new_field) => {
                    if required(old, &name) && !required(new, &name) {
                        self.broken.push(format!("{at} need not be there any more"));
                    }
                    self.any(&field, new_field, &at);
                }
            }
        }
        if let (Some(items), Some(now)) = (old.get("items"), new.get("items")) {
            self.any(items, now, &format!("{at}[]"));
        }
    }
}

/// A schema with what it refers to laid into it.
fn whole(root: &Value, schema: &Value) -> Map<String, Value> {
    let mut own = schema.as_object().cloned().unwrap_or_default();
    let Some(Value::String(target)) = own.remove("$ref") else {
        return own;
    };
    let target = target.trim_start_matches('#');
    let mut out = whole(root, root.pointer(target).unwrap_or(&Value::Null));
    for (key, value) in own {
        match (out.get_mut(&key), value) {
            (Some(Value::Object(inner)), Value::Object(more)) => inner.extend(more),
            (Some(Value::Array(inner)), Value::Array(more)) => inner.extend(more),
            (_, value) => drop(out.insert(key, value)),
        }
    }
    out
}

fn alternatives(schema: &Map<String, Value>) -> Option<Vec<Value>> {
    let all = schema.get("oneOf").or(schema.get("anyOf"))?;
    all.as_array().cloned()
}

/// The field with one value only by which an alternative is known, and that value.
fn tag(schema: &Map<String, Value>) -> Option<(String, String)> {
    let fields = schema.get("properties")?.as_object()?;
    fields
        .iter()
        .find_map(|(name, field)| Some((name.clone(), field.get("const")?.to_string())))
}

fn types(schema: &Map<String, Value>) -> BTreeSet<String> {
    let named = match schema.get("type") {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(many)) => {
            let names = many.iter().filter_map(Value::as_str);
            names.map(str::to_owned).collect()
        }
        _ => Vec::new(),
    };
    let is_number = named.iter().any(|name| name == "number");
    let mut all: BTreeSet<String> = named.into_iter().collect();
    if is_number {
        all.insert("integer".to_owned());
    }
    all
}
