//! The rules in words, and the numbers and titles that its headings give them.

/// `rules.md`.
pub const RULES: &str = include_str!("../rules.md");

/// The number and the title of each rule, in the order of the page: `("E3", "One vote a term")`.
pub fn rule_titles() -> impl Iterator<Item = (&'static str, &'static str)> {
    let headings = RULES.lines().filter_map(|line| line.strip_prefix("## "));
    headings.filter_map(|heading| heading.split_once(' ')).filter(|(number, _)| is_number(number))
}

/// A capital letter and digits, as in `E4`.
fn is_number(word: &str) -> bool {
    let mut chars = word.chars();
    chars.next().is_some_and(|first| first.is_ascii_uppercase())
        && !chars.as_str().is_empty()
        && chars.all(|rest| rest.is_ascii_digit())
}
