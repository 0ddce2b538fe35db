//! The phone's end of TLS (protocol.md 4.4): it presents the certificate that the host made for it at pairing, and lets in
//! only a client that presents one of that record's certificates and proves that it has the key.
//!
//! Certificates of hosts are self-made and chain to nothing; they are compared byte for byte, never validated.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{
    WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, ServerConfig,
    SignatureScheme,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// TLS for one host: `device` with its key, for clients that hold one of `hosts`.
pub(crate) fn server_config(
    device: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    hosts: Vec<CertificateDer<'static>>,
) -> Result<Arc<ServerConfig>, Error> {
    let provider = Arc::new(ring::default_provider());
    let algorithms = provider.signature_verification_algorithms;
    let key = provider.key_provider.load_private_key(key)?;
    // Not `with_single_cert`: the certificate comes from a foreign host and need not please webpki.
    let identity = Arc::new(CertifiedKey::new(vec![device], key));
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(Arc::new(PairedHosts { hosts, algorithms }))
        .with_cert_resolver(Arc::new(Identity(identity)));
    // A phone resumes no sessions; each service is a handshake of its own.
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    Ok(Arc::new(config))
}

#[derive(Debug)]
struct Identity(Arc<CertifiedKey>);

impl ResolvesServerCert for Identity {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

#[derive(Debug)]
struct PairedHosts {
    hosts: Vec<CertificateDer<'static>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for PairedHosts {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if self.hosts.iter().any(|host| host == end_entity) {
            Ok(ClientCertVerified::assertion())
        } else {
            Err(Error::InvalidCertificate(
                CertificateError::ApplicationVerificationFailure,
            ))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Length of a TLS record's header: kind, version, and two bytes of length.
const RECORD_HEADER: usize = 5;

/// A stream under TLS that never reads beyond the record at hand, so that nothing of the plain text after the host's
/// close_notify is lost in TLS's buffers. Only lockdownd needs it: it goes back to plain text at StopSession.
#[derive(Debug)]
pub(crate) struct Aligned<S> {
    stream: S,
    header: [u8; RECORD_HEADER],
    /// How much of the header is there.
    have: usize,
    /// How much of the record's body is still to come.
    body: usize,
}

impl<S> Aligned<S> {
    pub fn new(stream: S) -> Self {
        Self {
            stream,
            header: [0; RECORD_HEADER],
            have: 0,
            body: 0,
        }
    }

    pub fn into_inner(self) -> S {
        self.stream
    }

    /// Takes note of the bytes that TLS is about to get.
    fn count(&mut self, bytes: &[u8]) {
        if self.body > 0 {
            self.body = self.body.saturating_sub(bytes.len());
            return;
        }
        for (to, byte) in self.header.iter_mut().skip(self.have).zip(bytes) {
            *to = *byte;
        }
        self.have = self.have.saturating_add(bytes.len());
        if self.have >= RECORD_HEADER {
            let [_, _, _, high, low] = self.header;
            self.body = usize::from(u16::from_be_bytes([high, low]));
            self.have = 0;
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Aligned<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let mut chunk = [0; 4096];
        let due = if this.body > 0 {
            this.body
        } else {
            RECORD_HEADER.saturating_sub(this.have)
        };
        let most = due.min(buffer.remaining()).min(chunk.len());
        let mut part = ReadBuf::new(chunk.get_mut(..most).unwrap_or_default());
        ready!(Pin::new(&mut this.stream).poll_read(context, &mut part))?;
        this.count(part.filled());
        buffer.put_slice(part.filled());
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Aligned<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
