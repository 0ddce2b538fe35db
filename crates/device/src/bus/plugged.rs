//! Who plugs and unplugs, as the system tells it: udev on Linux, IOKit on macOS. Both wait in the kernel, without a timer.

use std::future::poll_fn;
use std::pin::Pin;

use futures_core::Stream;
use nusb::hotplug::HotplugEvent;

use super::{BusError, Mode};

/// Calls `hint` each time when a phone was plugged in, and when anything was unplugged, which has no name any more. Goes on until it is
/// dropped.
///
/// # Errors
/// When the system does not tell.
pub async fn plugged(hint: impl Fn()) -> Result<(), BusError> {
    let mut events = nusb::watch_devices().map_err(BusError::NoHotPlug)?;
    while let Some(event) = poll_fn(|context| Pin::new(&mut events).poll_next(context)).await {
        match event {
            HotplugEvent::Connected(device)
                if Mode::of(device.vendor_id(), device.product_id()).is_none() => {}
            HotplugEvent::Connected(_) | HotplugEvent::Disconnected(_) => hint(),
        }
    }
    Ok(())
}
