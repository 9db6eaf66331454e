//! What the names of backups say where their content says nothing. Pure.
//!
//! What must stay true: a name is asked only where the content was silent; and a backup is taken for one that
//! needs another only by a word that scripts write for that.

use chrono::{NaiveDate, NaiveTime};

use super::{BackupKind, Judgement, Note, date_contradiction};
use crate::engines;
use crate::model::{BackupDate, Verdict};

/// The kind of a SQL Server backup by its name and the directory it lies in, where that says that it is no full one:
/// the component `DIFF` of the name, in any letter case, or `LOG`, in capitals and right before the date, since
/// databases are called so too; else a directory of that name. Ola Hallengren's scripts write
/// `SERVER/DB/DIFF/SERVER_DB_DIFF_20250818_010203.bak`.
#[must_use]
pub fn kind(app: &str, name: &str) -> Option<BackupKind> {
    let words: Vec<&str> = words(name).collect();
    let is = |word: &str| words.iter().any(|part| part.eq_ignore_ascii_case(word));
    if is("full") {
        return None;
    }
    if is("diff") || is("differential") {
        return Some(BackupKind::Differential);
    }
    let dated = |word: &&str| word.len() == 8 && word.bytes().all(|byte| byte.is_ascii_digit());
    if words.windows(2).any(|two| matches!(two, ["LOG", date] if dated(date))) {
        return Some(BackupKind::Log);
    }
    let dir = app.rsplit('/').next().unwrap_or(app);
    // In a directory of its own a database's name begins that of its backups.
    if words.first().is_some_and(|first| first.eq_ignore_ascii_case(dir)) {
        return None;
    }
    match dir.to_ascii_lowercase().as_str() {
        "diff" => Some(BackupKind::Differential),
        "log" => Some(BackupKind::Log),
        _ => None,
    }
}

/// Fills in the kind of a SQL Server backup by its name, and says so, where its content told none.
pub fn fill_kind(judgement: &mut Judgement, app: &str, name: &str) {
    let Some(kind) = kind(app, name).filter(|_| judgement.facts.kind.is_none()) else { return };
    judgement.facts.kind = Some(kind);
    if let Verdict::NotJudged { why } = &mut judgement.verdict {
        why.push_str("; by its name it is a ");
        why.push_str(kind.as_str());
        why.push_str(" backup, which restores only on top of the full one before it");
    }
}

/// What the pieces of an RMAN folder hold, by their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holding {
    /// Some piece may be of a full backup.
    Data,
    /// What changed since level 0, and nothing that may be of a full backup.
    Level1,
    /// Archived logs, and no data.
    Logs,
    /// The control file or the parameter file alone.
    Control,
}

impl Holding {
    /// Of the folder's files; what lies beside pieces does not count.
    pub fn of<'n>(names: impl Iterator<Item = &'n str>) -> Self {
        let mut holding = None;
        for name in names.filter(|name| !super::rman::is_beside(name)) {
            let one = Self::of_piece(&super::rman::base(name).to_ascii_lowercase());
            holding = Some(match (holding, one) {
                (None, one) => one,
                (Some(Self::Data), _) | (_, Self::Data) => Self::Data,
                (Some(Self::Level1), _) | (_, Self::Level1) => Self::Level1,
                (Some(Self::Logs), _) | (_, Self::Logs) => Self::Logs,
                (Some(Self::Control), Self::Control) => Self::Control,
            });
        }
        holding.unwrap_or(Self::Data)
    }

    /// By the names that Oracle gives in its recovery area (`o1_mf_nnnd0_…`, `…nnndf…` a full one, `…nnnd1…`,
    /// `…annnn…`, `…ncsnf…`), the autobackup's `c-DBID-YYYYMMDD-QQ`, and words that
    /// scripts write.
    fn of_piece(name: &str) -> Self {
        const DATA: [&str; 8] = ["full", "data", "database", "db", "df", "lv0", "lvl0", "level0"];
        const LOGS: [&str; 7] =
            ["arch", "arc", "archlog", "archlogs", "archivelog", "archivelogs", "archived"];
        const CONTROL: [&str; 5] = ["control", "controlfile", "ctl", "cf", "spfile"];
        let words: Vec<&str> = words(name).collect();
        let any = |of: &[&str]| words.iter().any(|word| of.contains(word));
        let holds = |marks: &[&str]| marks.iter().any(|mark| name.contains(mark));
        if autobackup_day(name).is_some() || holds(&["_ncnnf_", "_ncsnf_", "_nnsnf_", "o1_mf_s_"]) {
            Self::Control
        } else if holds(&["_annnn_"]) {
            Self::Logs
        } else if holds(&["nnnd1"]) || engines::is_level_1(name) {
            Self::Level1
        } else if any(&DATA) {
            Self::Data
        } else if any(&LOGS) {
            Self::Logs
        } else if any(&CONTROL) {
            Self::Control
        } else {
            Self::Data
        }
    }

    /// Whether it restores only on top of another backup.
    #[must_use]
    pub const fn needs_another(self) -> bool {
        match self {
            Self::Data => false,
            Self::Level1 | Self::Logs | Self::Control => true,
        }
    }

    /// The kind that is recorded.
    #[must_use]
    pub const fn kind(self) -> Option<BackupKind> {
        match self {
            Self::Level1 => Some(BackupKind::Differential),
            Self::Logs => Some(BackupKind::Log),
            Self::Data | Self::Control => None,
        }
    }

    /// What is worth a word.
    #[must_use]
    pub const fn note(self) -> Option<&'static str> {
        match self {
            Self::Level1 => {
                Some("by the names of its pieces it is of level 1: it restores only on top of level 0")
            }
            Self::Logs | Self::Control => Some(
                "no data piece is in it, only control file or archived logs: it restores only on top of a full backup",
            ),
            Self::Data => None,
        }
    }
}

/// A note where none of the control file autobackups in an RMAN folder is of the day in the folder's name, nor of
/// the days beside it.
#[must_use]
pub fn autobackup_contradiction<'n>(date: BackupDate, names: impl Iterator<Item = &'n str>) -> Option<Note> {
    // Of a day without its time the middle stands for all of it.
    let noon = NaiveTime::from_hms_opt(12, 0, 0)?;
    let mut newest: Option<(NaiveDate, &str)> = None;
    for name in names.map(super::rman::base) {
        let Some(day) = autobackup_day(name) else { continue };
        date_contradiction(date, day.and_time(noon))?;
        newest = newest.max(Some((day, name)));
    }
    let (day, name) = newest?;
    Some(Note::warning(format!(
        "the folder's name says {date}, the control file's backup in it, {name}, says {day}: look which one is right \
         before relying on either"
    )))
}

/// The day of a control file autobackup, `c-DBID-YYYYMMDD-QQ` (format `%F`; QQ counts in hex from 00).
fn autobackup_day(name: &str) -> Option<NaiveDate> {
    let mut parts = name.split('-');
    let (head, id, day, number) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = number.get(..2)?.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !head.eq_ignore_ascii_case("c") || !digits(id) || day.len() != 8 || !digits(day) || !number {
        return None;
    }
    NaiveDate::parse_from_str(day, "%Y%m%d").ok()
}

fn words(name: &str) -> impl Iterator<Item = &str> {
    name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differential_and_log_are_told_by_the_words_that_scripts_write_and_not_by_a_databases_name() {
        let (diff, log) = (Some(BackupKind::Differential), Some(BackupKind::Log));
        for (app, name, expected) in [
            ("SRV1/CRM/DIFF", "SRV1_CRM_DIFF_20250818_010203.bak", diff),
            ("SRV1", "SRV1_CRM_diff_20250818_010203.bak", diff),
            ("SRV1/CRM/diff", "crm_20250818.bak", diff),
            ("SRV1", "SRV1_CRM_LOG_20250818_010203.bak", log),
            ("SRV1/CRM/LOG", "crm_20250818.bak", log),
            ("SRV1/CRM/FULL", "SRV1_CRM_FULL_20250818_010203.bak", None),
            ("SRV1/LOG/FULL", "SRV1_LOG_FULL_20250818_010203.bak", None),
            ("SRV1/Log", "Log_backup_2025_08_18_010203_1234567.bak", None),
            ("SRV1", "Audit_Log_20250818.bak", None),
            ("SRV1", "Different_20250818.bak", None),
        ] {
            assert_eq!(kind(app, name), expected, "{app}/{name}");
        }
    }

    #[test]
    fn pieces_of_an_rman_folder_tell_what_it_holds() {
        for (names, expected) in [
            (vec!["0a3k_1_1", "c-1-20250818-00"], Holding::Data),
            (vec!["o1_mf_nnnd0_tag_x_.bkp", "o1_mf_nnnd1_tag_y_.bkp"], Holding::Data),
            (vec!["o1_mf_nnnd1_TAG_1_1.bkp", "c-1-20250818-00", "rman.log"], Holding::Level1),
            (vec!["lvl1_erp_0a_1_1"], Holding::Level1),
            (vec!["o1_mf_annnn_tag_x_.bkp", "c-1-20250818-00"], Holding::Logs),
            (vec!["arch_0b3k_1_1"], Holding::Logs),
            (vec!["c-1-20250818-00", "rman.log", "done"], Holding::Control),
            (vec!["arch_db_full_1_1"], Holding::Data),
            (vec!["rman.log"], Holding::Data),
        ] {
            assert_eq!(Holding::of(names.iter().copied()), expected, "{names:?}");
        }
    }

    #[test]
    fn autobackup_of_another_day_contradicts_the_folders_name() {
        let date: BackupDate = "2025-11-05".parse().unwrap();
        let told =
            |names: &[&str]| autobackup_contradiction(date, names.iter().copied()).map(|note| note.text);
        assert!(
            told(&["a_1_1", "sub/c-1-20250511-00"]).unwrap().contains("c-1-20250511-00, says 2025-05-11")
        );
        for day in ["20251104", "20251105", "20251106"] {
            assert_eq!(told(&[&format!("c-1-{day}-0a")]), None, "{day}");
        }
        assert_eq!(told(&["c-1-20250511-00", "c-1-20251105-00"]), None, "an older one beside it");
        assert_eq!(told(&["0a_1_1"]), None);
    }
}
