//! The known word that a misspelt one was meant to be. Pure.

/// The known word that is near enough to be meant.
pub(crate) fn nearest<'a>(found: &str, known: &[&'a str]) -> Option<&'a str> {
    let plain = |text: &str| text.to_ascii_lowercase().replace('-', "_");
    let found = plain(found);
    let (name, distance) = known
        .iter()
        .map(|name| (*name, strsim::osa_distance(&found, &plain(name))))
        .min_by_key(|(_, distance)| *distance)?;
    let contains = found.len() >= 3 && (plain(name).contains(&found) || found.contains(&plain(name)));
    (distance <= 1 + name.len() / 4 || contains).then_some(name)
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
