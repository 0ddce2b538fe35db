//! The glyphs, drawn here so that they look the same everywhere: a shield with a tick, a triangle with an exclamation mark, an
//! octagon with a cross, a ring with a question mark. Each differs from the others by its outline alone.

use backupwatch_core::Protection;

/// Samples along each side of a pixel.
const FINE: u16 = 4;

type Point = (f32, f32);

/// How much of each pixel of a square of `side` pixels the glyph covers, row by row, 0 to 255.
pub(crate) fn coverage(protection: Protection, side: u16) -> Vec<u8> {
    let fine = f32::from(FINE) * f32::from(side);
    let at = |pixel: u16, sample: u16| (f32::from(pixel * FINE + sample) + 0.5) / fine;
    let pixel = |row: u16, column: u16| {
        let samples = (0..FINE).flat_map(|y| (0..FINE).map(move |x| (x, y)));
        let inside = samples.filter(|(x, y)| is_ink(protection, (at(column, *x), at(row, *y))));
        let inside = u16::try_from(inside.count()).unwrap_or(0);
        u8::try_from(inside * 255 / (FINE * FINE)).unwrap_or(u8::MAX)
    };
    (0..side)
        .flat_map(|row| (0..side).map(move |column| (row, column)))
        .map(|(row, column)| pixel(row, column))
        .collect()
}

/// Whether a point of the unit square, from its upper left corner, is ink.
fn is_ink(protection: Protection, at: Point) -> bool {
    match protection {
        Protection::Protected => is_within(SHIELD, at) && !is_stroke(TICK, 0.055, at),
        Protection::AtRisk => {
            is_within(TRIANGLE, at) && !is_stroke(BANG, 0.052, at) && !is_dot((0.5, 0.76), at)
        }
        Protection::Unprotected => {
            is_within(OCTAGON, at)
                && !is_stroke(&[(0.35, 0.35), (0.65, 0.65)], 0.055, at)
                && !is_stroke(&[(0.65, 0.35), (0.35, 0.65)], 0.055, at)
        }
        Protection::Unknown => {
            let ring = (distance(at, (0.5, 0.5)) - 0.38).abs() <= 0.045;
            ring || is_stroke(QUESTION, 0.045, at) || is_dot((0.5, 0.71), at)
        }
    }
}

/// Clockwise, as all outlines here.
const SHIELD: &[Point] = &[
    (0.50, 0.07),
    (0.87, 0.19),
    (0.87, 0.50),
    (0.82, 0.66),
    (0.71, 0.80),
    (0.50, 0.94),
    (0.29, 0.80),
    (0.18, 0.66),
    (0.13, 0.50),
    (0.13, 0.19),
];
const TRIANGLE: &[Point] = &[
    (0.46, 0.09),
    (0.54, 0.09),
    (0.96, 0.84),
    (0.92, 0.91),
    (0.08, 0.91),
    (0.04, 0.84),
];
const OCTAGON: &[Point] = &[
    (0.33, 0.09),
    (0.67, 0.09),
    (0.91, 0.33),
    (0.91, 0.67),
    (0.67, 0.91),
    (0.33, 0.91),
    (0.09, 0.67),
    (0.09, 0.33),
];
const TICK: &[Point] = &[(0.33, 0.50), (0.45, 0.63), (0.67, 0.36)];
const BANG: &[Point] = &[(0.5, 0.38), (0.5, 0.62)];
const QUESTION: &[Point] = &[
    (0.39, 0.41),
    (0.40, 0.36),
    (0.44, 0.315),
    (0.50, 0.30),
    (0.56, 0.315),
    (0.60, 0.36),
    (0.605, 0.41),
    (0.58, 0.455),
    (0.53, 0.50),
    (0.50, 0.55),
    (0.50, 0.585),
];

/// Whether a convex outline has the point inside.
fn is_within(outline: &[Point], at: Point) -> bool {
    let next = outline.iter().cycle().skip(1);
    outline.iter().zip(next).all(|(from, to)| {
        (to.0 - from.0) * (at.1 - from.1) - (to.1 - from.1) * (at.0 - from.0) >= 0.0
    })
}

/// Whether a round pen of this half width, drawn along the points, touches this one.
fn is_stroke(line: &[Point], half: f32, at: Point) -> bool {
    line.iter().zip(line.iter().skip(1)).any(|(from, to)| {
        let along = (to.0 - from.0, to.1 - from.1);
        let length = along.0 * along.0 + along.1 * along.1;
        let share = ((at.0 - from.0) * along.0 + (at.1 - from.1) * along.1) / length;
        let share = share.clamp(0.0, 1.0);
        distance(at, (from.0 + share * along.0, from.1 + share * along.1)) <= half
    })
}

fn is_dot(centre: Point, at: Point) -> bool {
    distance(centre, at) <= 0.055
}

fn distance(one: Point, other: Point) -> f32 {
    (one.0 - other.0).hypot(one.1 - other.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EACH: [Protection; 4] = [
        Protection::Protected,
        Protection::AtRisk,
        Protection::Unprotected,
        Protection::Unknown,
    ];

    /// Colour is never the only sign: any two differ in many pixels, at the size of a panel, without any colour.
    #[test]
    fn every_two_glyphs_differ_by_their_shape() {
        let drawn = EACH.map(|protection| coverage(protection, 22));
        for (first, one) in drawn.iter().enumerate() {
            let ink = one.iter().filter(|ink| **ink > 127).count();
            assert!((60..400).contains(&ink), "{first}: {ink} pixels of ink");
            for (second, other) in drawn.iter().enumerate().skip(first + 1) {
                let differing = one
                    .iter()
                    .zip(other)
                    .filter(|(a, b)| a.abs_diff(**b) > 127)
                    .count();
                assert!(differing > 40, "{first} and {second}: {differing} pixels");
            }
        }
    }

    #[test]
    fn a_glyph_has_a_clear_edge_and_is_as_large_as_was_asked() {
        for protection in EACH {
            for side in [1, 16, 22, 48] {
                let drawn = coverage(protection, side);
                assert_eq!(drawn.len(), usize::from(side) * usize::from(side));
            }
            let drawn = coverage(protection, 48);
            let rows: Vec<&[u8]> = drawn.chunks(48).collect();
            assert!(rows[0].iter().chain(rows[47]).all(|ink| *ink == 0));
            assert!(rows.iter().all(|row| row[0] == 0 && row[47] == 0));
        }
    }

    /// To be looked at.
    #[test]
    fn the_glyphs() {
        let side = 24;
        let drawn = EACH.map(|protection| {
            let drawn = coverage(protection, side);
            drawn
                .chunks(usize::from(side))
                .map(|row| {
                    let shades = row.iter().map(|ink| match ink {
                        0..=63 => "  ",
                        64..=127 => "░░",
                        128..=191 => "▒▒",
                        192..=255 => "██",
                    });
                    shades.collect::<String>().trim_end().to_owned()
                })
                .collect::<Vec<_>>()
                .join("\n")
        });
        insta::assert_snapshot!(drawn.join("\n----\n"));
    }
}
