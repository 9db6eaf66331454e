//! Which paths of a source are passed over.
//!
//! What must stay true: a pattern matches whole path components, so that `skip` never excludes
//! `skip2`; and it is anchored at the source, so that `skip` never excludes `shop/skip`.

use std::path::Path;

use globset::{GlobBuilder, GlobMatcher};

/// Paths relative to a source that are passed over, with everything below them.
///
/// A pattern is a path (`skip`, `api1/test`) or a glob (`*.tmp.sql`, `**/old`, `db{1,2}/test`), always
/// from the top of the source: `*` and `?` stay within one component, `**/` stands for any number of
/// folders, so `**/old` means `old` at any depth. Letter case counts.
#[derive(Debug, Clone, Default)]
pub struct Excludes {
    texts: Vec<String>,
    globs: Vec<GlobMatcher>,
}

impl Excludes {
    /// Compiles the patterns of an `exclude` setting.
    ///
    /// # Errors
    /// The reason for the first pattern that is none.
    pub fn new(texts: &[String]) -> Result<Self, String> {
        let globs = texts
            .iter()
            .map(|text| {
                compile(text).map_err(|why| format!("`{}` is no exclusion: {why}", text.escape_debug()))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { texts: texts.to_vec(), globs })
    }

    /// The patterns as they are written in the file.
    #[must_use]
    pub fn texts(&self) -> &[String] {
        &self.texts
    }

    /// The first pattern that excludes `rel` or a folder above it; `rel` is relative to the source.
    #[must_use]
    pub fn matched(&self, rel: &Path) -> Option<&str> {
        let excludes = |text: &str, glob: &GlobMatcher| {
            rel.ancestors().take_while(|part| !part.as_os_str().is_empty()).any(|part| {
                // A folder whose real name holds brackets or stars is meant by that very name.
                part == Path::new(text) || glob.is_match(part)
            })
        };
        self.texts
            .iter()
            .zip(&self.globs)
            .find(|(text, glob)| excludes(text, glob))
            .map(|(text, _)| text.as_str())
    }
}

fn compile(text: &str) -> Result<GlobMatcher, String> {
    if text.starts_with('/') {
        let inner = text.trim_matches('/');
        return Err(format!("it must be relative to the source, as in `{}`", inner.escape_debug()));
    }
    let path = text.trim_end_matches('/');
    if path.trim().is_empty() {
        return Err("it is empty".to_owned());
    }
    if path != path.trim() {
        return Err("it begins or ends with a space".to_owned());
    }
    if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err("write it without `.`, `..` and doubled slashes, from the top of the source".to_owned());
    }
    if path.split('/').all(|part| matches!(part, "*" | "**")) {
        return Err("it would exclude every backup; remove the section to leave the engine out".to_owned());
    }
    GlobBuilder::new(path)
        .literal_separator(true)
        .backslash_escape(true)
        .build()
        .map(|glob| glob.compile_matcher())
        .map_err(|err| err.kind().to_string())
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use proptest::prelude::*;

    use super::*;

    fn excludes(texts: &[&str]) -> Excludes {
        Excludes::new(&texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>()).unwrap()
    }

    fn hit<'a>(of: &'a Excludes, path: &str) -> Option<&'a str> {
        of.matched(Path::new(path))
    }

    #[test]
    fn name_excludes_itself_and_all_below_but_no_longer_name() {
        let of = excludes(&["skip"]);
        for path in ["skip", "skip/a.sql", "skip/deep/er/a.sql"] {
            assert_eq!(hit(&of, path), Some("skip"), "{path}");
        }
        for path in ["skip2", "skip2/a.sql", "skip.sql", "ski", "shop/skip", "Skip", ""] {
            assert_eq!(hit(&of, path), None, "{path}");
        }
    }

    #[test]
    fn path_of_two_components_excludes_that_folder_only() {
        let of = excludes(&["api1/test/"]);
        assert_eq!(hit(&of, "api1/test/x.bak"), Some("api1/test/"));
        for path in ["api1", "api1/test2/x.bak", "api1/x.bak", "test/x.bak", "api2/api1/test/x.bak"] {
            assert_eq!(hit(&of, path), None, "{path}");
        }
    }

    #[test]
    fn star_stays_in_its_component_and_double_star_does_not() {
        let of = excludes(&["*.tmp.sql"]);
        assert!(hit(&of, "a.tmp.sql").is_some());
        assert!(hit(&of, "shop/a.tmp.sql").is_none());
        let of = excludes(&["**/*.tmp.sql", "**/old", "db{1,2}/test"]);
        for path in
            ["a.tmp.sql", "x/y/a.tmp.sql", "old", "old/a.sql", "x/old/a.sql", "db2/test/a", "db1/test"]
        {
            assert!(hit(&of, path).is_some(), "{path}");
        }
        for path in ["older/a.sql", "x/bold/a.sql", "db3/test", "a.sql"] {
            assert!(hit(&of, path).is_none(), "{path}");
        }
    }

    #[test]
    fn folder_whose_real_name_looks_like_a_glob_can_be_excluded_by_name() {
        let of = excludes(&["db[1]"]);
        assert!(hit(&of, "db[1]/a.sql").is_some());
        assert!(hit(&of, "db1/a.sql").is_some());
        assert!(hit(&excludes(&[r"db\[1\]"]), "db1/a.sql").is_none());
    }

    #[test]
    fn what_is_no_pattern_is_refused_with_what_to_write() {
        for (text, said) in [
            ("/srv/mysql/skip", "relative to the source, as in `srv/mysql/skip`"),
            ("", "empty"),
            ("  ", "empty"),
            (" skip", "space"),
            ("./skip", "without `.`"),
            ("a/../b", "without `.`"),
            ("a//b", "doubled slashes"),
            ("**/*", "every backup"),
            ("*", "every backup"),
            ("a[", "unclosed"),
        ] {
            let why = Excludes::new(&[text.to_owned()]).unwrap_err();
            assert!(why.contains(said), "{text:?}: {why}");
        }
    }

    #[test]
    fn path_that_is_no_utf8_is_matched_too() {
        let of = excludes(&["skip", "**/old"]);
        assert!(of.matched(Path::new(OsStr::from_bytes(b"skip/\xff.sql"))).is_some());
        assert!(of.matched(Path::new(OsStr::from_bytes(b"\xff/old/a.sql"))).is_some());
        assert!(of.matched(Path::new(OsStr::from_bytes(b"\xffskip/a.sql"))).is_none());
    }

    proptest! {
        /// Against the plainest definition: the pattern's components begin the path's components.
        #[test]
        fn plain_pattern_excludes_exactly_the_paths_that_begin_with_its_components(
            pattern in prop::collection::vec("[a-c]{1,2}", 1..3),
            path in prop::collection::vec("[a-c]{1,2}", 1..5),
        ) {
            let of = excludes(&[&pattern.join("/")]);
            prop_assert_eq!(hit(&of, &path.join("/")).is_some(), path.starts_with(&pattern));
        }

        #[test]
        fn any_text_compiles_or_is_refused_without_a_panic(text in ".{0,20}", path in ".{0,20}") {
            if let Ok(of) = Excludes::new(&[text]) {
                let _ = of.matched(Path::new(&path));
            }
        }
    }
}
