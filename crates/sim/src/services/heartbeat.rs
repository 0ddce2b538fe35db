//! com.apple.mobile.heartbeat: Marco from the phone, Polo from the host (protocol.md section 6).

use std::io;
use std::time::Duration;

use backupwatch_wire::heartbeat::{Beat, is_polo};
use backupwatch_wire::lockdown::MAX_FRAME;

use super::ServiceStream;
use crate::io::Frames;
use crate::phone::{Channel, Phone};

/// Seconds between two Marcos.
const INTERVAL: u32 = 10;
/// A host that has not said Polo for so long is gone.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) async fn serve(stream: ServiceStream, phone: &Phone) -> io::Result<()> {
    let mut frames = Frames::new(stream, MAX_FRAME);
    loop {
        let marco = Beat::Marco {
            interval: Some(INTERVAL),
        };
        if let Some(marco) = marco.to_value() {
            phone.gate().pass("Marco").await;
            frames.send_value(&marco).await?;
        }
        let Ok(answer) = tokio::time::timeout(PATIENCE, frames.next_value()).await else {
            return Ok(());
        };
        match answer? {
            Some(value) if is_polo(&value) => {
                phone.journal().note(Channel::Heartbeat, "Polo", None);
            }
            Some(value) => phone.journal().note(Channel::Heartbeat, "?", Some(value)),
            None => return Ok(()),
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(u64::from(INTERVAL))) => {}
            early = frames.next_value() => {
                if early?.is_none() {
                    return Ok(());
                }
            }
        }
    }
}
