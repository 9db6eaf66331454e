//! Text from outside as a terminal may show it: names of files and what the bucket holds could move the cursor,
//! forge a line, or turn the direction of writing. Pure.

/// The text with such characters written out (`\\u{1b}`).
pub(crate) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || turns(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// Embeddings, overrides and isolates of the bidirectional algorithm (Unicode UAX #9).
const fn turns(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_a_cursor_or_turns_a_line_is_written_out_and_letters_stay() {
        assert_eq!(printable("größe 備份 №1"), "größe 備份 №1");
        assert_eq!(printable("a\u{1b}[2J\nb\u{9b}c\u{202e}d"), "a\\u{1b}[2J\\nb\\u{9b}c\\u{202e}d");
    }
}
