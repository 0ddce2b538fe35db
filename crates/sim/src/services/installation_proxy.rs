//! com.apple.mobile.installation_proxy: the list of user applications that hosts put into Info.plist (protocol.md 9.6).

use std::io;

use backupwatch_wire::installation_proxy::{Options, Reply, Request};
use backupwatch_wire::lockdown::MAX_FRAME;
use plist::{Dictionary, Value};

use super::ServiceStream;
use crate::io::Frames;
use crate::persona::App;
use crate::phone::{Channel, Phone};

/// Applications in one answer of a browse.
const PAGE: usize = 20;

pub(super) async fn serve(stream: ServiceStream, phone: &Phone) -> io::Result<()> {
    let mut frames = Frames::new(stream, MAX_FRAME);
    while let Some(value) = frames.next_value().await? {
        let request = Request::from_value(&value).map_err(io::Error::other)?;
        let name = match &request {
            Request::Browse(_) => "Browse",
            Request::Lookup(_) => "Lookup",
            Request::Other { command } => command,
        };
        phone
            .journal()
            .note(Channel::InstallationProxy, name, Some(value));
        let apps = &phone.persona().app;
        match request {
            Request::Browse(options) => {
                let apps: Vec<Dictionary> = if user_apps(&options) {
                    apps.iter()
                        .map(|app| describe(app, &options.attributes))
                        .collect()
                } else {
                    Vec::new()
                };
                let mut index = 0_u64;
                for page in apps.chunks(PAGE) {
                    phone.gate().pass("BrowsingApplications").await;
                    frames
                        .send_value(
                            &Reply::Page {
                                apps: page.to_vec(),
                            }
                            .to_value(index),
                        )
                        .await?;
                    index = index.saturating_add(u64::try_from(page.len()).unwrap_or_default());
                }
                frames.send_value(&Reply::Complete.to_value(index)).await?;
            }
            Request::Lookup(options) => {
                let found = apps
                    .iter()
                    .filter(|app| {
                        options
                            .bundle_ids
                            .as_ref()
                            .is_none_or(|ids| ids.contains(&app.bundle_id))
                    })
                    .map(|app| {
                        let about = describe(app, &options.attributes);
                        (app.bundle_id.clone(), Value::Dictionary(about))
                    })
                    .collect();
                frames
                    .send_value(&Reply::Found { apps: found }.to_value(0))
                    .await?;
            }
            Request::Other { .. } => {
                let error = "UnknownCommand".to_owned();
                frames
                    .send_value(&Reply::Failed { error }.to_value(0))
                    .await?;
            }
        }
    }
    Ok(())
}

fn user_apps(options: &Options) -> bool {
    options
        .application_type
        .as_deref()
        .is_none_or(|kind| kind == "User" || kind == "Any")
}

fn describe(app: &App, attributes: &[String]) -> Dictionary {
    let metadata: Dictionary = [
        ("itemName", app.name.as_str()),
        ("softwareVersionBundleId", app.bundle_id.as_str()),
    ]
    .into_iter()
    .map(|(key, text)| (key.to_owned(), Value::from(text)))
    .collect();
    let metadata = backupwatch_wire::codec::to_binary(&Value::Dictionary(metadata));
    [
        (
            "ApplicationSINF",
            Value::Data(format!("sinf of {}", app.bundle_id).into_bytes()),
        ),
        ("ApplicationType", Value::from("User")),
        ("CFBundleDisplayName", Value::from(app.name.as_str())),
        ("CFBundleIdentifier", Value::from(app.bundle_id.as_str())),
        (
            "CFBundleShortVersionString",
            Value::from(app.version.as_str()),
        ),
        ("CFBundleVersion", Value::from(app.version.as_str())),
        ("iTunesMetadata", Value::Data(metadata)),
    ]
    .into_iter()
    .filter(|(key, _)| attributes.is_empty() || attributes.iter().any(|one| one == key))
    .map(|(key, value)| (key.to_owned(), value))
    .collect()
}
