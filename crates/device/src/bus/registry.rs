//! The bus by macOS's I/O registry: libusb would open each device to list it (`docs/adr/0013`).

use nusb::{DeviceInfo, MaybeFuture as _};

use super::{BusError, Noted, Speed};

/// Everything that is plugged in.
pub(super) fn devices() -> Result<impl Iterator<Item = Noted>, BusError> {
    let devices = nusb::list_devices().wait();
    let devices = devices.map_err(|error| BusError::NoBus(error.into()))?;
    Ok(devices.map(|device| noted(&device)))
}

fn noted(device: &DeviceInfo) -> Noted {
    // The system's own number, which its usbmuxd passes on; the bus is in its highest byte.
    let location = device.location_id();
    let [bus, ..] = location.to_be_bytes();
    Noted {
        vendor_id: device.vendor_id(),
        product_id: device.product_id(),
        bus,
        ports: device.port_chain().to_vec(),
        speed: device.speed().and_then(speed),
        location,
        serial: device.serial_number().map(str::to_owned),
    }
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
