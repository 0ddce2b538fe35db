//! A running simulator: one usbmuxd on a socket (or on none), its phones, and their end.
//!
//! The socket can go away and come back while the phones live on, as when usbmuxd is restarted.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tokio::io::DuplexStream;
use tokio::net::{TcpListener, UnixListener};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::io::BoxStream;
use crate::pairing::PairingError;
use crate::persona::Persona;
use crate::phone::{PhoneHandle, lock};
use crate::usbmuxd::{self, Hub, MuxFault};

/// Bytes that one direction of an in-process connection holds; about what a socket holds.
const DUPLEX: usize = 256 * 1024;

/// Where usbmuxd listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// A socket file. A socket that is left over from before is replaced; another file is in the way.
    Unix(PathBuf),
    /// Port 0 takes a free one; [`SimHandle::listen`] says which.
    Tcp(SocketAddr),
    /// Nowhere: only [`SimHandle::connect`] reaches it, which suits a paused clock.
    InProcess,
}

impl Listen {
    /// The value of `USBMUXD_SOCKET_ADDRESS` as libusbmuxd reads it; nothing when there is no socket.
    #[must_use]
    pub fn environment(&self) -> Option<String> {
        match self {
            Self::Unix(path) => Some(format!("UNIX:{}", path.display())),
            Self::Tcp(address) => Some(address.to_string()),
            Self::InProcess => None,
        }
    }
}

/// Starts simulators.
#[derive(Debug)]
pub struct Sim;

/// Why a simulator does not start.
#[derive(Debug, thiserror::Error)]
pub enum SimError {
    #[error("listen on {}", .listen.environment().unwrap_or_default())]
    Listen {
        listen: Listen,
        #[source]
        source: io::Error,
    },
    #[error("pair a phone with this host")]
    Pairing(#[source] PairingError),
}

impl Sim {
    /// Brings the phones to life and listens. Must be called within a tokio runtime.
    pub fn start(personas: Vec<Persona>, listen: Listen) -> Result<SimHandle, SimError> {
        let hub = Arc::new(Hub::new());
        for persona in personas {
            hub.add(persona).map_err(SimError::Pairing)?;
        }
        let handle = SimHandle {
            hub,
            listen: Mutex::new(listen),
            running: Mutex::new(Running::default()),
        };
        handle.mux_up()?;
        Ok(handle)
    }
}

/// A running simulator. It ends when this is dropped; [`SimHandle::stop`] also waits for the end.
#[derive(Debug)]
pub struct SimHandle {
    hub: Arc<Hub>,
    listen: Mutex<Listen>,
    running: Mutex<Running>,
}

/// One life of usbmuxd.
#[derive(Clone, Debug, Default)]
struct Running {
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl SimHandle {
    /// Where usbmuxd listens, with the port that it really got.
    #[must_use]
    pub fn listen(&self) -> Listen {
        lock(&self.listen).clone()
    }

    /// The phone with this UDID.
    #[must_use]
    pub fn phone(&self, udid: &str) -> Option<PhoneHandle> {
        self.phones().into_iter().find(|phone| phone.udid() == udid)
    }

    #[must_use]
    pub fn phones(&self) -> Vec<PhoneHandle> {
        self.hub
            .phones()
            .into_iter()
            .map(PhoneHandle::new)
            .collect()
    }

    /// One more phone, plugged as its persona says.
    pub fn add(&self, persona: Persona) -> Result<PhoneHandle, SimError> {
        self.hub
            .add(persona)
            .map(PhoneHandle::new)
            .map_err(SimError::Pairing)
    }

    /// usbmuxd's own state: pair records, listeners, faults.
    #[must_use]
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    /// Breaks usbmuxd, or mends it.
    pub fn set_mux_fault(&self, fault: MuxFault) {
        self.hub.set_fault(fault);
    }

    /// A connection to usbmuxd without a socket.
    #[must_use]
    pub fn connect(&self) -> DuplexStream {
        let (ours, theirs) = tokio::io::duplex(DUPLEX);
        let running = lock(&self.running).clone();
        running.serve(&self.hub, Box::new(ours));
        theirs
    }

    /// usbmuxd dies: its socket is gone and every connection breaks. The phones live on.
    pub async fn mux_down(&self) {
        let running = lock(&self.running).clone();
        running.stop.cancel();
        running.tasks.close();
        running.tasks.wait().await;
        if let Listen::Unix(path) = self.listen() {
            remove_socket(&path);
        }
    }

    /// usbmuxd comes (back) up, where it was.
    pub fn mux_up(&self) -> Result<(), SimError> {
        let running = Running::default();
        let listen = self.listen();
        let failed = |source| SimError::Listen {
            listen: listen.clone(),
            source,
        };
        match &listen {
            Listen::Unix(path) => {
                remove_socket(path);
                let listener = UnixListener::bind(path).map_err(failed)?;
                let (hub, this) = (Arc::clone(&self.hub), running.clone());
                running.spawn(async move {
                    while let Ok((stream, _)) = listener.accept().await {
                        this.serve(&hub, Box::new(stream));
                    }
                });
            }
            Listen::Tcp(address) => {
                let listener = bind(*address).map_err(failed)?;
                *lock(&self.listen) = Listen::Tcp(listener.local_addr().map_err(failed)?);
                let (hub, this) = (Arc::clone(&self.hub), running.clone());
                running.spawn(async move {
                    while let Ok((stream, _)) = listener.accept().await {
                        // Small answers must not wait for more; a failure only makes them slower.
                        drop(stream.set_nodelay(true));
                        this.serve(&hub, Box::new(stream));
                    }
                });
            }
            Listen::InProcess => {}
        }
        *lock(&self.running) = running;
        Ok(())
    }

    /// Ends everything and waits until it has ended.
    pub async fn stop(self) {
        self.mux_down().await;
    }
}

impl Drop for SimHandle {
    fn drop(&mut self) {
        lock(&self.running).stop.cancel();
        if let Listen::Unix(path) = self.listen() {
            remove_socket(&path);
        }
    }
}

impl Running {
    fn serve(&self, hub: &Arc<Hub>, stream: BoxStream) {
        self.spawn(usbmuxd::serve(Arc::clone(hub), stream));
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = task => {}
            }
        });
    }
}

/// Removes what an earlier life left. Anything but a socket is somebody's, and stays; none at all is as good.
fn remove_socket(path: &Path) {
    let is_socket =
        std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket());
    if is_socket {
        drop(std::fs::remove_file(path));
    }
}

/// Binds without a restart having to wait for connections of the last life.
fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => tokio::net::TcpSocket::new_v4()?,
        SocketAddr::V6(_) => tokio::net::TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(1024)
}
