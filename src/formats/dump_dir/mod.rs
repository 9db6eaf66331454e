//! Dump directories of mydumper and MySQL Shell, judged by the names of their files, by what their end markers
//! list, and by the last bytes of uncompressed files.
//!
//! Both programs write an end marker last: mydumper renames `metadata.partial` to `metadata`, MySQL
//! Shell writes `@.done.json`. The marker says that the program came to its end. It says nothing of a copy of the
//! directory that was stopped: there the marker, whose name sorts first, is there, and files are not. So every file
//! that the marker lists must be there; where it lists none, nothing tells, and the directory is not called whole.
//! No data file is read in full: of a compressed one only its name and size are known.

mod mydumper;
mod shell;

use std::collections::BTreeMap;
use std::io;

use super::{Judgement, ReadAt};

/// Bytes of a marker or list that are read at most: 100,000 tables of mydumper need about 10 MB.
const LIST: u64 = 16 << 20;

/// A file of the directory.
pub struct Entry<'a> {
    /// Name relative to it.
    pub name: &'a str,
    /// Size in bytes.
    pub size: u64,
    /// Its content.
    pub content: &'a dyn ReadAt,
}

/// Judges a directory by its files; `None` where it looks like neither program's.
///
/// # Errors
/// What reading gave.
pub fn judge(entries: &[Entry<'_>]) -> io::Result<Option<Judgement>> {
    let files = Files(entries.iter().map(|entry| (entry.name, entry)).collect());
    if files.get("@.json").is_some() || files.get("@.done.json").is_some() {
        return shell::judge(&files).map(Some);
    }
    if files.get("metadata.partial").is_some() || entries.iter().any(|entry| mydumper::is_schema(entry.name))
    {
        return mydumper::judge(&files).map(Some);
    }
    Ok(None)
}

/// The directory's files by their names.
struct Files<'a>(BTreeMap<&'a str, &'a Entry<'a>>);

impl<'a> Files<'a> {
    fn get(&self, name: &str) -> Option<&'a Entry<'a>> {
        self.0.get(name).copied()
    }

    fn all(&self) -> impl Iterator<Item = &'a Entry<'a>> {
        self.0.values().copied()
    }

    /// Those whose names begin so.
    fn begin<'s>(&'s self, prefix: &'s str) -> impl Iterator<Item = &'a Entry<'a>> + 's {
        self.0.range(prefix..).take_while(move |(name, _)| name.starts_with(prefix)).map(|(_, entry)| *entry)
    }
}

impl Entry<'_> {
    /// All of it; `None` where that is more than a list has.
    fn all_bytes(&self) -> io::Result<Option<Vec<u8>>> {
        match usize::try_from(self.size) {
            Ok(size) if self.size <= LIST => self.content.bytes_at(0, size).map(Some),
            _ => Ok(None),
        }
    }
}

/// `a`, or `a and 3 more`.
fn and_more(first: &str, others: usize) -> String {
    if others == 0 { first.to_owned() } else { format!("{first} and {others} more") }
}

/// Of compressed files only names and sizes are known.
fn is_compressed(name: &str) -> bool {
    [".gz", ".zst"].iter().any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of a directory of these files.
    pub(super) fn said(files: &[(&str, &str)]) -> String {
        struct Text<'a>(&'a str);
        impl ReadAt for Text<'_> {
            fn size(&self) -> io::Result<u64> {
                self.0.as_bytes().size()
            }
            fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
                self.0.as_bytes().read_at(offset, into)
            }
        }
        let contents: Vec<Text<'_>> = files.iter().map(|(_, text)| Text(text)).collect();
        let entries: Vec<Entry<'_>> = files
            .iter()
            .zip(&contents)
            .map(|((name, text), content)| Entry { name, size: text.len() as u64, content })
            .collect();
        judge(&entries).unwrap().map_or_else(|| "none".to_owned(), |judgement| judgement.verdict.to_string())
    }

    #[test]
    fn another_directory_is_no_dump() {
        assert_eq!(said(&[("shop_20250818.sql", "SELECT 1;"), ("metadata", "x")]), "none");
        assert_eq!(said(&[]), "none");
    }
}
