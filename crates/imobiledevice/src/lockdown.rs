//! lockdownd: what a device says of itself, pairing, and the start of its services.

use std::ffi::CString;
use std::io::Cursor;

use crate::sys::LockdownHandle;
use crate::{Device, Error};

/// A started service: where it listens, once, and whether it speaks TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// Its port on the device.
    pub port: u16,
    /// Whether it speaks TLS.
    pub tls: bool,
}

/// A pairing that the caller made: certificates as PEM, and who this computer is. Its keys stay with the caller.
#[derive(Clone, PartialEq, Eq)]
pub struct PairRecord {
    /// The device's certificate, over its own public key.
    pub device_certificate: String,
    /// This computer's.
    pub host_certificate: String,
    /// What both are signed with.
    pub root_certificate: String,
    /// This pairing.
    pub host_id: String,
    /// This computer.
    pub system_buid: String,
}

impl std::fmt::Debug for PairRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PairRecord").finish_non_exhaustive()
    }
}

/// A conversation with lockdownd. Everything in it waits for the device, up to thirty seconds for each answer, and without limit
/// within a TLS handshake of 1.3.
///
/// One thread at a time; it may be another one each time. Dropping it ends the session, if there is one, and so talks to the
/// device, too.
pub struct Lockdown {
    handle: LockdownHandle,
    device: Device,
}

impl std::fmt::Debug for Lockdown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lockdown").finish_non_exhaustive()
    }
}

impl Lockdown {
    /// Connects, and asks for no trust. `label` is what the device's log calls the program.
    ///
    /// # Errors
    /// [`LockdownError::Mux`](crate::LockdownError::Mux) where the device does not take the connection.
    pub fn connect(device: &Device, label: &str) -> Result<Self, Error> {
        let handle = LockdownHandle::connect(device.handle(), &CString::new(label)?)?;
        Ok(Self {
            handle,
            device: device.clone(),
        })
    }

    /// What answers, `com.apple.mobile.lockdown` as a rule.
    ///
    /// # Errors
    /// When no answer comes, or one without a type.
    pub fn query_type(&mut self) -> Result<Option<String>, Error> {
        self.handle.query_type()
    }

    /// Starts a session with the pair record that usbmuxd has, which must be the one of this `host_id`, and TLS with it.
    ///
    /// 1.3 chooses its versions of TLS by the version of iOS, and learns that only within
    /// `lockdownd_client_new_with_handshake`, which pairs where there is no pair record. So it is called only after a look at the
    /// pair record and at the version, and a person is asked for trust only if the record vanishes between the two. The
    /// session is then on a connection of its own, and the one until now is closed.
    ///
    /// # Errors
    /// [`Error::NoPairRecord`] or [`Error::OtherPairRecord`] without asking the device; what the device answers else.
    pub fn start_session(&mut self, host_id: &str) -> Result<(), Error> {
        let record = self.device.pair_record()?.ok_or(Error::NoPairRecord)?;
        let record = plist::Value::from_reader(Cursor::new(record)).map_err(Error::Unreadable)?;
        let ours = record
            .as_dictionary()
            .and_then(|record| record.get("HostID")?.as_string());
        if ours != Some(host_id) {
            return Err(Error::OtherPairRecord);
        }
        if self.handle.version_known() {
            return self.handle.start_session(&CString::new(host_id)?);
        }
        // Older ones are paired with unasked.
        let version = self.value(None, Some("ProductVersion"))?;
        let major = version
            .as_ref()
            .and_then(|version| version.as_string()?.split('.').next()?.parse().ok());
        if major.is_none_or(|major: u32| major < 7) {
            return Err(Error::VersionUnknown);
        }
        self.handle = self.handle.with_handshake()?;
        Ok(())
    }

    /// A value, or with no `key` all of a domain. `None` where the answer has no value.
    ///
    /// # Errors
    /// The device's refusal, or that no answer came.
    pub fn value(
        &mut self,
        domain: Option<&str>,
        key: Option<&str>,
    ) -> Result<Option<plist::Value>, Error> {
        let domain = domain.map(CString::new).transpose()?;
        let key = key.map(CString::new).transpose()?;
        self.handle.value(domain.as_deref(), key.as_deref())
    }

    /// Asks the device to trust this computer, once; it does not wait for somebody to tap. Gives the device's answer, in which is
    /// the escrow bag.
    ///
    /// Without a record the library makes keys, and has usbmuxd keep the record if the device agrees. With one, the caller
    /// keeps it.
    ///
    /// # Errors
    /// [`LockdownError::PairingDialogResponsePending`](crate::LockdownError::PairingDialogResponsePending) while the question is
    /// on the screen, [`LockdownError::UserDeniedPairing`](crate::LockdownError::UserDeniedPairing),
    /// [`LockdownError::PasswordProtected`](crate::LockdownError::PasswordProtected), and what else the device answers.
    pub fn pair(&mut self, record: Option<&PairRecord>) -> Result<Option<plist::Value>, Error> {
        let options =
            plist::Dictionary::from_iter([("ExtendedPairingErrors", plist::Value::Boolean(true))]);
        self.handle.pair(record, &plist::Value::Dictionary(options))
    }

    /// Starts a service; with `escrow`, so that it may work while the device is locked, by the escrow bag of the pair record.
    ///
    /// # Errors
    /// The device's refusal, or that no answer came.
    pub fn start_service(&mut self, name: &str, escrow: bool) -> Result<Descriptor, Error> {
        self.handle.start_service(&CString::new(name)?, escrow)
    }

    /// Tells the device that this was all.
    ///
    /// # Errors
    /// When the device does not answer.
    pub fn goodbye(mut self) -> Result<(), Error> {
        self.handle.goodbye()
    }
}
