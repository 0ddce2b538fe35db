//! ChangePassword: encryption of local backups on, off, or with another password (protocol.md 9.9).

use backupwatch_wire::mobilebackup2::{MbError, PasswordChange};
use plist::Value;
use tokio::io::{AsyncRead, AsyncWrite};

use super::backup::{passcode, requires_encryption};
use super::host::Stop;
use super::link::{Link, to_file};
use super::upload::{Source, Upload};
use crate::manifest::Properties;
use crate::phone::BACKUP_DOMAIN;

/// Where a keybag of ours may lie on the host.
const PLACES: [&str; 2] = ["Snapshot/Manifest.plist", "Manifest.plist"];

pub async fn change<S: AsyncRead + AsyncWrite + Unpin + Send>(
    link: &mut Link<S>,
    change: PasswordChange,
) -> Result<(), Stop> {
    passcode(link).await?;
    let (old, new) = match change {
        PasswordChange::Enable { new } => (None, Some(new)),
        PasswordChange::Disable { old } => (Some(old), None),
        PasswordChange::Change { old, new } => (Some(old), Some(new)),
    };
    let phone = link.phone.clone();
    if !phone
        .backup()
        .password_is(old.as_ref().map(|password| password.expose()))
    {
        return Err(Stop::failed(MbError::PASSWORD, "Invalid password"));
    }
    if new.is_none() && requires_encryption(link) {
        return Err(Stop::failed(
            MbError::MANAGED,
            "Backup encryption is required by a profile",
        ));
    }
    let rewrap = old.is_some() && new.is_some();
    let encrypts = new.is_some();
    phone
        .backup()
        .set_password(new.map(|password| password.expose().to_owned()));
    phone.set_value(BACKUP_DOMAIN, "WillEncrypt", Some(Value::Boolean(encrypts)));
    if rewrap {
        for place in PLACES {
            rewrap_at(link, place).await?;
        }
    }
    Ok(())
}

/// Puts the newly wrapped keybag into a manifest that the host has. Whatever fails here is left as it is: a host that
/// shows an empty folder gets no further questions.
async fn rewrap_at<S: AsyncRead + AsyncWrite + Unpin + Send>(
    link: &mut Link<S>,
    place: &str,
) -> Result<(), Stop> {
    let path = format!("{}/{place}", link.phone.udid());
    let Ok(bytes) = link.download_bytes(path.clone()).await? else {
        return Ok(());
    };
    if !Properties::parse(&bytes).is_ok_and(|properties| properties.encrypted) {
        return Ok(());
    }
    let Ok(mut value) = Value::from_reader(std::io::Cursor::new(&bytes)) else {
        return Ok(());
    };
    let phone = link.phone.clone();
    let keys = tokio::task::spawn_blocking(move || phone.backup().keys()).await;
    let keys = keys.map_err(|error| Stop::failed(MbError::GENERIC, error.to_string()))?;
    if let Some(values) = value.as_dictionary_mut() {
        values.insert("BackupKeyBag".to_owned(), Value::Data(keys.keybag.to_vec()));
    }
    let plist = to_file(&value);
    let device_path = format!("/var/mobile/Library/Backup/{place}");
    let upload = Upload {
        device_path,
        destination: path,
        source: Source::Bytes(&plist),
        fault: None,
    };
    match link.upload(&[upload]).await {
        Ok(results) => {
            if results.into_iter().flatten().next().is_none() {
                link.side().rewrapped(keys);
            }
            Ok(())
        }
        Err(Stop::Failed { .. }) => Ok(()),
        Err(stop) => Err(stop),
    }
}
