//! The readers of property lists, XML and binary, and the writers of what was read.

use backupwatch_wire::codec::{self, Limits};
use plist::Value;

use super::bytes::{settles, settles_as_xml};

/// Generous, for what one form unfolds to in the other.
const LIMITS: Limits = Limits {
    bytes: 16 << 20,
    depth: Limits::DEPTH,
    values: 1 << 20,
};

pub fn target(input: &[u8]) {
    let limits = Limits::of_bytes(64 << 10);
    let Ok(value) = codec::decode(input, limits) else {
        return;
    };
    let (depth, values) = measure(&value);
    assert!(
        depth <= limits.depth && values <= limits.values,
        "{depth} deep, {values} values"
    );
    settles_as_xml(&value, codec::to_xml, |bytes| codec::decode(bytes, LIMITS));
    settles(&value, codec::to_binary, |bytes| {
        codec::decode(bytes, LIMITS)
    });
    // The second opinion, of the crate whose readers we do not use.
    Value::from_reader_xml(codec::to_xml(&value).as_slice()).expect("others read it");
}

/// How many collections enclose a value at most, and how many values there are, keys included.
fn measure(value: &Value) -> (usize, usize) {
    let inside: Vec<(usize, usize)> = match value {
        Value::Array(values) => values.iter().map(measure).collect(),
        Value::Dictionary(pairs) => pairs
            .values()
            .map(measure)
            .map(|(depth, values)| (depth, values + 1))
            .collect(),
        _ => return (0, 1),
    };
    let deepest = inside.iter().map(|(depth, _)| *depth).max().unwrap_or(0);
    let values: usize = inside.iter().map(|(_, values)| values).sum();
    (deepest + 1, values + 1)
}
