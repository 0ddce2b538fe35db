//! installation_proxy and springboardservices: the apps that Info.plist names, and their icons.

use std::io;

use backupwatch_wire::codec;
use backupwatch_wire::installation_proxy::{Options, Reply, Request};
use backupwatch_wire::springboard;
use plist::{Dictionary, Value};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Frames, invalid};

/// Longest page of apps; each has a receipt and a few kilobytes of metadata.
const MAX: usize = 2 << 20;

/// All apps together; what is beyond is left out, because Info.plist has to stay readable.
const MAX_APPS: usize = 2000;

/// Longest bundle identifier: those of the store have at most 155 characters.
const MAX_ID: usize = 255;

/// What a restore needs to fetch the apps again, of all of them and as it is written. Beyond it an app is only named.
const MAX_RECEIPTS: usize = 3 << 20;

/// All icons together, likewise; a phone's icon has some ten kilobytes.
const MAX_ICONS: usize = 1 << 20;

const ID: &str = "CFBundleIdentifier";
pub(crate) const ICON: &str = "PlaceholderIcon";
const RECEIPT: [&str; 2] = ["ApplicationSINF", "iTunesMetadata"];

/// Asks for the apps of the person. Each is a dictionary with the attributes that a backup wants.
pub(crate) async fn browse<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
) -> io::Result<Vec<Dictionary>> {
    let mut frames = Frames::new(stream, MAX);
    frames
        .send(&Request::Browse(Options::for_backup()).to_value())
        .await?;
    let mut all = Vec::new();
    let mut room = MAX_RECEIPTS;
    loop {
        match Reply::from_value(&frames.next().await?).map_err(|e| invalid(&e))? {
            Reply::Page { apps } => {
                let more = apps.iter().filter_map(|app| wanted(app, &mut room));
                all.extend(more.take(MAX_APPS.saturating_sub(all.len())));
            }
            Reply::Complete => return Ok(all),
            Reply::Failed { error } => return Err(io::Error::other(error)),
            Reply::Found { .. } => return Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

/// Asks for the icons of the apps that can be fetched again, and puts them beside their receipts.
pub(crate) async fn icons<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    apps: &mut [Dictionary],
) -> io::Result<()> {
    let mut frames = Frames::new(stream, MAX);
    let mut room = MAX_ICONS;
    for app in apps.iter_mut().filter(|app| app.contains_key(RECEIPT[0])) {
        let Some(id) = app.get(ID).and_then(Value::as_string) else {
            continue;
        };
        frames.send(&springboard::icon_request(id)).await?;
        let answer = frames.next().await?;
        let Some(icon) = springboard::icon(&answer) else {
            continue;
        };
        let Some(left) = room.checked_sub(icon.len()) else {
            return Ok(());
        };
        room = left;
        app.insert(ICON.to_owned(), Value::Data(icon.to_vec()));
    }
    Ok(())
}

/// Only what is written, as long as there is room for it.
fn wanted(app: &Dictionary, room: &mut usize) -> Option<Dictionary> {
    let id = app.get(ID)?.as_string().filter(|id| id.len() <= MAX_ID)?;
    let mut kept = Dictionary::from_iter([(ID.to_owned(), Value::from(id))]);
    let receipt: Vec<_> = RECEIPT.iter().filter_map(|key| app.get(key)).collect();
    let size: usize = receipt.iter().map(|part| codec::to_xml(part).len()).sum();
    if receipt.len() == RECEIPT.len()
        && let Some(left) = room.checked_sub(size)
    {
        *room = left;
        kept.extend(
            RECEIPT
                .into_iter()
                .zip(receipt)
                .map(|(key, part)| (key.to_owned(), part.clone())),
        );
    }
    Some(kept)
}

#[cfg(test)]
mod tests {
    use backupwatch_wire::lockdown;
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    /// A thousand apps with a lot to tell: all of them are named, and what comes of it stays short.
    #[tokio::test]
    async fn what_apps_tell_of_themselves_is_bounded() {
        let (ours, mut phones) = tokio::io::duplex(1 << 16);
        let phone = tokio::spawn(async move {
            for page in 0..100 {
                let app = |number: i32| {
                    Dictionary::from_iter([
                        (ID.to_owned(), Value::from(format!("com.example.{number}"))),
                        (RECEIPT[0].to_owned(), Value::Data(vec![1; 1000])),
                        (RECEIPT[1].to_owned(), Value::Data(vec![2; 20_000])),
                        ("Rubbish".to_owned(), Value::Data(vec![3; 5000])),
                    ])
                };
                let reply = Reply::Page {
                    apps: (0..10).map(|number| app(10 * page + number)).collect(),
                };
                let frame = lockdown::encode_frame(&codec::to_xml(&reply.to_value(0)));
                phones.write_all(&frame).await.unwrap();
            }
            let frame = lockdown::encode_frame(&codec::to_xml(&Reply::Complete.to_value(0)));
            phones.write_all(&frame).await.unwrap();
            phones
        });
        let apps = browse(ours).await.unwrap();
        drop(phone.await.unwrap());
        assert_eq!(apps.len(), 1000);
        assert!(apps[0].contains_key(RECEIPT[0]) && !apps[999].contains_key(RECEIPT[0]));
        let all = Value::Array(apps.into_iter().map(Value::Dictionary).collect());
        assert!(codec::to_xml(&all).len() < 4 << 20);
    }
}
