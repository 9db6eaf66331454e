//! The known word that a misspelt one was meant to be. Pure.

/// The known word that is near enough to be meant.
pub(crate) fn nearest<'a>(found: &str, known: &[&'a str]) -> Option<&'a str> {
    let plain = |text: &str| text.to_ascii_lowercase().replace('-', "_");
    let found = plain(found);
    let (name, distance) = known
        .iter()
        .map(|name| (*name, distance(&found, &plain(name))))
        .min_by_key(|(_, distance)| *distance)?;
    let contains = found.len() >= 3 && (plain(name).contains(&found) || found.contains(&plain(name)));
    (distance <= 1 + name.len() / 4 || contains).then_some(name)
}

/// Letters to insert, remove or change (Levenshtein), two neighbours swapped counting as one.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    let mut last = None;
    for (i, letter) in left.chars().enumerate() {
        let mut next = vec![i + 1];
        for (j, other) in right.iter().enumerate() {
            let at = |row: &[usize], index: usize| row.get(index).copied().unwrap_or(usize::MAX / 2);
            let mut best = (at(&row, j) + usize::from(letter != *other))
                .min(at(&row, j + 1) + 1)
                .min(next.last().copied().unwrap_or_default() + 1);
            let swapped = j > 0 && last == Some(*other) && right.get(j - 1) == Some(&letter);
            if swapped {
                best = best.min(at(&before, j - 1) + 1);
            }
            next.push(best);
        }
        before = std::mem::replace(&mut row, next);
        last = Some(letter);
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_finds_the_word_that_was_meant() {
        let known = ["bucket", "prefix", "region", "endpoint_url", "path_style"];
        for (found, meant) in [
            ("buket", "bucket"),
            ("Bucket", "bucket"),
            ("perfix", "prefix"),
            ("endpoint", "endpoint_url"),
            ("path-style", "path_style"),
        ] {
            assert_eq!(nearest(found, &known), Some(meant), "{found}");
        }
        assert_eq!(nearest("compression", &known), None);
    }
}
