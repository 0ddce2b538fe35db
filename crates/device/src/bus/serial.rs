//! The UDID in a phone's serial number string.

/// No string descriptor is longer: 126 units of UTF-16, at most three bytes each in UTF-8.
#[cfg(target_os = "linux")]
const LONGEST: u64 = 378;

/// What the kernel has read already, when the phone was plugged in. Anybody may read it there, while only root or usbmuxd may
/// ask the phone itself.
#[cfg(target_os = "linux")]
pub(super) fn read(port: &str) -> Option<String> {
    use std::fs::File;
    use std::io::Read;

    let mut bytes = Vec::new();
    File::open(format!("/sys/bus/usb/devices/{port}/serial"))
        .and_then(|file| file.take(LONGEST).read_to_end(&mut bytes))
        .ok()?;
    udid(&bytes)
}

/// To be asked for it the phone would have to be opened, and libusb takes it from whoever has it (`USBDeviceOpenSeize`).
#[cfg(not(target_os = "linux"))]
pub(super) fn read(_port: &str) -> Option<String> {
    None
}

/// The 24 digits of newer phones get the dash that every other place writes after the eighth. Anything else than a UDID is
/// nothing: whoever builds a device chooses its strings.
#[cfg_attr(
    not(any(target_os = "linux", test)),
    expect(
        dead_code,
        reason = "only Linux tells the string without opening the phone"
    )
)]
pub(super) fn udid(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    // Phones with 24 digits fill the old 40 with NUL.
    let text = text.trim_end_matches(['\n', '\0']);
    let text = match text.split_at_checked(8) {
        Some((first, rest)) if text.len() == 24 => format!("{first}-{rest}"),
        _ => text.to_owned(),
    };
    backupwatch_core::Udid::parse(&text).ok()?;
    Some(text)
}
