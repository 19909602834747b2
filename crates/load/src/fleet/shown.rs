//! Text of somebody else as it may be shown: on a terminal, in a log, in a report.

/// Characters that are shown.
const SHOWN_CHARS: usize = 1_000;

/// No more of a text than [`SHOWN_CHARS`], and nothing in it that would steer a terminal or turn the reading direction.
pub(super) fn escaped(text: &str) -> String {
    let mut shown = String::new();
    for char in text.chars().take(SHOWN_CHARS) {
        if char.is_control() || turns(char) {
            shown.extend(char.escape_default());
        } else {
            shown.push(char);
        }
    }
    if text.chars().nth(SHOWN_CHARS).is_some() {
        shown.push_str("...");
    }
    shown
}

/// The same in its place.
pub(super) fn escape(text: &mut String) {
    *text = escaped(text);
}

/// Whether what follows is shown in another order than it is written: embeddings, overrides and isolates of the
/// bidirectional algorithm (Unicode Standard Annex 9). They are no control characters by their category.
fn turns(char: char) -> bool {
    matches!(char, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn what_steers_a_terminal_or_turns_a_text_is_shown_as_what_it_is() {
        let rows = [
            ("a b \u{e9} \u{4e2d}", "a b \u{e9} \u{4e2d}"),
            ("\u{1b}[2J", "\\u{1b}[2J"),
            ("a\nb", "a\\nb"),
            ("\u{202e}gnp.exe", "\\u{202e}gnp.exe"),
            ("\u{202a}\u{2066}\u{2069}", "\\u{202a}\\u{2066}\\u{2069}"),
        ];
        for (text, shown) in rows {
            assert_eq!(escaped(text), shown);
        }
        assert_eq!(escaped(&"x".repeat(2_000)), "x".repeat(1_000) + "...");
    }
}
