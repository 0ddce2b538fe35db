//! Where usbmuxd listens: the default socket, or what `USBMUXD_SOCKET_ADDRESS` says in any spelling of the field.
//!
//! Not here: reading the environment. The binary does that and hands the text in.

use std::fmt;
use std::io;

use backupwatch_wire::address::{AddressError, SocketAddress};
use idevice::IdeviceSocket;
use tokio::net::{TcpStream, UnixStream};

/// The address of usbmuxd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MuxAddress(SocketAddress);

impl MuxAddress {
    /// From the text of `USBMUXD_SOCKET_ADDRESS`; absent or empty means the default socket.
    ///
    /// # Errors
    /// When the text is none of the spellings of protocol.md 3.5. Falling back to the default, as libusbmuxd does, would
    /// silently watch another daemon than the one that was meant.
    pub fn resolve(variable: Option<&str>) -> Result<Self, AddressError> {
        match variable.map(str::trim).filter(|text| !text.is_empty()) {
            Some(text) => SocketAddress::parse(text).map(Self),
            None => Ok(Self(SocketAddress::default())),
        }
    }

    /// Whether this is the daemon that has the phones on this computer's own cables.
    #[must_use]
    pub fn is_the_systems(&self) -> bool {
        self.0 == SocketAddress::default()
    }

    pub(crate) async fn connect(&self) -> io::Result<IdeviceSocket> {
        match &self.0 {
            SocketAddress::Unix(path) => Ok(Box::new(UnixStream::connect(path).await?)),
            SocketAddress::Tcp { host, port } => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                // Requests and answers are short, and the tunnels carry question-and-answer protocols.
                stream.set_nodelay(true)?;
                Ok(Box::new(stream))
            }
        }
    }
}

impl From<SocketAddress> for MuxAddress {
    fn from(address: SocketAddress) -> Self {
        Self(address)
    }
}

impl fmt::Display for MuxAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_variable_means_the_default_socket_and_nonsense_is_an_error() {
        for (name, variable, want) in [
            ("absent", None, Some("/var/run/usbmuxd")),
            ("empty", Some(""), Some("/var/run/usbmuxd")),
            ("blank", Some("  "), Some("/var/run/usbmuxd")),
            ("a path", Some("/tmp/mux"), Some("/tmp/mux")),
            ("another scheme", Some("http://host:80"), None),
            ("no port", Some("host:"), None),
        ] {
            let want = want.map(|path| MuxAddress(SocketAddress::Unix(path.into())));
            let systems = want.as_ref().is_some_and(MuxAddress::is_the_systems);
            assert_eq!(
                systems,
                want.is_some() && variable != Some("/tmp/mux"),
                "{name}"
            );
            assert_eq!(MuxAddress::resolve(variable).ok(), want, "{name}");
        }
    }
}
