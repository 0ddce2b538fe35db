//! Where usbmuxd listens, in every spelling of `USBMUXD_SOCKET_ADDRESS` that a client of the field accepts.
//!
//! The clients disagree (`docs/protocol/usbmuxd.md`, "Where it listens"), so this takes the union, and what no client
//! understands is an error: a silent fall-back would talk to the wrong daemon.
//!
//! Not here: reading the variable, connecting, resolving names.

use std::fmt;
use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The socket of the system's usbmuxd, on macOS and Linux.
pub const DEFAULT: &str = "/var/run/usbmuxd";

/// An address of a usbmuxd.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SocketAddress {
    Unix(PathBuf),
    /// `host` is a name or an IP address, an IPv6 one without brackets.
    Tcp {
        host: String,
        port: u16,
    },
}

/// Why a text is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    #[error("the address is empty")]
    Empty,
    #[error("the scheme {scheme:?} is neither unix nor tcp")]
    Scheme { scheme: String },
    #[error("{text:?} is not host:port or [ipv6]:port")]
    HostPort { text: String },
    #[error("{port:?} is not a port from 1 to 65535")]
    Port { port: String },
}

impl SocketAddress {
    /// Reads `UNIX:/path`, `unix:///path`, `/path`, `path`, `host:port`, `[ipv6]:port` or `tcp://host:port`; the schemes in
    /// any case.
    ///
    /// # Errors
    /// When the text is none of them.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        if text.starts_with('/') {
            return Self::unix(text);
        }
        match text.split_once(':') {
            None => Self::unix(text),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("unix") => {
                Self::unix(rest.strip_prefix("//").unwrap_or(rest))
            }
            Some((scheme, rest)) => match rest.strip_prefix("//") {
                Some(rest) if scheme.eq_ignore_ascii_case("tcp") => Self::tcp(rest),
                Some(_) => Err(AddressError::Scheme {
                    scheme: scheme.to_owned(),
                }),
                None => Self::tcp(text),
            },
        }
    }

    fn unix(path: &str) -> Result<Self, AddressError> {
        if path.is_empty() {
            return Err(AddressError::Empty);
        }
        Ok(Self::Unix(PathBuf::from(path)))
    }

    fn tcp(text: &str) -> Result<Self, AddressError> {
        let no_pair = || AddressError::HostPort {
            text: text.to_owned(),
        };
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once("]:").ok_or_else(no_pair)?;
                // A zone ("%en0") is for the resolver to judge.
                let (ip, _zone) = host.split_once('%').unwrap_or((host, ""));
                ip.parse::<Ipv6Addr>().map_err(|_| no_pair())?;
                (host, port)
            }
            None => text.split_once(':').ok_or_else(no_pair)?,
        };
        let in_a_name = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
        if host.is_empty() || !(text.starts_with('[') || host.chars().all(in_a_name)) {
            return Err(no_pair());
        }
        let number = match port.parse::<u16>() {
            Ok(number) if number > 0 && port.bytes().all(|b| b.is_ascii_digit()) => number,
            Ok(_) | Err(_) if port.contains(':') => return Err(no_pair()),
            Ok(_) | Err(_) => {
                return Err(AddressError::Port {
                    port: port.to_owned(),
                });
            }
        };
        Ok(Self::Tcp {
            host: host.to_owned(),
            port: number,
        })
    }
}

impl Default for SocketAddress {
    fn default() -> Self {
        Self::Unix(PathBuf::from(DEFAULT))
    }
}

impl From<&Path> for SocketAddress {
    fn from(path: &Path) -> Self {
        Self::Unix(path.to_owned())
    }
}

impl FromStr for SocketAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        Self::parse(text)
    }
}

/// The spelling that libusbmuxd, the client most tools are built on, accepts.
impl fmt::Display for SocketAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "UNIX:{}", path.display()),
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unix(path: &str) -> Option<SocketAddress> {
        Some(SocketAddress::Unix(path.into()))
    }

    fn tcp(host: &str, port: u16) -> Option<SocketAddress> {
        Some(SocketAddress::Tcp {
            host: host.into(),
            port,
        })
    }

    #[test]
    fn every_spelling_of_the_field() {
        for (name, text, want) in [
            ("libusbmuxd, unix", "UNIX:/tmp/mux", unix("/tmp/mux")),
            ("libusbmuxd, relative", "UNIX:mux.sock", unix("mux.sock")),
            (
                "libusbmuxd, tcp",
                "127.0.0.1:27015",
                tcp("127.0.0.1", 27015),
            ),
            ("libusbmuxd, v6", "[::1]:27015", tcp("::1", 27015)),
            (
                "v6 with a zone",
                "[fe80::1%en0]:27015",
                tcp("fe80::1%en0", 27015),
            ),
            ("a name", "my-mux.local:27015", tcp("my-mux.local", 27015)),
            ("go-ios, unix", "UNIX:///tmp/mux", unix("/tmp/mux")),
            ("go-ios, lower case", "unix:///tmp/mux", unix("/tmp/mux")),
            (
                "lower case without slashes",
                "unix:/tmp/mux",
                unix("/tmp/mux"),
            ),
            (
                "go-ios, tcp",
                "tcp://localhost:27015",
                tcp("localhost", 27015),
            ),
            ("tcp in upper case, v6", "TCP://[::1]:1", tcp("::1", 1)),
            ("a plain path", "/var/run/usbmuxd", unix("/var/run/usbmuxd")),
            ("a path with a colon", "/tmp/a:b/mux", unix("/tmp/a:b/mux")),
            (
                "a path that looks like a url",
                "/tmp/tcp://x",
                unix("/tmp/tcp://x"),
            ),
            ("a relative path", "mux.sock", unix("mux.sock")),
            ("empty", "", None),
            ("scheme alone", "UNIX:", None),
            ("scheme with slashes alone", "unix://", None),
            ("another scheme", "http://localhost:27015", None),
            ("no port", "localhost:", None),
            ("no host", ":27015", None),
            ("port 0", "localhost:0", None),
            ("port too great", "localhost:65536", None),
            ("signed port", "localhost:+1", None),
            ("v6 without brackets", "::1:27015", None),
            ("brackets around a name", "[localhost]:27015", None),
            ("bracket not closed", "[::1:27015", None),
            ("space in the host", "my host:27015", None),
        ] {
            assert_eq!(SocketAddress::parse(text).ok(), want, "{name}");
            if let Some(address) = want {
                assert_eq!(
                    SocketAddress::parse(&address.to_string()),
                    Ok(address),
                    "{name}, shown and read again"
                );
            }
        }
    }

    #[test]
    fn the_default_is_the_systems_socket() {
        assert_eq!(
            SocketAddress::default(),
            SocketAddress::Unix(DEFAULT.into())
        );
    }
}
