//! The USB bus itself: which phones are on the cable, whatever usbmuxd says, in which mode, and how fast their cable is.
//!
//! Only what the system has noted of its devices already is read (sysfs, the I/O registry); no phone is opened or asked, because
//! its usbmuxd is at work on it (`docs/adr/0013`). Not here: what to tell the person about it (the agent and `doctor`).

mod ids;
mod looking;
mod plugged;
mod serial;
mod speeds;
#[cfg_attr(target_os = "macos", path = "bus/registry.rs")]
#[cfg_attr(not(target_os = "macos"), path = "bus/sysfs.rs")]
mod system;

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

/// As cables and computers name it, `480 Mb/s`.
impl std::fmt::Display for Speed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Low => "1.5 Mb/s",
            Self::Full => "12 Mb/s",
            Self::High => "480 Mb/s",
            Self::Super => "5 Gb/s",
            Self::SuperPlus => "10 Gb/s",
        })
    }
}

/// Why the bus could not be looked at. The messages follow "failed to look at the USB bus: ".
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    #[error("this computer shows no USB bus to its programs")]
    NoBus(#[source] Box<dyn std::error::Error + Send + Sync>),
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
    let mut phones: Vec<_> = system::devices()?
        .filter_map(|device| Some((Mode::of(device.vendor_id, device.product_id)?, device)))
        .collect();
    phones.sort_by(|(_, one), (_, other)| (one.bus, &one.ports).cmp(&(other.bus, &other.ports)));
    phones.truncate(MOST_PHONES);
    let phones = phones.into_iter();
    Ok(phones.map(|(mode, device)| phone(mode, &device)).collect())
}

/// What the system has noted of a device.
struct Noted {
    vendor_id: u16,
    product_id: u16,
    bus: u8,
    /// From the computer to the device.
    ports: Vec<u8>,
    speed: Option<Speed>,
    /// As usbmuxd on this system numbers it.
    location: u32,
    /// As the system writes it. Whoever builds a device chooses it.
    serial: Option<String>,
}

fn phone(mode: Mode, device: &Noted) -> OnBus {
    let serial = match mode {
        Mode::Normal => device.serial.as_deref().and_then(serial::udid),
        Mode::Recovery | Mode::Wtf | Mode::Dfu => None,
    };
    OnBus {
        serial,
        product_id: device.product_id,
        mode,
        speed: device.speed,
        port: port_name(device.bus, &device.ports),
        location: device.location,
    }
}

fn port_name(bus: u8, ports: &[u8]) -> String {
    let ports: Vec<_> = ports.iter().map(u8::to_string).collect();
    format!("{bus}-{}", ports.join("."))
}

#[cfg(test)]
mod tests;
