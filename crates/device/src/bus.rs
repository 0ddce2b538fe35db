//! The USB bus itself: which phones are on the cable, whatever usbmuxd says, in which mode, and how fast their cable is.
//!
//! Only descriptors that the system has read already are looked at; no phone is opened, because on macOS that takes it from
//! whoever uses it. Not here: what to tell the person about it (the agent and `doctor`).

mod ids;
mod serial;

use rusb::{Context, Device, UsbContext};

pub use ids::Mode;

/// More phones than any bus has room for.
const MOST_PHONES: usize = 512;

/// One iPhone, iPad or iPod touch on the cable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnBus {
    /// The UDID as usbmuxd writes it. Absent where the system tells it to nobody who does not open the phone (macOS), and
    /// in every mode but the normal one, where the string has the phone's other, private numbers.
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
    pub location: Option<u32>,
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
    NoBus(#[source] rusb::Error),
    #[error("the devices on it cannot be listed")]
    List(#[source] rusb::Error),
}

/// Every phone on the cable, in the order of the ports. Blocks, for some milliseconds; nothing of libusb outlives it.
///
/// # Errors
/// When this computer has no USB, or shows it to nobody.
pub fn scan() -> Result<Vec<OnBus>, BusError> {
    let context = Context::new().map_err(BusError::NoBus)?;
    let devices = context.devices().map_err(BusError::List)?;
    let mut phones: Vec<_> = devices
        .iter()
        .filter_map(|device| phone(&device))
        .take(MOST_PHONES)
        .collect();
    phones.sort_by(|one, other| one.port.cmp(&other.port));
    Ok(phones)
}

/// `None` for whatever is not a phone, and for what has been unplugged meanwhile.
fn phone<T: UsbContext>(device: &Device<T>) -> Option<OnBus> {
    let descriptor = device.device_descriptor().ok()?;
    let product_id = descriptor.product_id();
    let mode = Mode::of(descriptor.vendor_id(), product_id)?;
    let ports = device.port_numbers().unwrap_or_default();
    let port = port_name(device.bus_number(), &ports);
    let serial = match mode {
        Mode::Normal => serial::read(&port),
        Mode::Recovery | Mode::Wtf | Mode::Dfu => None,
    };
    Some(OnBus {
        serial,
        product_id,
        mode,
        speed: speed(device.speed()),
        location: location(device.bus_number(), device.address(), &ports),
        port,
    })
}

fn speed(speed: rusb::Speed) -> Option<Speed> {
    match speed {
        rusb::Speed::Low => Some(Speed::Low),
        rusb::Speed::Full => Some(Speed::Full),
        rusb::Speed::High => Some(Speed::High),
        rusb::Speed::Super => Some(Speed::Super),
        rusb::Speed::SuperPlus => Some(Speed::SuperPlus),
        // Not our enum, and it may grow.
        rusb::Speed::Unknown | _ => None,
    }
}

fn port_name(bus: u8, ports: &[u8]) -> String {
    let ports: Vec<_> = ports.iter().map(u8::to_string).collect();
    format!("{bus}-{}", ports.join("."))
}

fn location(bus: u8, address: u8, ports: &[u8]) -> Option<u32> {
    if cfg!(target_os = "macos") {
        location_by_ports(bus, ports)
    } else {
        Some(location_by_address(bus, address))
    }
}

/// As macOS numbers them: the bus in the highest byte, then four bits for the port of each hub on the way.
fn location_by_ports(bus: u8, ports: &[u8]) -> Option<u32> {
    if ports.is_empty() || ports.len() > 6 || ports.iter().any(|port| !(1..=15).contains(port)) {
        return None;
    }
    let mut location = u32::from(bus) << 24;
    for (port, shift) in ports.iter().zip([20, 16, 12, 8, 4, 0]) {
        location |= u32::from(*port) << shift;
    }
    Some(location)
}

/// As usbmuxd numbers them on Linux (`usb_get_location` in its `src/usb.c`).
fn location_by_address(bus: u8, address: u8) -> u32 {
    u32::from(bus) << 16 | u32::from(address)
}

#[cfg(test)]
mod tests;
