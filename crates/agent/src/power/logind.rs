//! An inhibitor lock of logind, which every desktop's own suspend respects. It is a file descriptor: closing it gives the lock
//! back, however this process ends. `systemd-inhibit --list` lists it.
//!
//! The bus is asked for each backup anew, so an idle agent has no connection to it.

use super::{WHO, WHY};
use std::os::fd::OwnedFd;

const LOGIND: &str = "org.freedesktop.login1";
const PATH: &str = "/org/freedesktop/login1";
const MANAGER: &str = "org.freedesktop.login1.Manager";

/// What a backup wants to be spared. Desktops suspend an idle computer by asking logind for it, hence `sleep`.
const ALL: &str = "idle:sleep";
/// What anybody may ask for, also without a seat at this computer.
const LEAST: &str = "idle";

pub(super) async fn hold() -> Result<OwnedFd, String> {
    let bus = zbus::Connection::system()
        .await
        .map_err(|error| format!("the system bus does not answer ({error})"))?;
    let held = match inhibit(&bus, ALL).await {
        Ok(held) => Ok(held),
        // polkit keeps `sleep` to those who sit here.
        Err(zbus::Error::MethodError(..) | zbus::Error::FDO(_)) => inhibit(&bus, LEAST).await,
        Err(error) => Err(error),
    };
    held.map_err(|error| format!("logind does not take an inhibitor ({error})"))
}

async fn inhibit(bus: &zbus::Connection, what: &str) -> zbus::Result<OwnedFd> {
    // "block", as "delay" would only put it off by a few seconds.
    let lock = (what, WHO, WHY, "block");
    let reply = bus
        .call_method(Some(LOGIND), PATH, Some(MANAGER), "Inhibit", &lock)
        .await?;
    let held: zbus::zvariant::OwnedFd = reply.body().deserialize()?;
    Ok(held.into())
}
