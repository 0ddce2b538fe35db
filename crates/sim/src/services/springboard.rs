//! com.apple.springboardservices: the icons that hosts put into Info.plist (protocol.md 9.6), and nothing else of it.

use std::io;

use backupwatch_wire::lockdown::MAX_FRAME;
use plist::{Dictionary, Value};

use super::ServiceStream;
use crate::io::Frames;
use crate::phone::{Channel, Phone};

pub(super) use backupwatch_wire::springboard::SERVICE;

/// The smallest PNG: one transparent pixel.
const ICON: &[u8] = &[
    0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 0x0d, b'I', b'H', b'D', b'R', 0, 0, 0,
    1, 0, 0, 0, 1, 8, 6, 0, 0, 0, 0x1f, 0x15, 0xc4, 0x89, 0, 0, 0, 0x0d, b'I', b'D', b'A', b'T',
    0x78, 0x9c, 0x63, 0, 1, 0, 0, 5, 0, 1, 0x0d, 0x0a, 0x2d, 0xb4, 0, 0, 0, 0, b'I', b'E', b'N',
    b'D', 0xae, 0x42, 0x60, 0x82,
];

pub(super) async fn serve(stream: ServiceStream, phone: &Phone) -> io::Result<()> {
    let mut frames = Frames::new(stream, MAX_FRAME);
    while let Some(value) = frames.next_value().await? {
        let text = |key: &str| {
            value
                .as_dictionary()
                .and_then(|body| body.get(key))
                .and_then(Value::as_string)
        };
        let command = text("command").unwrap_or_default().to_owned();
        let bundle = text("bundleId").unwrap_or_default();
        let known = phone
            .persona()
            .app
            .iter()
            .any(|app| app.bundle_id == bundle);
        let answer: Dictionary = match command.as_str() {
            "getIconPNGData" if known => [("pngData".to_owned(), Value::Data(ICON.to_vec()))]
                .into_iter()
                .collect(),
            "getIconPNGData" => Dictionary::new(),
            _ => [("error".to_owned(), Value::from("unknown command"))]
                .into_iter()
                .collect(),
        };
        phone.journal().note(Channel::SpringBoard, command, None);
        frames.send_value(&Value::Dictionary(answer)).await?;
    }
    Ok(())
}
