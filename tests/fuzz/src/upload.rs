//! The two binary streams that carry files.

use backupwatch_wire::devicelink::download::DownloadEvent;
use backupwatch_wire::devicelink::stream::{MAX_MESSAGE_KEPT, MAX_PATH};
use backupwatch_wire::devicelink::upload::UploadEvent;
use backupwatch_wire::devicelink::{StatusCode, StreamError, UploadDecoder, WirePath, download};
use backupwatch_wire::path::DevicePath;

use super::bytes::Cut;

const UDID: &str = "00008101-000A11112222F1E5";

/// Data that follow each other are one: where they are cut is not part of what is said.
#[derive(Debug, PartialEq)]
enum Said {
    File(Vec<WirePath>),
    Data(Vec<u8>),
    End(StatusCode, String),
    StreamEnd,
}

pub fn target(input: &[u8]) {
    let cut = Cut::new(input);
    let uploaded = upload([cut.whole()]);
    assert_eq!(uploaded, upload(cut));
    assert_eq!(download([cut.whole()]), download(cut));
    for said in &uploaded.0 {
        match said {
            Said::File(paths) => paths.iter().for_each(path),
            Said::End(_, message) => assert!(message.len() <= 3 * MAX_MESSAGE_KEPT),
            Said::Data(data) => assert!(!data.is_empty()),
            Said::StreamEnd => assert_eq!(uploaded.0.last(), Some(&Said::StreamEnd)),
        }
    }
}

/// A path that is taken names a place in the phone's own folder, and says the same when it is read again.
fn path(path: &WirePath) {
    assert!(path.as_bytes().len() <= MAX_PATH);
    let Ok(place) = path.resolve(UDID) else {
        return;
    };
    assert!(place.as_str() == UDID || place.as_str().starts_with(&format!("{UDID}/")));
    assert!(place.relative_to_udid().is_relative());
    let plain = |name: &str| !matches!(name, "" | "." | "..") && !name.contains(['/', '\0', '\\']);
    assert!(place.names().all(plain));
    assert_eq!(DevicePath::parse(place.as_str(), UDID).as_ref(), Ok(&place));
}

type Heard = (Vec<Said>, usize, Option<StreamError>);

fn upload<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Heard {
    let mut decoder = UploadDecoder::new();
    hear(pieces, |input| {
        let (taken, event) = decoder.next(input)?;
        let said = event.map(|event| match event {
            UploadEvent::FileStart {
                device_path,
                dest_path,
            } => Said::File(vec![device_path, dest_path]),
            UploadEvent::Data(data) => Said::Data(data.to_vec()),
            UploadEvent::FileEnd { code, message } => Said::End(code, message),
            UploadEvent::StreamEnd => Said::StreamEnd,
        });
        Ok((taken, said))
    })
}

fn download<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Heard {
    let mut decoder = download::DownloadDecoder::new();
    hear(pieces, |input| {
        let (taken, event) = decoder.next(input)?;
        let said = event.map(|event| match event {
            DownloadEvent::FileStart { path } => Said::File(vec![path]),
            DownloadEvent::Data(data) => Said::Data(data.to_vec()),
            DownloadEvent::FileEnd { code, message } => Said::End(code, message),
            DownloadEvent::StreamEnd => Said::StreamEnd,
        });
        Ok((taken, said))
    })
}

/// What was said, how many bytes said it, and the error that ended it.
fn hear<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    mut next: impl FnMut(&[u8]) -> Result<(usize, Option<Said>), StreamError>,
) -> Heard {
    let (mut heard, mut total) = (Vec::new(), 0);
    for mut piece in pieces {
        loop {
            let (taken, said) = match next(piece) {
                Ok(step) => step,
                Err(error) => return (heard, 0, Some(error)),
            };
            total += taken;
            piece = &piece[taken..];
            match (heard.last_mut(), said) {
                (_, None) => break,
                (Some(Said::Data(all)), Some(Said::Data(more))) => all.extend(more),
                (_, Some(said)) => heard.push(said),
            }
        }
    }
    (heard, total, None)
}
