//! The app's icon: our drawing, as pictures of every size that macOS asks for, in one `.icns` file.

use anyhow::{Context as _, Result};
use resvg::{
    tiny_skia::{Pixmap, Transform},
    usvg::{Options, Tree},
};

const DRAWING: &str = include_str!("../packaging/icon.svg");

/// The kinds of picture that hold PNG, with their width: 16 and 32 points for sharp screens, then 128, 256 and 512 points for
/// both. The plain 16 and 32 points want another format; macOS makes them from the larger ones.
const KINDS: [(&[u8; 4], u16); 8] = [
    (b"ic11", 32),
    (b"ic12", 64),
    (b"ic07", 128),
    (b"ic13", 256),
    (b"ic08", 256),
    (b"ic14", 512),
    (b"ic09", 512),
    (b"ic10", 1024),
];

/// The whole file.
pub(crate) fn icns() -> Result<Vec<u8>> {
    let drawing =
        Tree::from_str(DRAWING, &Options::default()).context("failed to read the icon")?;
    let mut pictures = Vec::new();
    for (kind, width) in KINDS {
        let picture = png(&drawing, width)?;
        pictures.extend_from_slice(kind);
        pictures.extend_from_slice(&length(picture.len())?);
        pictures.extend_from_slice(&picture);
    }
    let mut file = b"icns".to_vec();
    file.extend_from_slice(&length(pictures.len())?);
    file.extend_from_slice(&pictures);
    Ok(file)
}

/// A length counts the eight bytes before the content too.
fn length(content: usize) -> Result<[u8; 4]> {
    Ok(u32::try_from(content + 8)?.to_be_bytes())
}

fn png(drawing: &Tree, width: u16) -> Result<Vec<u8>> {
    let mut picture = Pixmap::new(width.into(), width.into()).context("a picture has a size")?;
    let scale = f32::from(width) / drawing.size().width();
    resvg::render(
        drawing,
        Transform::from_scale(scale, scale),
        &mut picture.as_mut(),
    );
    picture.encode_png().context("failed to encode the icon")
}
