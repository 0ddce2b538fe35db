//! The UDID in a phone's serial number string.

use backupwatch_core::Udid;

/// The 24 digits of newer phones get the dash that usbmuxd and everybody else writes after the eighth. Anything else than a UDID
/// is nothing: whoever builds a device chooses its strings.
pub(super) fn udid(text: &str) -> Option<String> {
    // Phones with 24 digits fill the old 40 with NUL.
    let text = text.trim_end_matches('\0');
    let text = match text.split_at_checked(8) {
        Some((first, rest)) if text.len() == 24 => format!("{first}-{rest}"),
        _ => text.to_owned(),
    };
    Udid::parse(&text).ok()?;
    Some(text)
}
