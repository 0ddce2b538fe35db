//! com.apple.mobile.notification_proxy (protocol.md section 7): the host observes names and posts names; the phone relays
//! what it posts itself. What the host posts is noted and goes to nobody.

use std::collections::BTreeSet;
use std::io;

use backupwatch_wire::lockdown::MAX_FRAME;
use backupwatch_wire::notification_proxy::{Event, Request};
use tokio::sync::broadcast::error::RecvError;

use super::ServiceStream;
use crate::io::Frames;
use crate::phone::{Channel, Phone};

/// More observed names than this are no host of the field.
const OBSERVED: usize = 256;

pub(super) async fn serve(stream: ServiceStream, phone: &Phone) -> io::Result<()> {
    let mut frames = Frames::new(stream, MAX_FRAME);
    let mut posts = phone.posts();
    let mut observed = BTreeSet::new();
    loop {
        tokio::select! {
            value = frames.next_value() => {
                let Some(value) = value? else {
                    return Ok(());
                };
                let request = Request::from_value(&value).map_err(io::Error::other)?;
                match request {
                    Request::Observe { name } => {
                        phone.journal().note(Channel::NotificationProxy, format!("observe {name}"), None);
                        if observed.len() < OBSERVED {
                            observed.insert(name);
                        }
                    }
                    Request::Post { name } => {
                        phone.journal().note(Channel::NotificationProxy, format!("post {name}"), None);
                    }
                    Request::Shutdown => {
                        phone.journal().note(Channel::NotificationProxy, "Shutdown", None);
                        return frames.send_value(&Event::ProxyDeath.to_value()).await;
                    }
                    Request::Other { command } => {
                        phone.journal().note(Channel::NotificationProxy, command, None);
                    }
                }
            }
            post = posts.recv() => match post {
                Ok(name) if observed.contains(&name) => {
                    phone.gate().pass(&name).await;
                    frames.send_value(&Event::Relay { name }.to_value()).await?;
                }
                // Not observed; or missed by a host that does not read, as on a phone.
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return Ok(()),
            },
        }
    }
}
