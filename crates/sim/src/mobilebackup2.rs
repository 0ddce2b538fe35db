//! com.apple.mobilebackup2 as the phone speaks it: DeviceLink over one service connection.

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::phone::Phone;

/// Serves one connection until the host disconnects. `escrow`: the service was started with the right escrow bag. The
/// caller drops this future when the link of the phone goes away.
pub async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send>(
    stream: S,
    phone: Arc<Phone>,
    escrow: bool,
) {
    drop((stream, phone, escrow));
}
