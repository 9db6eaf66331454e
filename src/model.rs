//! The words of the design as types. Outside text becomes one of these once, at the edge.
//!
//! Nothing here touches a disk, a clock or a network.

use std::fmt;
use std::str::FromStr;

use chrono::{Datelike, NaiveDate};
use serde::{Deserialize, Serialize};

/// A database engine whose backups dbbackup knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// Oracle Database, by RMAN folders.
    Oracle,
    /// `MySQL` and `MariaDB`, by SQL dumps.
    Mysql,
    /// Microsoft SQL Server, by `.bak` files.
    Mssql,
}

impl Engine {
    /// Every engine, in the order in which a run takes them.
    pub const ALL: [Self; 3] = [Self::Oracle, Self::Mysql, Self::Mssql];

    /// The word used in keys, configuration sections and the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Oracle => "oracle",
            Self::Mysql => "mysql",
            Self::Mssql => "mssql",
        }
    }

    /// The vendor's spelling, for people.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Oracle => "Oracle",
            Self::Mysql => "MySQL",
            Self::Mssql => "SQL Server",
        }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Engine {
    type Err = ModelError;

    fn from_str(text: &str) -> Result<Self, ModelError> {
        Self::ALL
            .into_iter()
            .find(|engine| engine.as_str() == text)
            .ok_or_else(|| ModelError::Engine(text.to_owned()))
    }
}

/// How long a set is meant to be kept; a folder of the bucket, for lifecycle rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Category {
    /// Only where `[backup] daily = true`.
    Daily,
    /// The usual one.
    Weekly,
    /// The weekly day of the monthly week.
    Monthly,
}

impl Category {
    /// Every category.
    pub const ALL: [Self; 3] = [Self::Daily, Self::Weekly, Self::Monthly];

    /// The word used in keys and configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Daily => "daily",
            Self::Weekly => "weekly",
            Self::Monthly => "monthly",
        }
    }
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Category {
    type Err = ModelError;

    fn from_str(text: &str) -> Result<Self, ModelError> {
        Self::ALL
            .into_iter()
            .find(|category| category.as_str() == text)
            .ok_or_else(|| ModelError::Category(text.to_owned()))
    }
}

/// The date in a set's name: the day the backup speaks of, in the server's own calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BackupDate(NaiveDate);

impl BackupDate {
    /// Years outside this range are taken for other numbers (identifiers, ports, epochs).
    pub const YEARS: std::ops::RangeInclusive<i32> = 1990..=2099;

    /// A date from its calendar parts, or `None` where there is no such day or the year is out of
    /// [`Self::YEARS`].
    #[must_use]
    pub fn from_ymd(year: i32, month: u32, day: u32) -> Option<Self> {
        if !Self::YEARS.contains(&year) {
            return None;
        }
        NaiveDate::from_ymd_opt(year, month, day).map(Self)
    }

    /// The calendar day.
    #[must_use]
    pub const fn day(self) -> NaiveDate {
        self.0
    }

    /// Week of the month as the script counts it: `(day - 1) / 7 + 1`, so 1 to 5.
    #[must_use]
    pub fn week_of_month(self) -> u32 {
        (self.0.day() - 1) / 7 + 1
    }
}

impl From<NaiveDate> for BackupDate {
    fn from(day: NaiveDate) -> Self {
        Self(day)
    }
}

impl fmt::Display for BackupDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.format("%Y-%m-%d").to_string())
    }
}

impl FromStr for BackupDate {
    type Err = ModelError;

    fn from_str(text: &str) -> Result<Self, ModelError> {
        let strict = text.len() == 10 && text.is_ascii();
        NaiveDate::parse_from_str(text, "%Y-%m-%d")
            .ok()
            .filter(|_| strict)
            .map(Self)
            .ok_or_else(|| ModelError::Date(text.to_owned()))
    }
}

/// An inclusive range of backup dates; `first` is never after `last`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DateRange {
    first: BackupDate,
    last: BackupDate,
}

impl DateRange {
    /// One day.
    #[must_use]
    pub const fn one(day: BackupDate) -> Self {
        Self { first: day, last: day }
    }

    /// From `first` to `last`, both included.
    ///
    /// # Errors
    /// [`ModelError::Range`] where `first` is after `last`.
    pub fn new(first: BackupDate, last: BackupDate) -> Result<Self, ModelError> {
        if first > last {
            return Err(ModelError::Range { first, last });
        }
        Ok(Self { first, last })
    }

    /// The range that ends on the same day and has at least `days` days.
    #[must_use]
    pub fn reaching_back(self, days: u32) -> Self {
        let back = chrono::Days::new(u64::from(days.saturating_sub(1)));
        let first = self.last.0.checked_sub_days(back).map_or(self.first, BackupDate);
        Self { first: first.min(self.first), last: self.last }
    }

    /// Whether `date` lies in the range.
    #[must_use]
    pub fn contains(self, date: BackupDate) -> bool {
        self.first <= date && date <= self.last
    }

    /// The first day.
    #[must_use]
    pub const fn first(self) -> BackupDate {
        self.first
    }

    /// The last day.
    #[must_use]
    pub const fn last(self) -> BackupDate {
        self.last
    }
}

impl fmt::Display for DateRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{} to {}", self.first, self.last)
        }
    }
}

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

/// Which engines a run takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Every engine that is configured.
    All,
    /// One, asked for by name.
    One(Engine),
}

impl Target {
    /// The engines, in order.
    pub fn engines(self) -> impl Iterator<Item = Engine> {
        Engine::ALL.into_iter().filter(move |engine| match self {
            Self::All => true,
            Self::One(one) => one == *engine,
        })
    }

    /// Whether the engine was asked for by name: then its absence is an error.
    #[must_use]
    pub fn names(self, engine: Engine) -> bool {
        self == Self::One(engine)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::All => "all",
            Self::One(engine) => engine.as_str(),
        })
    }
}

impl FromStr for Target {
    type Err = ModelError;

    fn from_str(text: &str) -> Result<Self, ModelError> {
        let text = text.to_ascii_lowercase();
        if text == "all" {
            return Ok(Self::All);
        }
        text.parse().map(Self::One).map_err(|_| ModelError::Target(text))
    }
}

/// Sets of an engine, or of one of its apps: `mysql`, `mysql/shop`, `mssql/api1/test`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector {
    engine: Engine,
    app: Option<RelPath>,
}

impl Selector {
    /// The engine.
    #[must_use]
    pub const fn engine(&self) -> Engine {
        self.engine
    }

    /// The app, where one was named.
    #[must_use]
    pub const fn app(&self) -> Option<&RelPath> {
        self.app.as_ref()
    }

    /// Whether a set is meant. An app means itself and not the apps below it.
    #[must_use]
    pub fn matches(&self, id: &SetId) -> bool {
        self.engine == id.engine && self.app.as_ref().is_none_or(|app| *app == id.app)
    }

    /// The beginning that all keys of these sets share, with a slash at its end.
    #[must_use]
    pub fn scope(&self) -> String {
        format!("{self}/")
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.app {
            None => f.pad(self.engine.as_str()),
            Some(app) => f.pad(&format!("{}/{app}", self.engine)),
        }
    }
}

impl FromStr for Selector {
    type Err = ModelError;

    fn from_str(text: &str) -> Result<Self, ModelError> {
        let (engine, app) = match text.trim_end_matches('/').split_once('/') {
            None => (text.trim_end_matches('/'), None),
            Some((engine, app)) => (engine, Some(app.parse()?)),
        };
        Ok(Self { engine: engine.to_ascii_lowercase().parse()?, app })
    }
}

/// Whether a set is one object or a folder of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SetKind {
    /// One file, one object.
    File,
    /// A folder with all its files, its name kept in the keys.
    Folder,
}

/// How well a stored set is known to be good; ordered, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Proof {
    /// Nobody has compared it.
    Unproven,
    /// S3's own checksum of each whole object equals ours.
    Stored,
    /// Downloaded again and compared.
    Reread,
    /// Loaded into a real database, or passed the engine's own check.
    Restored,
}

impl Proof {
    /// The word for tables, file names and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unproven => "unproven",
            Self::Stored => "stored",
            Self::Reread => "reread",
            Self::Restored => "restored",
        }
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What inspection says of a set's content. Only [`Verdict::Whole`] is a success: unknown never is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum Verdict {
    /// Everything the format lets one check cheaply says that the file is complete.
    Whole {
        /// What was checked.
        how: String,
    },
    /// The file ends too early, or is damaged.
    CutShort {
        /// What is missing or wrong.
        why: String,
    },
    /// Somebody is writing it.
    StillBeingWritten {
        /// What shows that.
        why: String,
    },
    /// The content gives no answer.
    NotJudged {
        /// Why not, and what was seen.
        why: String,
    },
}

impl Verdict {
    /// The word of the design, for tables.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Whole { .. } => "whole",
            Self::CutShort { .. } => "cut short",
            Self::StillBeingWritten { .. } => "still being written",
            Self::NotJudged { .. } => "not judged",
        }
    }

    /// The sentence behind the word.
    #[must_use]
    pub fn reason(&self) -> &str {
        match self {
            Self::Whole { how: text }
            | Self::CutShort { why: text }
            | Self::StillBeingWritten { why: text }
            | Self::NotJudged { why: text } => text,
        }
    }

    /// Whether it is [`Verdict::Whole`].
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        matches!(self, Self::Whole { .. })
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.word(), self.reason())
    }
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth a look; the exit code stays.
    Warning,
    /// Something asked for is not done: the exit code is at least 1.
    Error,
}

/// Something wrong: what, where, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// How bad.
    pub severity: Severity,
    /// The file, folder, key or setting it is about.
    pub subject: String,
    /// What is wrong, in one sentence without the subject.
    pub what: String,
    /// What to do next.
    pub advice: String,
}

/// The process's exit code; the numbers are a public promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitCode {
    /// 0: everything asked for is done and proven.
    Done,
    /// 1: something failed, was refused, is missing or damaged; the rest went on.
    Failed,
    /// 2: the command line or the configuration is wrong; nothing was done.
    Usage,
    /// 3: nothing was found to do.
    NothingFound,
    /// 4: another run holds the lock.
    Locked,
    /// 5: the bucket cannot be reached or refuses these credentials; nothing was done.
    NoBucket,
    /// 130: ended by SIGINT.
    Interrupted,
    /// 143: ended by SIGTERM.
    Terminated,
}

impl ExitCode {
    /// The number given to the operating system.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NothingFound => 3,
            Self::Locked => 4,
            Self::NoBucket => 5,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }
}

/// Text from outside that is not one of the words above.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// Not an engine.
    #[error("`{0}` is no engine; there are oracle, mysql and mssql")]
    Engine(String),
    /// Not a target.
    #[error("`{0}` is no target; there are all, oracle, mysql and mssql")]
    Target(String),
    /// Not a category.
    #[error("`{0}` is no category; there are daily, weekly and monthly")]
    Category(String),
    /// Not a date.
    #[error("`{0}` is no date of the form YYYY-MM-DD")]
    Date(String),
    /// Not a day of the command line.
    #[error("`{0}` is no day: write YYYY-MM-DD, `yesterday` or `today`")]
    Day(String),
    /// A range that ends before it begins.
    #[error("the range ends before it begins: {first} is after {last}")]
    Range {
        /// Its first day.
        first: BackupDate,
        /// Its last day.
        last: BackupDate,
    },
    /// A path component that cannot be part of a key.
    #[error("`{}` cannot be part of an object key: {why}", part.escape_debug())]
    Component {
        /// The component.
        part: String,
        /// The rule it breaks.
        why: &'static str,
    },
    /// Not a set's key.
    #[error(
        "`{0}` is no key of a backup set; one reads <engine>/<app>/<category>/<name>, as `dbbackup list` prints it"
    )]
    Key(String),
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

    #[test]
    fn date_text_is_strict() {
        for text in ["2025-8-18", "2025-02-30", "18-08-2025", "2025-08-18 ", "+2025-08-18"] {
            assert!(text.parse::<BackupDate>().is_err(), "{text:?}");
        }
        assert_eq!("2025-08-18".parse::<BackupDate>().unwrap().to_string(), "2025-08-18");
    }
}
