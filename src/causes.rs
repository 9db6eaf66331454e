//! Errors as people read them.

use std::error::Error;

/// An error and its causes on one line, without repeats: many errors name their cause themselves.
#[must_use]
pub(crate) fn told(error: &(dyn Error + 'static)) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        if !parts.iter().any(|seen| seen.contains(&text)) {
            parts.push(text);
        }
        next = error.source();
    }
    parts.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("lock /a: {source}; see that there is room")]
    struct Lock {
        source: std::io::Error,
    }

    #[test]
    fn cause_that_the_error_names_itself_is_not_said_twice() {
        let error = anyhow::Error::from(Lock { source: std::io::Error::other("disk full") }).context("begin");
        assert_eq!(told(error.as_ref()), "begin: lock /a: disk full; see that there is room");
    }
}
