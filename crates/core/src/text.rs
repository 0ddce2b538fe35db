//! Text of strangers — names of phones, words of an error — as a screen, a notice or a log may show it.

/// One line of at most `limit` characters: nothing in it controls, hides or turns text around. What is longer ends in "…".
#[must_use]
pub fn plain(text: &str, limit: usize) -> String {
    // A character may be followed by any number that say nothing; a stranger's text is read only so far.
    let clean: String = text
        .chars()
        .take(limit.saturating_mul(4))
        .map(|c| if c.is_control() { ' ' } else { c })
        .filter(|c| !tricks(*c))
        .collect();
    let clean = clean.split_whitespace().collect::<Vec<_>>().join(" ");
    if clean.chars().count() <= limit {
        return clean;
    }
    let mut short: String = clean.chars().take(limit.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// Characters that are not seen themselves and change how others are. The joiners stay: emoji and some scripts need them.
fn tricks(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffd}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn a_strangers_text_commands_no_screen() {
        for (text, shown) in [
            ("Ada’s iPhone 📱", "Ada’s iPhone 📱"),
            ("👨\u{200d}👩\u{200d}👧", "👨\u{200d}👩\u{200d}👧"),
            ("\u{1b}[31mred\u{7}\n", "[31mred"),
            ("\u{202e}enohP", "enohP"),
            ("\u{9b}2J", "2J"),
            ("two\nlines", "two lines"),
            (" ", ""),
        ] {
            assert_eq!(plain(text, 48), shown, "{text:?}");
        }
        assert_eq!(plain("abcdef", 5), "abcd…");
        assert_eq!(plain(&"long ".repeat(1_000), 48).chars().count(), 48);
        assert_eq!(plain(&"\u{202e}".repeat(100_000), 48), "");
    }
}
