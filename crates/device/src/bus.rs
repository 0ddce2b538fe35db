//! The USB bus itself: which phones are on the cable, whatever usbmuxd says, in which mode, and how fast their cable is.
//!
//! Only what the system has noted of its devices already is read (sysfs, the I/O registry); no phone is opened or asked, because
//! its usbmuxd is at work on it (`docs/adr/0013`). Not here: what to tell the person about it (the agent and `doctor`).

mod ids;
mod looking;
mod plugged;
mod serial;
mod speeds;

use nusb::{DeviceInfo, MaybeFuture};

pub use ids::Mode;
pub use looking::{Found, Listed, look};
pub use plugged::plugged;
pub use speeds::could_be;

/// More phones than any bus has room for.
const MOST_PHONES: usize = 512;

/// One iPhone, iPad or iPod touch on the cable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnBus {
    /// The UDID as usbmuxd writes it. Absent where the phone gives none that is one, and in every mode but the normal one:
    /// there the string has the phone's other, private numbers.
    pub serial: Option<String>,
    /// USB product id.
    pub product_id: u16,
    /// What the product id says of the phone's state.
    pub mode: Mode,
    /// How fast phone and computer have agreed to talk; absent where the system does not know or has a name of its own.
    pub speed: Option<Speed>,
    /// Bus and ports, as Linux writes them: `3-1.2`.
    pub port: String,
    /// The same as the number that this system's usbmuxd calls `LocationID`.
    pub location: u32,
}

/// The speed of a link, slowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Speed {
    /// 1.5 Mb/s.
    Low,
    /// 12 Mb/s.
    Full,
    /// 480 Mb/s: USB 2.
    High,
    /// 5 Gb/s: USB 3.
    Super,
    /// 10 Gb/s.
    SuperPlus,
}

/// Why the bus could not be looked at. The messages follow "failed to look at the USB bus: ".
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    #[error("this computer shows no USB bus to its programs")]
    NoBus(#[source] nusb::Error),
    #[error("this computer does not tell who plugs and unplugs")]
    NoHotPlug(#[source] nusb::Error),
    #[error("what reads it broke")]
    Broken(#[source] tokio::task::JoinError),
}

/// Every phone on the cable, in the order of the ports. Blocks, for some milliseconds.
///
/// # Errors
/// When this computer has no USB, or shows it to nobody.
pub fn scan() -> Result<Vec<OnBus>, BusError> {
    let devices = nusb::list_devices().wait().map_err(BusError::NoBus)?;
    let mut phones: Vec<_> = devices.filter_map(|device| phone(&device)).collect();
    phones.sort_by(|(one, _), (other, _)| one.cmp(other));
    phones.truncate(MOST_PHONES);
    Ok(phones.into_iter().map(|(_, phone)| phone).collect())
}

/// Bus and ports, in the order of which phones are told.
type Place = (u8, Vec<u8>);

/// `None` for whatever is not a phone.
fn phone(device: &DeviceInfo) -> Option<(Place, OnBus)> {
    let product_id = device.product_id();
    let mode = Mode::of(device.vendor_id(), product_id)?;
    let serial = match mode {
        Mode::Normal => device.serial_number().and_then(serial::udid),
        Mode::Recovery | Mode::Wtf | Mode::Dfu => None,
    };
    let bus = bus(device);
    let ports = device.port_chain();
    let phone = OnBus {
        serial,
        product_id,
        mode,
        speed: device.speed().and_then(speed),
        port: port_name(bus, ports),
        location: location(device),
    };
    Some(((bus, ports.to_vec()), phone))
}

fn speed(speed: nusb::Speed) -> Option<Speed> {
    match speed {
        nusb::Speed::Low => Some(Speed::Low),
        nusb::Speed::Full => Some(Speed::Full),
        nusb::Speed::High => Some(Speed::High),
        nusb::Speed::Super => Some(Speed::Super),
        nusb::Speed::SuperPlus => Some(Speed::SuperPlus),
        // Not our enum, and it may grow.
        _ => None,
    }
}

fn port_name(bus: u8, ports: &[u8]) -> String {
    let ports: Vec<_> = ports.iter().map(u8::to_string).collect();
    format!("{bus}-{}", ports.join("."))
}

#[cfg(target_os = "linux")]
fn bus(device: &DeviceInfo) -> u8 {
    device.busnum()
}

/// As usbmuxd numbers them on Linux: `usb_get_location` in its `src/usb.c`.
#[cfg(target_os = "linux")]
fn location(device: &DeviceInfo) -> u32 {
    u32::from(device.busnum()) << 16 | u32::from(device.device_address())
}

#[cfg(target_os = "macos")]
fn bus(device: &DeviceInfo) -> u8 {
    let [bus, ..] = location(device).to_be_bytes();
    bus
}

/// The system's own number, which its usbmuxd passes on.
#[cfg(target_os = "macos")]
fn location(device: &DeviceInfo) -> u32 {
    device.location_id()
}

#[cfg(test)]
mod tests;
