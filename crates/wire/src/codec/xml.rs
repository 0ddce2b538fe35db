//! Reads and writes property lists in XML.
//!
//! Stricter than XML where a plist has no use for it: UTF-8 only, no entities but the five of XML, no elements but a
//! plist's, one value.
//!
//! Not here: the tokens of XML, which quick-xml cuts.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use plist::Value;
use quick_xml::Reader;
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::{BytesRef, Event};

use super::build::Builder;
use super::{DecodeError, date, malformed};

/// Readers of the field take data whose padding is missing, so we do.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

const SYNTAX: DecodeError = malformed("it is not well-formed XML");

pub fn read(bytes: &[u8], builder: Builder) -> Result<Value, DecodeError> {
    let text = std::str::from_utf8(without_nul(bytes))
        .map_err(|_| malformed("it is neither binary nor UTF-8"))?;
    let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}'));
    reader.config_mut().expand_empty_elements = true;
    let mut list = List {
        reader,
        builder,
        in_plist: false,
    };
    while list.step()? {}
    list.builder.finish()
}

/// Some senders count the NUL that ends a C string.
fn without_nul(bytes: &[u8]) -> &[u8] {
    let last = bytes.iter().rposition(|byte| *byte != 0);
    last.and_then(|last| bytes.get(..=last)).unwrap_or_default()
}

struct List<'a> {
    reader: Reader<&'a [u8]>,
    builder: Builder,
    in_plist: bool,
}

impl List<'_> {
    /// Takes the next token between values; false at the end.
    fn step(&mut self) -> Result<bool, DecodeError> {
        match self.reader.read_event().map_err(|_| SYNTAX)? {
            Event::Start(tag) => self.start(tag.name().as_ref())?,
            Event::End(tag) => match tag.name().as_ref() {
                "array" => self.builder.close_array()?,
                "dict" => self.builder.close_dictionary()?,
                _ => {}
            },
            Event::Text(text) if text.chars().all(char::is_whitespace) => {}
            Event::Decl(_) | Event::DocType(_) | Event::Comment(_) | Event::PI(_) => {}
            Event::Eof => return Ok(false),
            Event::Text(_) | Event::CData(_) | Event::GeneralRef(_) | Event::Empty(_) => {
                return Err(malformed("text between values"));
            }
        }
        Ok(true)
    }

    fn start(&mut self, tag: &str) -> Result<(), DecodeError> {
        if tag == "key" {
            let text = self.content()?;
            return self.builder.key(text);
        }
        if tag == "plist" {
            if self.in_plist || self.builder.is_complete() {
                return Err(malformed("more than one list"));
            }
            self.in_plist = true;
            return Ok(());
        }
        let value = match tag {
            "array" => return self.builder.open_array(0),
            "dict" => return self.builder.open_dictionary(),
            "string" => Value::String(self.content()?),
            "integer" => {
                integer(self.content()?.trim()).ok_or(malformed("an integer is not one"))?
            }
            "real" => {
                let real = self.content()?.trim().parse::<f64>();
                Value::Real(real.map_err(|_| malformed("a real is not a number"))?)
            }
            "true" | "false" => {
                let truth = tag == "true";
                if !self.content()?.trim().is_empty() {
                    return Err(malformed("text in a boolean"));
                }
                Value::Boolean(truth)
            }
            "date" => {
                let date = date::from_text(self.content()?.trim());
                Value::Date(date.ok_or(malformed("a date is not of the form of dates"))?)
            }
            "data" => {
                let mut encoded = self.content()?.into_bytes();
                encoded.retain(|byte| !byte.is_ascii_whitespace());
                Value::Data(
                    BASE64
                        .decode(encoded)
                        .map_err(|_| malformed("data are not base64"))?,
                )
            }
            _ => return Err(malformed("an element of unknown kind")),
        };
        self.builder.leaf(value)
    }

    /// The text up to the end of the element that has just begun.
    fn content(&mut self) -> Result<String, DecodeError> {
        let mut content = String::new();
        loop {
            match self.reader.read_event().map_err(|_| SYNTAX)? {
                Event::Text(text) => content.push_str(&text),
                Event::CData(text) => content.push_str(&text),
                Event::GeneralRef(reference) => resolve(&reference, &mut content)?,
                Event::Comment(_) | Event::PI(_) => {}
                Event::End(_) => break,
                Event::Start(_) | Event::Empty(_) => {
                    return Err(malformed("an element within text"));
                }
                Event::Decl(_) | Event::DocType(_) | Event::Eof => return Err(SYNTAX),
            }
        }
        self.builder.spend_bytes(content.len())?;
        Ok(content)
    }
}

fn resolve(reference: &BytesRef<'_>, content: &mut String) -> Result<(), DecodeError> {
    if let Some(char) = reference.resolve_char_ref().map_err(|_| SYNTAX)? {
        content.push(char);
    } else {
        content.push_str(resolve_xml_entity(reference).ok_or(malformed("an unknown entity"))?);
    }
    Ok(())
}

fn integer(text: &str) -> Option<Value> {
    if let Some(hex) = text.strip_prefix("0x") {
        let plain = hex.bytes().all(|byte| byte.is_ascii_hexdigit());
        return plain
            .then(|| u64::from_str_radix(hex, 16).ok())?
            .map(Value::from);
    }
    let signed = text.parse::<i64>().map(Value::from);
    signed
        .or_else(|_| text.parse::<u64>().map(Value::from))
        .ok()
}

const HEAD: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
"#;

/// Bytes on one line of data: 76 columns with Apple's layout, less its tabs.
const DATA_LINE: usize = 51;

pub fn write(value: &Value) -> String {
    let mut out = HEAD.to_owned();
    write_value(&mut out, value, 0);
    out.push_str("</plist>\n");
    out
}

/// Recurses as deep as the value, which decoding keeps under [`super::Limits::MAX_DEPTH`].
fn write_value(out: &mut String, value: &Value, depth: usize) {
    let deeper = depth.saturating_add(1);
    indent(out, depth);
    match value {
        Value::Array(values) if values.is_empty() => out.push_str("<array/>\n"),
        Value::Array(values) => {
            out.push_str("<array>\n");
            for value in values {
                write_value(out, value, deeper);
            }
            indent(out, depth);
            out.push_str("</array>\n");
        }
        Value::Dictionary(dict) if dict.is_empty() => out.push_str("<dict/>\n"),
        Value::Dictionary(dict) => {
            out.push_str("<dict>\n");
            for (key, value) in dict {
                indent(out, deeper);
                element(out, "key", key);
                write_value(out, value, deeper);
            }
            indent(out, depth);
            out.push_str("</dict>\n");
        }
        Value::Boolean(truth) => out.push_str(if *truth { "<true/>\n" } else { "<false/>\n" }),
        Value::Data(bytes) => {
            out.push_str("<data>\n");
            for line in bytes.chunks(DATA_LINE) {
                indent(out, depth);
                BASE64.encode_string(line, out);
                out.push('\n');
            }
            indent(out, depth);
            out.push_str("</data>\n");
        }
        Value::Date(date) => element(out, "date", &date::to_text(*date)),
        Value::Real(real) if real.is_infinite() => {
            element(
                out,
                "real",
                if *real > 0.0 {
                    "+infinity"
                } else {
                    "-infinity"
                },
            );
        }
        Value::Real(real) if real.is_nan() => element(out, "real", "nan"),
        // The shortest form that reads back as the same number.
        Value::Real(real) => element(out, "real", &format!("{real:?}")),
        Value::Integer(integer) => element(out, "integer", &integer.to_string()),
        Value::String(text) => element(out, "string", text),
        Value::Uid(uid) => {
            out.push_str("<dict>\n");
            indent(out, deeper);
            element(out, "key", "CF$UID");
            indent(out, deeper);
            element(out, "integer", &uid.get().to_string());
            indent(out, depth);
            out.push_str("</dict>\n");
        }
        // `Value` is open to new kinds; the property lists of Apple have had these nine for twenty years.
        _ => element(out, "string", ""),
    }
}

fn indent(out: &mut String, depth: usize) {
    out.extend(std::iter::repeat_n('\t', depth));
}

fn element(out: &mut String, name: &str, text: &str) {
    out.push('<');
    out.push_str(name);
    out.push('>');
    for char in text.chars() {
        match char {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            // A reader of XML would turn a plain one into a line feed.
            '\r' => out.push_str("&#13;"),
            '\t' | '\n' => out.push(char),
            '\0'..' ' | '\u{fffe}' | '\u{ffff}' => out.push(char::REPLACEMENT_CHARACTER),
            other => out.push(other),
        }
    }
    // Writing to a String cannot fail.
    let _ = writeln!(out, "</{name}>");
}
