//! What the last bytes of a dump end with.

use chrono::{NaiveDate, NaiveDateTime, NaiveTime};

use super::begins_dump;

/// What the last line of a dump begins with.
pub(super) const TRAILER: &str = "-- Dump completed";

/// What the last [`super::TAIL`] bytes end with.
pub(super) enum End {
    /// The trailer, with a line feed behind it and nothing but white space after.
    Trailer(Option<NaiveDateTime>),
    /// A trailer whose own line is not complete.
    Unfinished(String),
    /// A trailer and then comments only.
    CommentsAfter(String),
    /// A trailer, and then statements of which the last one has its end.
    StatementsAfter {
        /// What stands before the trailer.
        before: String,
        /// The last line.
        last: String,
    },
    /// A message of the dump program, redirected into its own output.
    Error(String),
    /// Another last line.
    Other(String),
    /// Only white space.
    Blank,
}

impl End {
    /// `from_start`: the tail is the whole file, so that its first line is a line.
    pub(super) fn of(tail: &str, from_start: bool) -> Self {
        // The first piece may be the rest of a line that began before: text inside a row.
        let lines: Vec<&str> = tail.split('\n').skip(usize::from(!from_start)).collect();
        let filled = lines.iter().enumerate().rfind(|(_, line)| !line.trim().is_empty());
        let Some((at, last)) = filled else {
            return if tail.trim().is_empty() { Self::Blank } else { Self::Other(tail.trim().to_owned()) };
        };
        let ended = at + 1 < lines.len();
        if let Some(rest) = last.strip_prefix(TRAILER) {
            return match parse_trailer(rest) {
                Some(completed_at) if ended => Self::Trailer(completed_at),
                _ => Self::Unfinished((*last).to_owned()),
            };
        }
        let programs = ["mysqldump: ", "mariadb-dump: ", "mysqldump.exe: ", "ERROR "];
        if programs.iter().any(|program| last.starts_with(program)) {
            return Self::Error((*last).to_owned());
        }
        Self::after(&lines, last).unwrap_or_else(|| Self::Other(last.trim_end().to_owned()))
    }

    /// What follows a trailer that is not the last line.
    fn after(lines: &[&str], last: &str) -> Option<Self> {
        let complete =
            |line: &str| line.strip_prefix(TRAILER).is_some_and(|rest| parse_trailer(rest).is_some());
        let (before, after) = lines.split_at(lines.iter().rposition(|line| complete(line))?);
        let mut after = after.iter().skip(1).filter(|line| !line.trim().is_empty());
        if after.clone().any(|line| begins_dump(line)) {
            return None;
        }
        if after.all(|line| line.starts_with("--")) {
            return Some(Self::CommentsAfter(last.to_owned()));
        }
        let (before, ended) = (before.join("\n"), last.trim_end().ends_with(';') || last.starts_with("--"));
        ended.then(|| Self::StatementsAfter { before, last: last.to_owned() })
    }
}

/// What follows `-- Dump completed`: nothing, or ` on ` and a date. `None`: neither.
#[expect(
    clippy::option_option,
    reason = "no trailer, a trailer without and one with a date are three things"
)]
pub(super) fn parse_trailer(rest: &str) -> Option<Option<NaiveDateTime>> {
    let rest = rest.trim_end();
    if rest.is_empty() {
        return Some(None);
    }
    parse_date(rest.strip_prefix(" on ")?).map(Some)
}

/// `2025-08-18  1:02:03`: mysqldump pads with spaces, and cuts no digit of minute and second.
fn parse_date(text: &str) -> Option<NaiveDateTime> {
    let (day, time) = text.split_once(' ')?;
    let day = NaiveDate::parse_from_str(day, "%Y-%m-%d").ok()?;
    let mut parts = time.trim_start().split(':');
    let mut number = |least: usize| {
        let part = parts.next()?;
        let plain = (least..=2).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
        part.parse::<u32>().ok().filter(|_| plain)
    };
    let time = NaiveTime::from_hms_opt(number(1)?, number(2)?, number(2)?)?;
    parts.next().is_none().then(|| day.and_time(time))
}
