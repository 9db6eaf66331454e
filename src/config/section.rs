//! One section of the file, read key by key.
//!
//! What must stay true: a key that nobody asked for is reported by [`Section::finish`], so there is
//! no list of known keys that could fall behind the code that reads them.

use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::Report;
use super::{secrets, values};

/// A value and where it stands.
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) span: Range<usize>,
}

/// A section; one that the file does not have reads as empty.
pub(super) struct Section<'a, 'r, 't> {
    name: &'static str,
    table: Option<&'a DeTable<'a>>,
    header: Range<usize>,
    known: Vec<&'static str>,
    report: &'r mut Report<'t>,
}

impl<'a, 'r, 't> Section<'a, 'r, 't> {
    /// The section `name` of the document.
    pub(super) fn open(document: &'a DeTable<'a>, name: &'static str, report: &'r mut Report<'t>) -> Self {
        let mut section = Self { name, table: None, header: report.end(), known: Vec::new(), report };
        if let Some((key, value)) = document.get_key_value(name) {
            section.header = key.span();
            match value.get_ref() {
                DeValue::Table(table) => section.table = Some(table),
                other => section.report.add(
                    &value.span(),
                    format!("[{name}]"),
                    format!(
                        "is {}; write it as a section: a line `[{name}]` with its keys below",
                        kind(other)
                    ),
                ),
            }
        }
        section
    }

    /// Where the tables of the list `name` stand, each a `[[name]]`.
    pub(super) fn tables(
        document: &'a DeTable<'a>,
        name: &'static str,
        report: &mut Report<'_>,
    ) -> Vec<(Range<usize>, &'a DeTable<'a>)> {
        let Some((key, value)) = document.get_key_value(name) else { return Vec::new() };
        let wrong = |at: &Range<usize>, report: &mut Report<'_>| {
            let what =
                format!("is no list of sections; write each as a line `[[{name}]]` with its keys below");
            report.add(at, format!("[[{name}]]"), what);
        };
        let Some(array) = value.get_ref().as_array() else {
            wrong(&key.span(), report);
            return Vec::new();
        };
        let mut tables = Vec::new();
        for element in array {
            match element.get_ref().as_table() {
                Some(table) => tables.push((element.span(), table)),
                None => wrong(&element.span(), report),
            }
        }
        tables
    }

    /// One of [`Self::tables`].
    pub(super) fn over(
        name: &'static str,
        (header, table): (Range<usize>, &'a DeTable<'a>),
        report: &'r mut Report<'t>,
    ) -> Self {
        Self { name, table: Some(table), header, known: Vec::new(), report }
    }

    /// A table inside this section, such as `example`.
    pub(super) fn child(
        &mut self,
        key: &'static str,
        name: &'static str,
        example: &str,
    ) -> Section<'a, '_, 't> {
        let found = self.take(key, &format!("a table, such as {example}"), |value| match value {
            DeValue::Table(_) => Ok(()),
            other => Err(wrong_type(other)),
        });
        let table = found
            .and(self.table)
            .and_then(|table| table.get(key))
            .and_then(|value| value.get_ref().as_table());
        Section { name, table, header: self.header.clone(), known: Vec::new(), report: self.report }
    }

    /// Whether the file sets `key`, rightly or not.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(key))
    }

    /// Reports a problem with a key of this section.
    pub(super) fn problem(&mut self, at: &Range<usize>, key: &str, what: impl Into<String>) {
        self.report.add(at, secrets::label(self.name, key), what);
    }

    /// Reports that a key has to be there.
    pub(super) fn missing(&mut self, key: &str, allowed: &str) {
        let at = self.header.clone();
        self.problem(&at, key, format!("is missing; set it to {allowed}"));
    }

    /// The value of `key` as `read` takes it; what `read` says against it is reported with `allowed`.
    pub(super) fn take<T>(
        &mut self,
        key: &'static str,
        allowed: &str,
        read: impl FnOnce(&'a DeValue<'a>) -> Result<T, String>,
    ) -> Option<At<T>> {
        self.known.push(key);
        let found: &'a Spanned<DeValue<'a>> = self.table?.get(key)?;
        let span = found.span();
        match read(found.get_ref()) {
            Ok(value) => Some(At { value, span }),
            Err(why) => {
                self.problem(&span, key, format!("{why}; allowed: {allowed}"));
                None
            }
        }
    }

    /// A string that `check` turns into a value.
    pub(super) fn text<T>(
        &mut self,
        key: &'static str,
        allowed: &str,
        check: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<At<T>> {
        self.take(key, allowed, |value| check(string(value)?))
    }

    /// `true` or `false`.
    pub(super) fn flag(&mut self, key: &'static str, default: bool) -> bool {
        self.take(key, "true or false", |value| value.as_bool().ok_or_else(|| wrong_type(value)))
            .map_or(default, |at| at.value)
    }

    /// A whole number from `least` to `most`.
    pub(super) fn number(&mut self, key: &'static str, least: u32, most: u32, default: u32) -> At<u32> {
        let allowed = format!("a whole number from {least} to {most}");
        self.take(key, &allowed, |value| {
            let number = value.as_integer().ok_or_else(|| wrong_type(value))?;
            u32::from_str_radix(number.as_str(), number.radix())
                .ok()
                .filter(|number| (least..=most).contains(number))
                .ok_or_else(|| format!("{number} is out of range"))
        })
        .unwrap_or(At { value: default, span: self.header.clone() })
    }

    /// A duration such as `5s`, from `least` to `most`.
    pub(super) fn duration(
        &mut self,
        key: &'static str,
        range: std::ops::RangeInclusive<Duration>,
        default: Duration,
    ) -> Duration {
        let allowed = values::duration_range(&range);
        self.text(key, &allowed, |text| values::duration(text, &range)).map_or(default, |at| at.value)
    }

    /// A size such as `8MiB`, in bytes.
    pub(super) fn size(
        &mut self,
        key: &'static str,
        range: std::ops::RangeInclusive<u64>,
        default: u64,
    ) -> At<u64> {
        let allowed = values::size_range(&range);
        self.text(key, &allowed, |text| values::size(text, &range))
            .unwrap_or(At { value: default, span: self.header.clone() })
    }

    /// An absolute path.
    pub(super) fn path(&mut self, key: &'static str) -> Option<At<PathBuf>> {
        self.text(key, "an absolute path, such as \"/srv/backups\"", values::absolute_path)
    }

    /// An array, each element read by `read`; elements that it refuses are reported one by one, and
    /// then there is no list.
    pub(super) fn list<T>(
        &mut self,
        key: &'static str,
        allowed: &str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Option<At<Vec<T>>> {
        let array = self.take(key, &format!("a list of {allowed}"), |value| {
            value.as_array().ok_or_else(|| wrong_type(value))
        })?;
        let mut list = Vec::new();
        let mut whole = true;
        for element in array.value {
            match string(element.get_ref()).and_then(&read) {
                Ok(value) => list.push(value),
                Err(why) => {
                    whole = false;
                    self.problem(&element.span(), key, format!("{why}; allowed: {allowed}"));
                }
            }
        }
        whole.then_some(At { value: list, span: array.span })
    }

    /// Reports every key that nobody asked for.
    pub(super) fn finish(self) {
        let Self { name, table, known, report, .. } = self;
        for key in table.into_iter().flat_map(DeTable::keys) {
            if !known.contains(&key.get_ref().as_ref()) {
                let what = values::unknown("key", key.get_ref(), &known);
                report.add(&key.span(), secrets::label(name, key.get_ref()), what);
            }
        }
    }
}

fn string<'a>(value: &'a DeValue<'_>) -> Result<&'a str, String> {
    value.as_str().ok_or_else(|| wrong_type(value))
}

fn wrong_type(value: &DeValue<'_>) -> String {
    format!("{} is the wrong type", kind(value))
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
