//! A QR code as inline SVG, so that a phone's camera opens Apple's page there and nobody types.

use maud::{Markup, html};
use qrcode2::{Color, QrCode};

/// The white margin that cameras need, in modules.
const MARGIN: usize = 4;

/// The code of `link`, named for screen readers. None for what does not fit into one.
pub(super) fn code(link: &str, name: &str) -> Option<Markup> {
    let code = QrCode::new(link).ok()?;
    let (wide, side) = (code.width(), code.width() + 2 * MARGIN);
    let modules = code.into_colors();
    let mut path = String::new();
    for (y, row) in modules.chunks(wide).enumerate() {
        let mut x = 0;
        for run in row.chunk_by(|a, b| a == b) {
            if run.first() == Some(&Color::Dark) {
                let (left, top, long) = (x + MARGIN, y + MARGIN, run.len());
                path.push_str(&format!("M{left} {top}h{long}v1h-{long}z"));
            }
            x += run.len();
        }
    }
    Some(html! {
        svg class="qr" viewBox=(format!("0 0 {side} {side}")) role="img" aria-label=(name) shape-rendering="crispEdges" {
            rect width=(side) height=(side) fill="#fff" {}
            path d=(path) fill="#000" {}
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_steps_page_has_a_code_and_a_book_has_none() {
        for step in backupwatch_core::steps::all() {
            let drawn = code(&step.link, "Apple").unwrap().into_string();
            assert!(drawn.len() < 12_000, "{}: {}", step.id, drawn.len());
            // The upper left finder pattern begins behind the margin: seven dark modules.
            assert!(drawn.contains("M4 4h7v1h-7z"), "{drawn}");
        }
        assert!(code(&"x".repeat(10_000), "Apple").is_none());
    }
}
