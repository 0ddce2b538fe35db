//! Hears from logind that the computer woke up. A timer that was to run out in the night still has all of that time to go in the
//! morning, so somebody has to say it.
//!
//! Where there is no logind, the agent sees it at its next turn by the wall clock.

use crate::FromDesktop;
use std::{future::poll_fn, pin::pin};
use tokio::sync::mpsc;
use zbus::{
    Connection, MatchRule, MessageStream, export::futures_core::Stream as _, message::Type,
};

/// Tells `desk` of each waking until nobody listens. Ends at once where nobody tells.
pub(crate) async fn listen(desk: mpsc::Sender<FromDesktop>) {
    if let Err(error) = hear(&desk).await {
        tracing::info!(%error, "nobody tells when this computer wakes up");
    }
}

async fn hear(desk: &mpsc::Sender<FromDesktop>) -> zbus::Result<()> {
    let bus = Connection::system().await?;
    let rule = MatchRule::builder()
        .msg_type(Type::Signal)
        .sender("org.freedesktop.login1")?
        .path("/org/freedesktop/login1")?
        .interface("org.freedesktop.login1.Manager")?
        .member("PrepareForSleep")?
        .build();
    let mut signals = pin!(MessageStream::for_match_rule(rule, &bus, Some(1)).await?);
    while let Some(signal) = poll_fn(|cx| signals.as_mut().poll_next(cx)).await {
        let falls_asleep: bool = signal?.body().deserialize()?;
        if !falls_asleep && desk.send(FromDesktop::Woke).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}
