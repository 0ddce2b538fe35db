//! The bus by libusb, which on Linux reads what the kernel has noted in sysfs.

use std::io::Read as _;

use rusb::{Context, Device, UsbContext as _};

use super::{BusError, Mode, Noted, Speed, port_name};

/// No string descriptor is longer: 126 units of UTF-16, at most three bytes each in UTF-8.
const LONGEST: u64 = 378;

/// Everything that is plugged in. Nothing of libusb outlives the answer.
pub(super) fn devices() -> Result<impl Iterator<Item = Noted>, BusError> {
    let no_bus = |error: rusb::Error| BusError::NoBus(error.into());
    let context = Context::new().map_err(no_bus)?;
    let devices = context.devices().map_err(no_bus)?;
    let noted: Vec<_> = devices.iter().filter_map(|one| noted(&one)).collect();
    Ok(noted.into_iter())
}

/// `None` for what has been unplugged meanwhile.
fn noted(device: &Device<Context>) -> Option<Noted> {
    let descriptor = device.device_descriptor().ok()?;
    let (vendor_id, product_id) = (descriptor.vendor_id(), descriptor.product_id());
    let (bus, ports) = (device.bus_number(), device.port_numbers().ok()?);
    let serial = match Mode::of(vendor_id, product_id) {
        Some(_) => serial(&port_name(bus, &ports)),
        None => None,
    };
    Some(Noted {
        vendor_id,
        product_id,
        bus,
        speed: speed(device.speed()),
        // `usb_get_location` in usbmuxd's `src/usb.c`.
        location: u32::from(bus) << 16 | u32::from(device.address()),
        serial,
        ports,
    })
}

/// What the kernel read when the phone was plugged in. Anybody may read it there, while libusb would have to open the phone, and
/// only root and usbmuxd may do that.
fn serial(port: &str) -> Option<String> {
    let mut text = String::new();
    let file = std::fs::File::open(format!("/sys/bus/usb/devices/{port}/serial")).ok()?;
    file.take(LONGEST).read_to_string(&mut text).ok()?;
    Some(text.trim_end_matches('\n').to_owned())
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
