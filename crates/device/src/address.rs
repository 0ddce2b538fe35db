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

    /// Whether libusbmuxd ends up here with this text of `USBMUXD_SOCKET_ADDRESS`. It knows fewer spellings than we do, and takes its
    /// default for the others without a word; the one that [`fmt::Display`] writes is among them.
    #[must_use]
    pub fn is_what_libusbmuxd_reads(&self, variable: Option<&str>) -> bool {
        match variable {
            None | Some("") => self.is_the_systems(),
            Some(text) => text == self.to_string(),
        }
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

    #[test]
    fn libusbmuxd_is_given_a_spelling_that_it_knows() {
        for (variable, spelling, as_it_is) in [
            (None, "UNIX:/var/run/usbmuxd", true),
            (Some(""), "UNIX:/var/run/usbmuxd", true),
            (Some("/tmp/mux"), "UNIX:/tmp/mux", false),
            (Some("unix:///tmp/mux"), "UNIX:/tmp/mux", false),
            (Some("UNIX:/tmp/mux"), "UNIX:/tmp/mux", true),
            (Some("tcp://localhost:27015"), "localhost:27015", false),
            (Some("localhost:27015"), "localhost:27015", true),
            (Some("[::1]:27015"), "[::1]:27015", true),
        ] {
            let address = MuxAddress::resolve(variable).unwrap();
            assert_eq!(address.to_string(), spelling, "{variable:?}");
            assert_eq!(
                address.is_what_libusbmuxd_reads(variable),
                as_it_is,
                "{variable:?}"
            );
            assert!(address.is_what_libusbmuxd_reads(Some(spelling)));
            assert_eq!(MuxAddress::resolve(Some(spelling)), Ok(address));
        }
        let elsewhere = MuxAddress::resolve(Some("/tmp/mux")).unwrap();
        assert!(!elsewhere.is_what_libusbmuxd_reads(None));
    }
}
