//! From text to [`Config`], with the place of every mistake.
//!
//! The sections `[backup]` and `[notify]` have keys of the policy (a type of `core`) and of the agent, so the parsed table
//! is split by owner before it is read into types; the values keep their places in the text on the way.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::PathBuf;

use backupwatch_core::policy::PolicyError;
use backupwatch_core::{Policies, Policy, Udid};
use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer};

use super::{Config, Mistake, Own};
use crate::outside::settings;
use crate::places;

/// The sections of the policy.
const POLICY: [&str; 6] = ["icloud", "backup", "notify", "poll", "retention", "verify"];
/// The sections that the agent owns whole.
const OWN: [&str; 8] = [
    "paths", "usbmuxd", "log", "page", "metrics", "ping", "webhook", "hooks",
];
/// The agent's key that stands in no section.
const ALONE: &str = "menu_bar";
/// Keys of the agent inside sections of the policy.
const MIXED: [(&str, &str); 2] = [("backup", "root"), ("notify", "desktop")];
/// Names of people's devices are short; the bound keeps a paste accident out of every table.
const NAME_MAX: usize = 100;

pub(super) fn parse(text: &str) -> Result<Config, Mistake> {
    let at = |span: Option<Range<usize>>, message: String| mistake(text, span, message);
    let toml = |error: toml::de::Error| at(error.span(), error.message().to_owned());

    let root = DeTable::parse(text).map_err(toml)?;
    let whole = root.span();
    let mut root = root.into_inner();
    for (key, _) in &root {
        let name: &str = key.get_ref();
        let known = POLICY.contains(&name) || OWN.contains(&name);
        if !known && name != "device" && name != ALONE {
            let known: Vec<String> = POLICY
                .iter()
                .chain(&OWN)
                .map(|name| format!("[{name}]"))
                .collect();
            let message = format!(
                "unknown section `{name}`; there are {}, [device.\"UDID\"], and the key `{ALONE}`",
                known.join(", ")
            );
            return Err(at(Some(key.span()), message));
        }
    }

    let mut devices = root.remove("device");
    let mut own_table = split_own(&mut root);
    if let Some(DeValue::Table(devices)) = devices.as_mut().map(Spanned::get_mut) {
        take_own(devices, "device", "backend", &mut own_table);
    }
    let own = Own::deserialize(Deserializer::from(Spanned::new(
        whole.clone(),
        own_table.clone(),
    )))
    .map_err(toml)?;
    if let Some((key, problem)) = own.metrics.contradiction() {
        let span = place_of(&own_table, key);
        return Err(at(span, format!("`{key}` {problem}")));
    }
    if let Err(problem) = settings::check(&own.webhook) {
        return Err(at(place_of(&own_table, "webhook"), problem));
    }
    let general_table = root.clone();
    let general =
        Policy::deserialize(Deserializer::from(Spanned::new(whole, root))).map_err(toml)?;
    general
        .check()
        .map_err(|error| wrong_policy(text, &error, &general_table, &general_table))?;

    let mut config = Config {
        policies: Policies {
            general,
            devices: BTreeMap::new(),
        },
        nicknames: BTreeMap::new(),
        pings: BTreeMap::new(),
        roots: BTreeMap::new(),
        own,
        managed: None,
    };
    match devices.map(|devices| (devices.span(), devices.into_inner())) {
        None => {}
        Some((_, DeValue::Table(devices))) => {
            let mut seen = BTreeSet::new();
            for (key, value) in devices {
                if !seen.insert(key.get_ref().to_ascii_lowercase()) {
                    let twice = "this device has a table already".to_owned();
                    return Err(at(Some(key.span()), twice));
                }
                device(text, &general_table, &mut config, &key, value)?;
            }
        }
        Some((span, _)) => {
            return Err(at(
                Some(span),
                "`device` must be tables, [device.\"UDID\"]".to_owned(),
            ));
        }
    }
    Ok(config)
}

/// Takes what is the agent's out of the root table.
fn split_own<'i>(root: &mut DeTable<'i>) -> DeTable<'i> {
    let mut own = DeTable::new();
    for name in OWN.into_iter().chain([ALONE]) {
        if let Some((key, value)) = root.remove_entry(name) {
            own.insert(key, value);
        }
    }
    for (section, name) in MIXED {
        let Some(DeValue::Table(keys)) = root.get_mut(section).map(Spanned::get_mut) else {
            continue;
        };
        take_own(keys, section, name, &mut own);
    }
    own
}

/// Takes a key of the agent out of a section that it does not own.
fn take_own<'i>(keys: &mut DeTable<'i>, section: &'static str, name: &str, own: &mut DeTable<'i>) {
    let Some((key, value)) = keys.remove_entry(name) else {
        return;
    };
    let mut inner = DeTable::new();
    let span = value.span();
    inner.insert(key, value);
    own.insert(
        Spanned::new(span.clone(), section.into()),
        Spanned::new(span, DeValue::Table(inner)),
    );
}

/// One `[device."UDID"]`: a name, the address of a check, a root of its own, and any key of the policy.
fn device(
    text: &str,
    general: &DeTable<'_>,
    config: &mut Config,
    key: &Spanned<std::borrow::Cow<'_, str>>,
    value: Spanned<DeValue<'_>>,
) -> Result<(), Mistake> {
    let at = |span: Range<usize>, message: String| mistake(text, Some(span), message);
    let toml = |error: toml::de::Error| mistake(text, error.span(), error.message().to_owned());

    let udid = Udid::typed(key.get_ref()).map_err(|error| {
        at(
            key.span(),
            format!("{error}; devices are told apart by UDID"),
        )
    })?;
    let span = value.span();
    let DeValue::Table(mut keys) = value.into_inner() else {
        return Err(at(
            span,
            "a device is a table, [device.\"UDID\"]".to_owned(),
        ));
    };
    if let Some(name) = keys.remove("name") {
        let place = name.span();
        let good = name
            .get_ref()
            .as_str()
            .map(str::trim)
            .filter(|name| !name.is_empty() && name.chars().count() <= NAME_MAX);
        let Some(name) = good else {
            return Err(at(
                place,
                format!("a name is text of 1 to {NAME_MAX} characters"),
            ));
        };
        config.nicknames.insert(udid.clone(), name.to_owned());
    }
    if let Some(ping) = keys.remove("ping") {
        let place = ping.span();
        let address = match ping.get_ref().as_str() {
            Some(text) => config.own.ping.address(text).map_err(|why| why.to_string()),
            None => Err("it is not text".to_owned()),
        };
        let address = address.map_err(|why| at(place, format!("`ping` cannot be used: {why}")))?;
        config.pings.insert(udid.clone(), address);
    }
    root(text, config, &udid, &mut keys)?;
    for (section, name) in MIXED {
        let Some(DeValue::Table(inner)) = keys.get(section).map(Spanned::get_ref) else {
            continue;
        };
        if let Some((key, _)) = inner.get_key_value(name) {
            return Err(at(
                key.span(),
                format!("`{section}.{name}` holds for all devices and belongs into [{section}]"),
            ));
        }
    }
    if keys.is_empty() {
        return Ok(());
    }
    // Read twice: into the policy's type, which finds every mistake with its place, and into a plain table, which still
    // knows what was said and what was not.
    Policy::deserialize(Deserializer::from(Spanned::new(span.clone(), keys.clone())))
        .map_err(toml)?;
    let patch =
        toml::Table::deserialize(Deserializer::from(Spanned::new(span.clone(), keys.clone())))
            .map_err(toml)?;
    let policy = config
        .policies
        .general
        .overlaid(&patch)
        .map_err(|error| at(span, error.message().to_owned()))?;
    policy
        .check()
        .map_err(|error| wrong_policy(text, &error, &keys, general))?;
    // What says the same as the general one is none of the device's own: it would be shown without a key, and not be read again.
    if policy != config.policies.general {
        config.policies.devices.insert(udid, policy);
    }
    Ok(())
}

/// Takes the device's own root out of its table. Whether it lies inside another one is seen here as far as the file says where they
/// are; whoever knows the default looks again.
fn root(
    text: &str,
    config: &mut Config,
    udid: &Udid,
    keys: &mut DeTable<'_>,
) -> Result<(), Mistake> {
    let Some(DeValue::Table(backup)) = keys.get_mut("backup").map(Spanned::get_mut) else {
        return Ok(());
    };
    let Some(value) = backup.remove("root") else {
        return Ok(());
    };
    if backup.is_empty() {
        keys.remove("backup");
    }
    let at = |message: String| mistake(text, Some(value.span()), message);
    let root = value.get_ref().as_str().map(PathBuf::from);
    let root = root.ok_or_else(|| at("`backup.root` is a path as text".to_owned()))?;
    if let Some(why) = places::unfit(&root) {
        return Err(at(why.to_owned()));
    }
    config.roots.insert(udid.clone(), root.clone());
    let shared = config.own.backup.root.as_deref();
    match places::entangled(shared.unwrap_or(&root), &config.roots) {
        Some((_, why)) => Err(at(why)),
        None => Ok(()),
    }
}

/// A policy that contradicts itself, at the place of the key, in the device's table or else in the general one.
fn wrong_policy(
    text: &str,
    error: &PolicyError,
    special: &DeTable<'_>,
    general: &DeTable<'_>,
) -> Mistake {
    let span = place_of(special, error.key).or_else(|| place_of(general, error.key));
    mistake(text, span, format!("`{}` {}", error.key, error.problem))
}

/// Where the dotted key stands, or the longest part of it that is there.
fn place_of(table: &DeTable<'_>, dotted: &str) -> Option<Range<usize>> {
    let mut table = table;
    let mut place = None;
    for part in dotted.split('.') {
        let Some((key, value)) = table.get_key_value(part) else {
            break;
        };
        place = Some(key.span());
        match value.get_ref() {
            DeValue::Table(inner) => table = inner,
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_) => break,
        }
    }
    place
}

fn mistake(text: &str, span: Option<Range<usize>>, message: String) -> Mistake {
    let before = span.and_then(|span| text.get(..span.start.min(text.len())));
    let place = before.map(|before| {
        let line = before.matches('\n').count() + 1;
        let column = before
            .rsplit('\n')
            .next()
            .unwrap_or_default()
            .chars()
            .count()
            + 1;
        (line, column)
    });
    let excerpt = place
        .and_then(|(line, _)| text.lines().nth(line - 1))
        .filter(|line| !line.trim().is_empty());
    // One line, whatever the parser says, so that a log line stays one.
    let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
    Mistake {
        place,
        message,
        excerpt: excerpt.map(|line| line.chars().take(200).collect()),
    }
}
