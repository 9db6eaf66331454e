//! Which set: the names that keys are made of.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Category, Engine, ModelError};

/// A relative path of `/`-separated, plain UTF-8 components: never absolute, no `.` or `..`, no
/// empty component, no control character. Used for apps and for paths inside a set.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
#[serde(try_from = "String", into = "String")]
pub struct RelPath(String);

impl RelPath {
    /// The path with no component: the source itself, or the one file of a single-file set.
    #[must_use]
    pub const fn empty() -> Self {
        Self(String::new())
    }

    /// The text, `/`-separated.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it has no component.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The components, none for the empty path.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').filter(|part| !part.is_empty())
    }
}

impl FromStr for RelPath {
    type Err = ModelError;

    fn from_str(text: &str) -> Result<Self, ModelError> {
        if text.is_empty() {
            return Ok(Self::empty());
        }
        for part in text.split('/') {
            check_component(part)?;
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for RelPath {
    type Error = ModelError;

    fn try_from(text: String) -> Result<Self, ModelError> {
        text.parse()
    }
}

impl From<RelPath> for String {
    fn from(path: RelPath) -> Self {
        path.0
    }
}

impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// One path component: a set's name. Same rules as a component of [`RelPath`], never empty.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SetName(String);

impl SetName {
    /// The file's or the folder's own name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SetName {
    type Err = ModelError;

    fn from_str(text: &str) -> Result<Self, ModelError> {
        check_component(text)?;
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for SetName {
    type Error = ModelError;

    fn try_from(text: String) -> Result<Self, ModelError> {
        text.parse()
    }
}

impl From<SetName> for String {
    fn from(name: SetName) -> Self {
        name.0
    }
}

impl fmt::Display for SetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

fn check_component(part: &str) -> Result<(), ModelError> {
    let bad = |why| Err(ModelError::Component { part: part.to_owned(), why });
    match part {
        "" => bad("it is empty"),
        "." | ".." => bad("it is a dot name"),
        _ if part.contains('/') => bad("it holds a slash"),
        // Object listings are XML 1.0, which cannot carry most control characters.
        _ if part.chars().any(char::is_control) => bad("it holds a control character"),
        _ => Ok(()),
    }
}

/// Which set: what the catalog files it under.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SetId {
    /// The database engine.
    pub engine: Engine,
    /// Parent directory relative to the source; may be empty.
    pub app: RelPath,
    /// Weekly, monthly or daily.
    pub category: Category,
    /// File or folder name.
    pub name: SetName,
}

impl SetId {
    /// The key as `list` prints it: `<engine>/<app>/<category>/<name>`, without the prefix.
    #[must_use]
    pub fn key(&self) -> String {
        let mut key = String::from(self.engine.as_str());
        for part in self.app.components().chain([self.category.as_str(), self.name.as_str()]) {
            key.push('/');
            key.push_str(part);
        }
        key
    }

    /// The set that a key as [`Self::key`] writes it names. The category is the last component but
    /// one, so an app may itself hold a component called `weekly`.
    ///
    /// # Errors
    /// [`ModelError::Key`] where the text has another form.
    pub fn parse_key(key: &str) -> Result<Self, ModelError> {
        let bad = || ModelError::Key(key.to_owned());
        let parts: Vec<&str> = key.split('/').collect();
        let [engine, app @ .., category, name] = parts.as_slice() else {
            return Err(bad());
        };
        Ok(Self {
            engine: engine.parse().map_err(|_| bad())?,
            app: app.join("/").parse().map_err(|_| bad())?,
            category: category.parse().map_err(|_| bad())?,
            name: name.parse().map_err(|_| bad())?,
        })
    }
}

impl fmt::Display for SetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.key())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_of_a_set_parses_back_even_where_the_app_is_called_weekly() {
        for key in
            ["mysql/weekly/shop_20250818.sql", "mysql/weekly/weekly/a.sql", "mssql/api1/test/monthly/x.bak"]
        {
            assert_eq!(SetId::parse_key(key).unwrap().key(), key);
        }
    }

    #[test]
    fn dot_names_control_characters_and_absolute_paths_are_no_path_of_a_set() {
        for text in ["..", "a/../b", "./a", "/a", "a//b", "a/", "a\nb", "a\u{7f}"] {
            assert!(text.parse::<RelPath>().is_err(), "{text:?}");
        }
        assert!("".parse::<RelPath>().unwrap().is_empty());
    }
}
