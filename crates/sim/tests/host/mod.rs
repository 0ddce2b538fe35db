//! A host for tests: usbmuxd and lockdown from the other end, without a socket, with all mistakes possible.

#![allow(dead_code, reason = "each test file uses the part that it needs")]
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a test fails alike on every answer but the one"
)]

use std::io;
use std::sync::Arc;
use std::time::Duration;

use backupwatch_sim::{Listen, Sim};
use backupwatch_sim::{SimHandle, persona::Persona};
use backupwatch_wire::lockdown::{
    FrameDecoder, LockdownError, PORT, PairCall, PairRecord, Reply, Request, Secret,
};
use backupwatch_wire::usbmux::{self, Attachment, Client, Decoder, Link, MuxDeviceId, ResultCode};
use bytes::Bytes;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub const UDID: &str = "00008101-000A11112222F1E5";

/// A simulator without a socket.
pub fn sim(personas: Vec<Persona>) -> SimHandle {
    Sim::start(personas, Listen::InProcess).unwrap()
}

/// A healthy phone.
pub fn phone() -> Persona {
    Persona::plain(UDID, "Ada’s iPhone")
}

/// One connection to usbmuxd.
pub struct Mux {
    pub stream: DuplexStream,
    decoder: Decoder,
}

impl Mux {
    pub fn new(sim: &SimHandle) -> Self {
        Self {
            stream: sim.connect(),
            decoder: Decoder::new(),
        }
    }

    pub async fn send(&mut self, request: &usbmux::Request) {
        let client = Client {
            prog_name: "test".to_owned(),
            ..Client::default()
        };
        self.stream
            .write_all(&request.encode(&client, 7))
            .await
            .unwrap();
    }

    /// The next reply or event, with its tag; nothing at the end.
    pub async fn next(&mut self) -> Option<(usbmux::Reply, u32)> {
        let mut chunk = [0; 4096];
        loop {
            if let Some(packet) = self.decoder.next_packet().unwrap() {
                return Some((usbmux::Reply::decode(&packet).unwrap(), packet.tag));
            }
            match self.stream.read(&mut chunk).await.unwrap() {
                0 => return None,
                some => self.decoder.push(&chunk[..some]),
            }
        }
    }

    pub async fn ask(&mut self, request: &usbmux::Request) -> usbmux::Reply {
        self.send(request).await;
        let (reply, tag) = self.next().await.expect("usbmuxd answers");
        assert_eq!(tag, 7);
        reply
    }
}

/// What is attached.
pub async fn devices(sim: &SimHandle) -> Vec<Attachment> {
    match Mux::new(sim).ask(&usbmux::Request::ListDevices).await {
        usbmux::Reply::Devices {
            attachments,
            unreadable: 0,
        } => attachments,
        other => panic!("{other:?}"),
    }
}

/// The first attachment of a phone by cable, or by Wi-Fi.
pub async fn device(sim: &SimHandle, udid: &str, by_cable: bool) -> MuxDeviceId {
    let of =
        |one: &&Attachment| one.udid == udid && matches!(one.link, Link::Usb { .. }) == by_cable;
    devices(sim)
        .await
        .iter()
        .find(of)
        .expect("the phone is attached")
        .device_id
}

/// A tunnel to a port of a device.
pub async fn connect(
    sim: &SimHandle,
    device: MuxDeviceId,
    port: u16,
) -> Result<DuplexStream, ResultCode> {
    let mut mux = Mux::new(sim);
    match mux.ask(&usbmux::Request::Connect { device, port }).await {
        usbmux::Reply::Result(ResultCode::Ok) => Ok(mux.stream),
        usbmux::Reply::Result(code) => Err(code),
        other => panic!("{other:?}"),
    }
}

/// The pair record that usbmuxd has for a phone.
pub fn record(sim: &SimHandle, udid: &str) -> PairRecord {
    PairRecord::decode(&sim.hub().pair_record(udid).expect("a pair record")).unwrap()
}

/// A lockdown connection.
pub struct Lockdown {
    line: Line,
    decoder: FrameDecoder,
    pub session: Option<String>,
}

enum Line {
    Plain(DuplexStream),
    Tls(Box<TlsStream<DuplexStream>>),
    Gone,
}

impl Lockdown {
    pub async fn new(sim: &SimHandle, udid: &str) -> Self {
        Self::by(sim, udid, true).await
    }

    pub async fn by(sim: &SimHandle, udid: &str, cable: bool) -> Self {
        let device = device(sim, udid, cable).await;
        let stream = connect(sim, device, PORT).await.unwrap();
        Self {
            line: Line::Plain(stream),
            decoder: FrameDecoder::new(),
            session: None,
        }
    }

    /// A connection with a session in TLS, by the record that usbmuxd has.
    pub async fn trusted(sim: &SimHandle, udid: &str) -> Self {
        let mut lockdown = Self::new(sim, udid).await;
        lockdown.start_session(&record(sim, udid)).await.unwrap();
        lockdown
    }

    pub async fn send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.line {
            Line::Plain(stream) => stream.write_all(bytes).await,
            Line::Tls(stream) => {
                stream.write_all(bytes).await?;
                stream.flush().await
            }
            Line::Gone => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// The next frame; an error at the end of the connection.
    pub async fn frame(&mut self) -> io::Result<Bytes> {
        let mut chunk = [0; 4096];
        loop {
            if let Some(frame) = self.decoder.next_frame().map_err(io::Error::other)? {
                return Ok(frame);
            }
            let some = match &mut self.line {
                Line::Plain(stream) => stream.read(&mut chunk).await?,
                Line::Tls(stream) => stream.read(&mut chunk).await?,
                Line::Gone => 0,
            };
            if some == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.decoder.push(&chunk[..some]);
        }
    }

    pub async fn try_ask(&mut self, request: &Request) -> io::Result<Reply> {
        self.send_raw(&request.encode(Some("test"))).await?;
        let frame = self.frame().await?;
        Reply::decode(request, &frame).map_err(io::Error::other)
    }

    pub async fn ask(&mut self, request: &Request) -> Reply {
        self.try_ask(request).await.unwrap()
    }

    pub async fn get(
        &mut self,
        domain: Option<&str>,
        key: Option<&str>,
    ) -> Result<plist::Value, LockdownError> {
        let request = Request::GetValue {
            domain: domain.map(str::to_owned),
            key: key.map(str::to_owned),
        };
        match self.ask(&request).await {
            Reply::Value(value) => Ok(value),
            Reply::Refused(error) => Err(error),
            other => panic!("{other:?}"),
        }
    }

    pub async fn start_session(&mut self, record: &PairRecord) -> Result<(), LockdownError> {
        let request = Request::StartSession {
            host_id: record.host_id.clone(),
            system_buid: record.system_buid.clone(),
        };
        let tls = match self.ask(&request).await {
            Reply::Session { id, tls } => {
                self.session = Some(id);
                tls
            }
            Reply::Refused(error) => return Err(error),
            other => panic!("{other:?}"),
        };
        if tls {
            self.start_tls(client_config(record)).await.unwrap();
        }
        Ok(())
    }

    pub async fn start_tls(&mut self, config: ClientConfig) -> io::Result<()> {
        let Line::Plain(stream) = std::mem::replace(&mut self.line, Line::Gone) else {
            panic!("TLS already");
        };
        self.line = Line::Tls(Box::new(tls(stream, config).await?));
        Ok(())
    }

    /// Ends the session, and TLS with it, as libimobiledevice does; the connection goes on in the open.
    pub async fn stop_session(&mut self) {
        let session_id = self.session.take().expect("a session");
        assert_eq!(
            self.ask(&Request::StopSession { session_id }).await,
            Reply::Done
        );
        let line = std::mem::replace(&mut self.line, Line::Gone);
        if let Line::Tls(mut stream) = line {
            stream.get_mut().1.send_close_notify();
            stream.flush().await.unwrap();
            // The phone's own close_notify.
            assert_eq!(stream.read(&mut [0; 16]).await.unwrap(), 0);
            self.line = Line::Plain(stream.into_inner().0);
        }
    }

    pub async fn start_service(
        &mut self,
        service: &str,
        escrow_bag: Option<Secret>,
    ) -> Result<(u16, bool), LockdownError> {
        let request = Request::StartService {
            service: service.to_owned(),
            escrow_bag,
        };
        match self.ask(&request).await {
            Reply::Service { port, tls } => Ok((port, tls)),
            Reply::Refused(error) => Err(error),
            other => panic!("{other:?}"),
        }
    }
}

/// A connection to a service, in TLS, with the escrow bag.
pub async fn service(sim: &SimHandle, udid: &str, name: &str) -> TlsStream<DuplexStream> {
    let record = record(sim, udid);
    let mut lockdown = Lockdown::trusted(sim, udid).await;
    let (port, ssl) = lockdown
        .start_service(name, record.escrow_bag.clone())
        .await
        .unwrap();
    assert!(ssl);
    let device = device(sim, udid, true).await;
    let stream = connect(sim, device, port).await.unwrap();
    tls(stream, client_config(&record)).await.unwrap()
}

/// The call of Pair and its like for a record.
pub fn call(record: &PairRecord) -> PairCall {
    PairCall {
        record: record.clone(),
        extended_errors: true,
        host_name: Some("test".to_owned()),
        protocol_version: Some("2".to_owned()),
    }
}

pub async fn tls(
    stream: DuplexStream,
    config: ClientConfig,
) -> io::Result<TlsStream<DuplexStream>> {
    let name = ServerName::try_from("phone").unwrap();
    TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
}

/// TLS as pymobiledevice3 does it: with HostCertificate, without a look at the phone's certificate.
pub fn client_config(record: &PairRecord) -> ClientConfig {
    let certificate = CertificateDer::from_pem_slice(&record.host_certificate.as_ref().unwrap().0);
    let key = PrivateKeyDer::from_pem_slice(&record.host_private_key.as_ref().unwrap().0);
    config()
        .with_client_auth_cert(vec![certificate.unwrap()], key.unwrap())
        .unwrap()
}

/// TLS without a certificate of one's own.
pub fn nobodys_config() -> ClientConfig {
    config().with_no_client_auth()
}

pub fn config() -> rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody))
}

#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = rustls::crypto::ring::default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = rustls::crypto::ring::default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::ring::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// Long enough for anything that is not meant to hang.
pub async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), future)
        .await
        .expect("it takes no 30 s")
}
