//! Words in error messages: names that were meant, and text of others.

/// What to say after an unknown name: `: did you mean ...?`, or nothing if no known name is alike.
pub fn suggestion(word: &str, known: &[&str]) -> String {
    match nearest(word, known).as_slice() {
        [] => String::new(),
        near => format!(": did you mean `{}`?", near.join("` or `")),
    }
}

/// Up to three known words that `word` may be meant for, the nearest first.
fn nearest<'a>(word: &str, known: &[&'a str]) -> Vec<&'a str> {
    // Below this, what is alike is alike by chance. The words beside the best are left out
    // unless they are nearly as good.
    const ALIKE: f64 = 0.78;
    const NEARLY: f64 = 0.04;
    let mut scored: Vec<_> =
        known.iter().map(|known| (strsim::jaro_winkler(word, known), *known)).collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    let best = scored.first().map_or(0.0, |(score, _)| *score);
    scored.retain(|(score, _)| *score >= ALIKE && best - *score <= NEARLY);
    scored.truncate(3);
    scored.into_iter().map(|(_, word)| word).collect()
}

/// Foreign text made fit for an error message: on one line, short, no control characters.
pub(crate) fn printable(text: &str) -> String {
    const LONGEST: usize = 600;
    let mut shown = String::new();
    for (count, c) in text.chars().enumerate() {
        if count == LONGEST {
            shown.push('…');
            break;
        }
        if c.is_control() { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    shown
}
