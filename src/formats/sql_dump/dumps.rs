//! How many dumps begin in one file, and how many of them were completed.
//!
//! `for db in …; do mysqldump $db; done > all.sql` writes dumps behind each other; when an inner one is cut, the
//! file still ends with the last one's trailer. Only a pass over every byte sees that, so it is made where the
//! bytes are read anyway.
//!
//! What counts are the exact forms that mysqldump and mariadb-dump write, at the start of a line: a header is
//! three lines (`-- MySQL dump 10.13 …`, `--`, `-- Host: …`), a trailer is one. Values of rows hold no line feeds;
//! dumps without comments have neither and are not seen here.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::PROGRAMS;
use super::end::{TRAILER, parse_trailer};

/// Longest header or trailer that is recognised, in bytes.
const MARK: usize = 512;
/// What every mark begins with: the start of a line, and a comment.
static COMMENT: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\n-- "));

/// Counts the dumps in the bytes that go by.
#[derive(Debug, Clone)]
pub struct Dumps {
    /// Headers.
    begun: u64,
    /// Headers that another one follows before a trailer.
    left: u64,
    /// A header came, and no trailer since.
    open: bool,
    /// Nothing came yet.
    fresh: bool,
    /// The last bytes, in which a mark may have begun.
    kept: Vec<u8>,
}

impl Default for Dumps {
    fn default() -> Self {
        // The start of the file is the start of a line.
        Self { begun: 0, left: 0, open: false, fresh: true, kept: vec![b'\n'] }
    }
}

impl Dumps {
    /// Takes the next bytes, in order and without gaps.
    pub fn feed(&mut self, mut bytes: &[u8]) {
        if std::mem::take(&mut self.fresh) {
            bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
        }
        // A mark is looked at only where all of it is there: what begins in the last bytes waits for the next.
        let (seam, _) = bytes.split_at(bytes.len().min(MARK));
        let before = self.kept.len();
        self.kept.extend_from_slice(seam);
        let seen = self.kept.len().saturating_sub(MARK).min(before);
        let kept = std::mem::take(&mut self.kept);
        self.look(&kept, seen);
        self.kept = kept;
        if bytes.len() > MARK {
            let looked = bytes.len() - MARK;
            self.look(bytes, looked);
            self.kept.clear();
            self.kept.extend_from_slice(bytes.get(looked..).unwrap_or_default());
        } else {
            self.kept.drain(..seen);
        }
    }

    /// Looks at the marks that begin in the first `until` bytes.
    fn look(&mut self, bytes: &[u8], until: usize) {
        // A mark's first four bytes may end behind `until`.
        let reach = bytes.get(..bytes.len().min(until + 3)).unwrap_or_default();
        for at in COMMENT.find_iter(reach) {
            let line = bytes.get(at + 1..).unwrap_or_default();
            self.mark(line.get(..line.len().min(MARK)).unwrap_or_default());
        }
    }

    fn mark(&mut self, text: &[u8]) {
        if is_header(text) {
            self.begun += 1;
            self.left += u64::from(std::mem::replace(&mut self.open, true));
        } else if self.open && is_trailer(text) {
            self.open = false;
        }
    }

    /// Why the file is cut short, where a dump that begins in it was not completed.
    #[must_use]
    pub fn unfinished(mut self) -> Option<String> {
        let kept = std::mem::take(&mut self.kept);
        self.look(&kept, kept.len());
        let unfinished = self.left + u64::from(self.open);
        let completed = self.begun - unfinished;
        let dumps = if self.begun == 1 { "1 dump begins" } else { &format!("{} dumps begin", self.begun) };
        let verb = if completed == 1 { "is" } else { "are" };
        (unfinished > 0).then(|| {
            format!("{dumps} in it and {completed} {verb} completed: a line `{TRAILER}` is missing before the next dump, or at the end")
        })
    }
}

fn is_header(text: &[u8]) -> bool {
    let mut lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
    let numbered = |line: &[u8]| {
        let rest = PROGRAMS.iter().find_map(|program| line.strip_prefix(program.as_bytes()));
        rest.and_then(<[u8]>::first).is_some_and(u8::is_ascii_digit)
    };
    lines.next().is_some_and(numbered)
        && lines.next() == Some(b"--")
        && lines.next().is_some_and(|line| line.starts_with(b"-- Host: "))
}

fn is_trailer(text: &[u8]) -> bool {
    let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let rest = line.strip_prefix(TRAILER.as_bytes()).and_then(|rest| std::str::from_utf8(rest).ok());
    rest.is_some_and(|rest| parse_trailer(rest).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "-- MariaDB dump 10.19  Distrib 10.11.14-MariaDB, for debian-linux-gnu (x86_64)\n--\n-- Host: localhost    Database: shop\n";
    const BODY: &str = "CREATE TABLE `a` (`b` int);\nINSERT INTO `a` VALUES (1),\n(2);\n-- a comment\n";
    const END: &str = "-- Dump completed on 2025-08-18  1:02:03\n";

    /// What is said of the text, the same by pieces of any size.
    fn unfinished(text: &str) -> Option<String> {
        let by = |size: usize| {
            let mut dumps = Dumps::default();
            text.as_bytes().chunks(size).for_each(|chunk| dumps.feed(chunk));
            dumps.unfinished()
        };
        let whole = by(text.len().max(1));
        for size in [3, 7, MARK - 1, MARK, MARK + 1, 2 * MARK, 700] {
            assert_eq!(by(size), whole, "by {size}");
        }
        whole
    }

    #[test]
    fn dumps_that_are_all_completed_are_complete_in_any_number() {
        let one = format!("{HEADER}{BODY}{END}");
        let long = format!("{HEADER}{}{END}", BODY.repeat(300));
        let crlf = one.replace('\n', "\r\n");
        let sandbox = format!("/*M!999999\\- enable the sandbox mode */ \n{one}");
        let undated = format!("{HEADER}{BODY}-- Dump completed\n");
        for text in ["", &one, &long, &crlf, &sandbox, &undated, BODY] {
            assert_eq!(unfinished(text), None, "{text}");
            assert_eq!(unfinished(&format!("{text}{one}{long}{text}")), None, "{text}");
        }
    }

    #[test]
    fn dump_without_its_trailer_is_told_wherever_it_stands() {
        let one = format!("{HEADER}{BODY}{END}");
        let cut = format!("{HEADER}{}", BODY.repeat(90));
        for text in [
            format!("{cut}{one}"),
            format!("{one}{cut}"),
            format!("\u{feff}{cut}{one}"),
            format!("{HEADER}{one}"),
        ] {
            let why = unfinished(&text).unwrap();
            assert!(why.starts_with("2 dumps begin in it and 1 is completed"), "{why}");
        }
        let why = unfinished(&format!("{cut}{one}{cut}{one}{}", cut.replace('\n', "\r\n"))).unwrap();
        assert!(why.starts_with("5 dumps begin in it and 2 are completed"), "{why}");
        assert!(unfinished(&cut).unwrap().starts_with("1 dump begins in it and 0 are completed"));
        // The trailer's own line is cut.
        assert!(unfinished(&format!("{HEADER}{BODY}-- Dump completed on 2025-08-")).is_some());
    }

    #[test]
    fn only_exact_forms_at_the_start_of_a_line_count() {
        let one = |within: &str| format!("{HEADER}{BODY}{within}{END}");
        for within in [
            "INSERT INTO `a` VALUES ('-- MySQL dump 10.13\\n--\\n-- Host: x');\n",
            "INSERT INTO `a` VALUES ('x -- MySQL dump 10.13\n--\nx');\n",
            "-- MySQL dump of the shop\n--\n-- Host: x\n",
            "-- MySQL dump 10.13 is what we use\n",
            " -- MySQL dump 10.13\n--\n-- Host: x\n",
            "-- Dump completed\n",
        ] {
            assert_eq!(unfinished(&one(within)), None, "{within}");
        }
        // A comment that only begins like a trailer completes nothing.
        let cut = format!("{HEADER}{BODY}-- Dump completed, they say\n{}", one(""));
        assert!(unfinished(&cut).is_some());
    }
}
