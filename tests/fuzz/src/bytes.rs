//! Taking an input apart.

/// An input that begins with how it is cut: the pieces of the rest, between 1 and 64 bytes long, the same ones each time.
#[derive(Clone, Copy)]
pub struct Cut<'a> {
    seed: u8,
    rest: &'a [u8],
}

impl<'a> Cut<'a> {
    pub fn new(input: &'a [u8]) -> Self {
        let (seed, rest) = input.split_first().unwrap_or((&0, &[]));
        Self { seed: *seed, rest }
    }

    /// The bytes uncut.
    pub const fn whole(self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Cut<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        self.seed = self.seed.wrapping_mul(37).wrapping_add(11);
        // Mostly small pieces: headers are cut too.
        let length = usize::from(self.seed % 8) * usize::from(self.seed / 32) + 1;
        let (piece, rest) = self.rest.split_at(length.min(self.rest.len()));
        self.rest = rest;
        Some(piece)
    }
}

/// What was read from outside must be written in a form that is read again, and then be written the same.
pub fn settles<T, E: std::fmt::Debug>(
    value: &T,
    write: impl Fn(&T) -> Vec<u8>,
    read: impl Fn(&[u8]) -> Result<T, E>,
) {
    let written = write(value);
    let again = read(&written).expect("what we write, we read");
    assert!(
        write(&again) == written,
        "a second time it is written otherwise"
    );
}

/// As [`settles`], after one round: two keys may become one where XML has no form for what distinguished them.
pub fn settles_as_xml<T, E: std::fmt::Debug>(
    value: &T,
    write: impl Fn(&T) -> Vec<u8>,
    read: impl Fn(&[u8]) -> Result<T, E>,
) {
    let once = read(&write(value)).expect("what we write, we read");
    settles(&once, write, read);
}

/// Whether a text that is kept of a phone's own words could name a file or a person: an address, a path, a second line. A slash
/// between an error's domain and its number is neither.
pub fn names_something(text: &str) -> bool {
    // A text that was cut may end at the slash.
    let is_code =
        |text: &str| text.is_empty() || text.starts_with(|c: char| c.is_ascii_digit() || c == '-');
    let is_path = |word: &str| match word.split_once('/') {
        Some((_, code)) => code.contains('/') || !is_code(code),
        None => false,
    };
    text.contains(['@', '\n']) || text.split_whitespace().any(is_path)
}
