//! One connection to lockdownd: open, ask, close. The phone drops an idle one after about 10 s (protocol.md 4.1), so
//! nobody holds one.
//!
//! The messages are our own codec's, with every length bounded; `idevice` allocates what it is told, knows seven of the
//! thirty error words, and writes whole answers (phone number, IMEI) to the debug log. Not here: what the values mean
//! (`reading`).

use std::time::Duration;

use backupwatch_core::LinkKind;
use backupwatch_wire::lockdown::{FrameDecoder, PORT, Reply, Request, Secret, TYPE};
use plist::{Dictionary, Value};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

use crate::address::MuxAddress;
use crate::error::DeviceError;
use crate::listen::Attached;
use crate::mux::Mux;
use crate::pair_record::Credentials;
use crate::stream::DeviceStream;
use crate::timeouts::Timeouts;
use crate::tls;

/// How we name ourselves to lockdownd.
const LABEL: &str = "backupwatch";
/// How long the goodbyes may take. The phone has told all that we asked; nothing depends on them.
const FAREWELL: Duration = Duration::from_secs(2);

/// A service that the phone has started for us, waiting for a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Started {
    pub port: u16,
    pub tls: bool,
}

pub(crate) struct Lockdown {
    stream: DeviceStream,
    timeouts: Timeouts,
    session: Option<String>,
}

impl Lockdown {
    /// Connects and makes sure that a phone is at the other end. On Wi-Fi the wait is short: usbmuxd lists phones that
    /// have long left the house (protocol.md 6).
    pub(crate) async fn connect(
        address: &MuxAddress,
        attached: &Attached,
        timeouts: &Timeouts,
    ) -> Result<Self, DeviceError> {
        let hello = match attached.link {
            LinkKind::Usb => timeouts.request,
            LinkKind::Network => timeouts.network_hello,
        };
        let greeting = async {
            let mux = Mux::open(address, timeouts.mux).await?;
            let mut lockdown = Self {
                stream: mux.connect(attached.device_id(), PORT).await?,
                timeouts: *timeouts,
                session: None,
            };
            if lockdown.ask(&Request::QueryType).await? == Reply::Type(TYPE.to_owned()) {
                Ok(lockdown)
            } else {
                Err(DeviceError::NotInService)
            }
        };
        tokio::time::timeout(hello, greeting)
            .await
            .map_err(|_| DeviceError::Silent {
                doing: "the first question",
                after: hello,
            })?
    }

    /// Starts a session: from here on everything is inside TLS, and every value is open to us.
    pub(crate) async fn start_session(
        mut self,
        credentials: &Credentials,
    ) -> Result<Self, SessionFailure> {
        let request = Request::StartSession {
            host_id: credentials.host_id.clone(),
            system_buid: credentials.system_buid.clone(),
        };
        let (id, wants_tls) = match self.ask(&request).await {
            Ok(Reply::Session { id, tls }) => (id, tls),
            Ok(_) => return Err(SessionFailure::without(unexpected(&request))),
            // The phone has said no, but it still listens.
            Err(error @ DeviceError::Refused { .. }) => {
                return Err(SessionFailure {
                    error,
                    lockdown: Some(Box::new(self)),
                });
            }
            Err(error) => return Err(SessionFailure::without(error)),
        };
        self.session = Some(id);
        if wants_tls {
            self.stream = tls::wrap(self.stream, credentials, self.timeouts.tls)
                .await
                .map_err(SessionFailure::without)?;
        }
        Ok(self)
    }

    /// A whole domain; the root one without a name.
    pub(crate) async fn domain(&mut self, domain: Option<&str>) -> Result<Dictionary, DeviceError> {
        let request = Request::GetValue {
            domain: domain.map(str::to_owned),
            key: None,
        };
        let Reply::Value(Value::Dictionary(values)) = self.ask(&request).await? else {
            return Err(unexpected(&request));
        };
        Ok(values)
    }

    /// One value of the root domain.
    pub(crate) async fn value(&mut self, key: &str) -> Result<Value, DeviceError> {
        let request = Request::GetValue {
            domain: None,
            key: Some(key.to_owned()),
        };
        let Reply::Value(value) = self.ask(&request).await? else {
            return Err(unexpected(&request));
        };
        Ok(value)
    }

    pub(crate) async fn start_service(
        &mut self,
        service: &str,
        escrow_bag: Option<&Secret>,
    ) -> Result<Started, DeviceError> {
        let request = Request::StartService {
            service: service.to_owned(),
            escrow_bag: escrow_bag.cloned(),
        };
        let Reply::Service { port, tls } = self.ask(&request).await? else {
            return Err(unexpected(&request));
        };
        Ok(Started { port, tls })
    }

    /// Ends the session, if there is one, and the connection. What goes wrong here harms nobody.
    ///
    /// After StopSession the phone leaves TLS, so that Goodbye could not follow inside it; it is said only where there
    /// was no session. Other clients close without a word there, too.
    pub(crate) async fn end(mut self) {
        let last = match self.session.take() {
            Some(session_id) => Request::StopSession { session_id },
            None => Request::Goodbye,
        };
        let farewell = async {
            if let Err(error) = self.ask(&last).await {
                tracing::trace!(%error, "the phone did not say goodbye");
            }
            self.stream.shutdown().await
        };
        if tokio::time::timeout(FAREWELL, farewell).await.is_err() {
            tracing::trace!("the phone took too long to say goodbye");
        }
    }

    pub(crate) async fn ask(&mut self, request: &Request) -> Result<Reply, DeviceError> {
        const DOING: &str = "a question to lockdownd";
        let after = self.timeouts.request;
        let bytes = request.encode(Some(LABEL));
        let body = tokio::time::timeout(after, async {
            let lost = |source| DeviceError::link(DOING, source);
            self.stream.write_all(&bytes).await.map_err(lost)?;
            self.stream.flush().await.map_err(lost)?;
            read_frame(&mut self.stream, DOING).await
        })
        .await
        .map_err(|_| DeviceError::Silent {
            doing: DOING,
            after,
        })??;
        match Reply::decode(request, &body) {
            Ok(Reply::Refused(error)) => Err(DeviceError::Refused {
                request: request.name().to_owned(),
                error,
            }),
            Ok(reply) => Ok(reply),
            Err(source) => Err(DeviceError::Message {
                request: request.name().to_owned(),
                source,
            }),
        }
    }
}

/// Why there is no session, and the connection where the phone still listens: without a session it tells its name.
pub(crate) struct SessionFailure {
    pub error: DeviceError,
    pub lockdown: Option<Box<Lockdown>>,
}

impl SessionFailure {
    fn without(error: DeviceError) -> Self {
        Self {
            error,
            lockdown: None,
        }
    }
}

impl From<SessionFailure> for DeviceError {
    fn from(failure: SessionFailure) -> Self {
        failure.error
    }
}

/// Reads one frame and not a byte more: behind the answer to StartSession begins TLS.
pub(crate) async fn read_frame(
    stream: &mut (impl AsyncRead + Unpin),
    doing: &'static str,
) -> Result<bytes::Bytes, DeviceError> {
    let lost = |source| DeviceError::link(doing, source);
    let mut decoder = FrameDecoder::new();
    let mut prefix = [0; 4];
    stream.read_exact(&mut prefix).await.map_err(lost)?;
    decoder.push(&prefix);
    if let Some(body) = decoder.next_frame().map_err(DeviceError::Frame)? {
        return Ok(body);
    }
    // The decoder has checked the length; the buffer grows only with what really comes.
    let mut body = Vec::new();
    stream
        .take(u32::from_be_bytes(prefix).into())
        .read_to_end(&mut body)
        .await
        .map_err(lost)?;
    decoder.push(&body);
    match decoder.next_frame().map_err(DeviceError::Frame)? {
        Some(body) => Ok(body),
        None => Err(lost(std::io::ErrorKind::UnexpectedEof.into())),
    }
}

fn unexpected(request: &Request) -> DeviceError {
    DeviceError::Unexpected {
        request: request.name().to_owned(),
    }
}
