//! lockdownd's messages by our own codec, with every length bounded; `idevice` allocates what it is told, knows seven of the
//! thirty error words, and writes whole answers (phone number, IMEI) to the debug log. TLS is `idevice`'s.

use backupwatch_wire::lockdown::{FrameDecoder, PORT, Reply, Request, Secret, TYPE};
use plist::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

use super::{FAREWELL, LABEL, Started, hello, unexpected};
use crate::address::MuxAddress;
use crate::error::DeviceError;
use crate::listen::Attached;
use crate::mux::Mux;
use crate::pair_record::Credentials;
use crate::stream::DeviceStream;
use crate::timeouts::Timeouts;
use crate::tls::{self, Reads};

pub(crate) struct Spoken {
    stream: DeviceStream,
    timeouts: Timeouts,
    session: Option<String>,
}

impl Spoken {
    pub(crate) async fn connect(
        address: &MuxAddress,
        attached: &Attached,
        timeouts: &Timeouts,
    ) -> Result<Self, DeviceError> {
        let hello = hello(attached, timeouts);
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

    /// A failure comes with the connection where the phone still listens.
    pub(crate) async fn start_session(
        mut self,
        credentials: &Credentials,
    ) -> Result<Self, (DeviceError, Option<Self>)> {
        let request = Request::StartSession {
            host_id: credentials.host_id.clone(),
            system_buid: credentials.system_buid.clone(),
        };
        let (id, wants_tls) = match self.ask(&request).await {
            Ok(Reply::Session { id, tls }) => (id, tls),
            Ok(_) => return Err((unexpected(request.name()), None)),
            // The phone has said no, but it still listens.
            Err(error @ DeviceError::Refused { .. }) => {
                return Err((error, Some(self)));
            }
            Err(error) => return Err((error, None)),
        };
        self.session = Some(id);
        if wants_tls {
            self.stream = tls::wrap(self.stream, credentials, Reads::Little, self.timeouts.tls)
                .await
                .map_err(|error| (error, None))?;
        }
        Ok(self)
    }

    pub(crate) async fn get(
        &mut self,
        domain: Option<&str>,
        key: Option<&str>,
    ) -> Result<Value, DeviceError> {
        let request = Request::GetValue {
            domain: domain.map(str::to_owned),
            key: key.map(str::to_owned),
        };
        let Reply::Value(value) = self.ask(&request).await? else {
            return Err(unexpected(request.name()));
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
            return Err(unexpected(request.name()));
        };
        Ok(Started { port, tls })
    }

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
