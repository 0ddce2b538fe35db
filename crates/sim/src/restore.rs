//! Restore as a simulated phone does it: everything is read back from the host and compared with what the phone holds.
//! Nothing on the phone changes.

use std::collections::BTreeMap;
use std::sync::Arc;

use backupwatch_wire::mobilebackup2::MbError;
use plist::{Dictionary, Value};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::compare::Comparison;
use crate::contents::Item;
use crate::keybag::{Key, Keybag};
use crate::manifest::{self, Flags, MbFile, Phase, Row, Status};
use crate::mobilebackup2::{Link, Stop, open_in_place, passcode};

/// Files of the same size as a batch of uploads.
const BATCH: usize = 128;

struct Wanted {
    path: String,
    item: Arc<Item>,
    key: Option<Key>,
}

/// Runs a restore to its final message, which is the caller's.
pub(crate) async fn run<S: AsyncRead + AsyncWrite + Unpin + Send>(
    link: &mut Link<S>,
    body: &Dictionary,
) -> Result<(), Stop> {
    let phone = link.phone.clone();
    let source = body
        .get("SourceIdentifier")
        .and_then(Value::as_string)
        .unwrap_or(phone.udid())
        .to_owned();
    let options = body.get("Options").and_then(Value::as_dictionary);
    let password = options
        .and_then(|options| options.get("Password"))
        .and_then(Value::as_string)
        .map(str::to_owned);
    link.progress = 0.0;
    passcode(link).await?;

    let corrupt = |why: &str| Stop::failed(MbError::CORRUPT, why.to_owned());
    let status = link
        .download_bytes(format!("{source}/Status.plist"))
        .await?;
    let status = status.ok().and_then(|bytes| Status::parse(&bytes).ok());
    if status.is_none_or(|status| status.phase != Phase::Finished) {
        return Err(corrupt("The backup is not finished"));
    }
    let scratch =
        tempfile::tempdir().map_err(|error| Stop::failed(MbError::GENERIC, error.to_string()))?;
    let (properties, db) = link.fetch_manifest_of(&source, "", scratch.path()).await?;
    db.map_err(|_| corrupt("Error reading backup database"))?;

    let path = scratch.path().join("Manifest.db");
    let prepare = move || -> Result<(Option<Keybag>, Vec<Row>), Stop> {
        let keybag = if properties.encrypted {
            let wrong = |_| Stop::failed(MbError::PASSWORD, "Invalid password");
            let (keybag, key) = properties
                .unlock(password.as_deref().unwrap_or_default())
                .map_err(wrong)?;
            open_in_place(&path, &key).map_err(|_| corrupt("Error decrypting backup database"))?;
            Some(keybag)
        } else {
            None
        };
        let mut rows = Vec::new();
        let read =
            manifest::read(&path).and_then(|database| database.for_each(|row| rows.push(row)));
        read.map_err(|_| corrupt("Error reading backup database"))?;
        Ok((keybag, rows))
    };
    let prepared = tokio::task::spawn_blocking(prepare).await;
    let (keybag, rows) =
        prepared.map_err(|error| Stop::failed(MbError::GENERIC, error.to_string()))??;

    let mut wanted = Vec::new();
    let mut left: BTreeMap<(Arc<str>, Arc<str>), Arc<Item>> = match phone.backup().finished() {
        Some(finished) => finished
            .items()
            .map(|item| ((item.domain.clone(), item.path.clone()), item.clone()))
            .collect(),
        None => phone
            .backup()
            .catalog()
            .items()
            .map(|item| ((item.domain.clone(), item.path.clone()), item.clone()))
            .collect(),
    };
    for row in rows {
        let item = left.remove(&(Arc::from(row.domain.as_str()), Arc::from(row.path.as_str())));
        let item = item
            .filter(|item| Flags::of(item).number() == row.flags)
            .ok_or_else(|| corrupt("The backup holds something that the phone does not"))?;
        if !item.is_file() {
            continue;
        }
        let archive =
            MbFile::parse(&row.file).ok_or_else(|| corrupt("Error reading a file record"))?;
        let key = match (&keybag, archive.encryption_key) {
            (Some(keybag), Some(wrapped)) => Some(
                keybag
                    .unwrap(&wrapped)
                    .map_err(|_| corrupt("The key of a file does not unwrap"))?,
            ),
            (Some(_) | None, _) => None,
        };
        let folder = row.file_id.get(..2).unwrap_or_default();
        wanted.push(Wanted {
            path: format!("{source}/{folder}/{}", row.file_id),
            item,
            key,
        });
    }
    if !left.is_empty() {
        return Err(corrupt(
            "The phone holds something that the backup does not",
        ));
    }
    fetch(link, &wanted).await
}

async fn fetch<S: AsyncRead + AsyncWrite + Unpin + Send>(
    link: &mut Link<S>,
    wanted: &[Wanted],
) -> Result<(), Stop> {
    let mut bad = 0_usize;
    for (done, chunk) in wanted.chunks(BATCH).enumerate() {
        #[expect(clippy::cast_precision_loss, reason = "a percentage")]
        let share = (done * BATCH) as f64 / wanted.len().max(1) as f64;
        link.progress = 95.0 * share;
        let paths: Vec<String> = chunk.iter().map(|file| file.path.clone()).collect();
        let mut files: Vec<_> = chunk
            .iter()
            .map(|file| Comparison::new(file.item.clone(), file.key.as_ref()))
            .collect();
        let mut sink = |index: usize, data: &[u8]| {
            if let Some(file) = files.get_mut(index) {
                file.feed(data);
            }
        };
        let results = link.download(&paths, &mut sink).await?;
        let good = files
            .into_iter()
            .zip(results)
            .filter_map(|(file, result)| result.ok().map(|()| file.finish()));
        bad += chunk.len() - good.filter(|equal| *equal).count();
    }
    if bad > 0 {
        return Err(Stop::failed(
            MbError::CORRUPT,
            "Multiple errors downloading files",
        ));
    }
    Ok(())
}
