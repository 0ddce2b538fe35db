//! com.apple.mobilebackup2 as the phone speaks it: DeviceLink over one service connection (protocol.md 8 and 9).
//!
//! The phone asks and the host answers; this module opens the link and hands each command of the host to the operation
//! that it begins. It also judges: what a host sends that it must not is kept in [`BackupSide::violations`], and the
//! requests that wipe a phone or switch its iCloud Backup are noted and never obeyed.

mod backup;
mod hands;
mod host;
mod link;
mod password;
mod prepared;
mod previous;
mod rogue;
mod settings;
mod side;
mod steps;
mod upload;

use std::convert::Infallible;
use std::sync::Arc;

use backupwatch_wire::devicelink::message::VERSION;
use backupwatch_wire::devicelink::{DeviceMessage, HostMessage};
use backupwatch_wire::mobilebackup2::{
    HostCommand, HostRequest, MbError, Response, common_version,
};
use plist::{Dictionary, Value};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::phone::{Channel, Phone};

pub use rogue::ROGUE_CONTENT;
pub use settings::Backup;
pub use side::{BackupSide, Finished, How, Keys};

pub(crate) use backup::passcode;
pub(crate) use host::Stop;
use link::End;
pub(crate) use link::Link;
pub(crate) use previous::open_in_place;

/// Requests that no host of ours may ever send; here they have no effect but a violation.
const FORBIDDEN: [&str; 2] = ["EraseDevice", "EnableCloudBackup"];

/// Serves one connection until the host disconnects. `escrow`: the service was started with the right escrow bag. The
/// caller drops this future when the link of the phone goes away.
pub async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send>(
    stream: S,
    phone: Arc<Phone>,
    escrow: bool,
) {
    let mut link = Link::new(stream, phone, escrow);
    let Err(end) = converse(&mut link).await;
    link.phone
        .journal()
        .note(Channel::Backup, format!("end: {end:?}"), None);
}

async fn converse<S: AsyncRead + AsyncWrite + Unpin + Send>(
    link: &mut Link<S>,
) -> Result<Infallible, End> {
    link.send(&DeviceMessage::VersionExchange {
        major: VERSION,
        minor: 0,
    })
    .await?;
    match link.receive().await? {
        HostMessage::VersionExchange { version } => {
            link.version = version.unwrap_or(VERSION).min(VERSION)
        }
        HostMessage::Status(_)
        | HostMessage::BadStatus { .. }
        | HostMessage::ProcessMessage(_)
        | HostMessage::Disconnect { .. }
        | HostMessage::Unknown { .. } => {
            link.violation("another message where the version was due");
            return Err(End::Died);
        }
    }
    link.send(&DeviceMessage::DeviceReady).await?;
    let mut greeted = false;
    loop {
        match link.receive().await? {
            HostMessage::ProcessMessage(body) => greeted |= request(link, body, greeted).await?,
            HostMessage::Status(_) | HostMessage::BadStatus { .. } => {
                link.violation("a status that nobody asked for");
            }
            HostMessage::VersionExchange { .. } | HostMessage::Unknown { .. } => {
                link.violation("a message that belongs nowhere");
            }
            HostMessage::Disconnect { .. } => return Err(End::Disconnected),
        }
    }
}

/// One request of the host. True when it was a greeting that was understood.
async fn request<S: AsyncRead + AsyncWrite + Unpin + Send>(
    link: &mut Link<S>,
    body: Dictionary,
    greeted: bool,
) -> Result<bool, End> {
    let request = match HostRequest::from_dictionary(body) {
        Ok(request) => request,
        Err(error) => {
            link.violation(format!("a request that is none: {error}"));
            return Err(End::Died);
        }
    };
    if !greeted && !matches!(request, HostRequest::Hello { .. }) {
        link.violation("a command before the greeting");
    }
    let outcome = match request {
        HostRequest::Hello { versions } => {
            let common = common_version(&versions);
            let response = match common {
                Some(version) => Response::hello(version),
                None => Response::failed(MbError::GENERIC, "No common protocol version"),
            };
            link.send(&response.to_message()).await?;
            return Ok(common.is_some());
        }
        HostRequest::Command(HostCommand::Backup {
            target,
            source: _,
            force_full,
        }) => {
            check_target(link, &target)?;
            backup::run(link, force_full).await
        }
        HostRequest::Command(HostCommand::ChangePassword { target, change }) => {
            check_target(link, &target)?;
            password::change(link, change).await
        }
        HostRequest::Other { name, body } => {
            check_target(
                link,
                body.get("TargetIdentifier")
                    .and_then(Value::as_string)
                    .unwrap_or_default(),
            )?;
            if name == "Restore" {
                crate::restore::run(link, &body).await
            } else {
                if FORBIDDEN.contains(&name.as_str()) {
                    link.violation(format!("the forbidden request {name}"));
                }
                // Extract, Info, List and Unback have been broken since iOS 10 (LIM#607, #1224, #1651).
                Err(Stop::failed(
                    MbError::GENERIC,
                    format!("{name} is not supported"),
                ))
            }
        }
    };
    let response = match outcome {
        Ok(()) => Response::ok(),
        Err(Stop::Failed { code, text }) => {
            let text = if text.contains("MBErrorDomain") {
                text
            } else {
                format!("{text} (MBErrorDomain/{})", code.code())
            };
            Response::failed(code, &text)
        }
        Err(Stop::Over) => return Ok(false),
        Err(Stop::End(end)) => return Err(end),
    };
    link.send(&response.to_message()).await?;
    Ok(false)
}

/// A wrong target hits an assertion in the backup agent, and the link just dies (protocol.md 9.2).
fn check_target<S: AsyncRead + AsyncWrite + Unpin + Send>(
    link: &Link<S>,
    target: &str,
) -> Result<(), End> {
    if target == link.phone.udid() {
        return Ok(());
    }
    link.violation("a command for another phone");
    Err(End::Died)
}
