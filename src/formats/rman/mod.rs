//! Oracle RMAN folders: what can be told without Oracle, which is little.
//!
//! An RMAN folder is never called whole here. The header of a backup piece is not documented and was
//! not verified on real pieces; RMAN writes no sizes to its log; so a piece that was cut after the
//! log was written cannot be told from a good one. A folder that is plainly bad (an empty piece, a
//! failed command in RMAN's own log) is `cut short`; every other one is `not judged`, with what was checked.
//! Only `check_command` (RMAN `VALIDATE`) can say more. Suspicions are notes.

mod log;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::SystemTime;

use self::log::Log;
use super::mtf::block::u32_at;
use super::named::Holding;
use super::{Facts, Judgement, Note, ReadAt, all_zero};

/// Gaps and suspicious pieces named in notes; the rest are counted.
const NAMED: usize = 5;

/// One file of the folder.
pub struct Piece<'a> {
    /// Path relative to the folder.
    pub name: &'a str,
    /// Size in bytes.
    pub size: u64,
    /// Last modification.
    pub mtime: SystemTime,
    /// Its content.
    pub content: &'a dyn ReadAt,
}

/// Judges a folder by all its files.
///
/// # Errors
/// What reading gave.
pub fn judge(files: &[Piece<'_>]) -> io::Result<Judgement> {
    let mut facts = Facts::of("Oracle RMAN folder");
    facts.producer = Some("Oracle RMAN".to_owned());
    let (logs, others): (Vec<_>, Vec<_>) = files.iter().partition(|file| is_log(file.name));
    // An empty one is of a program that had nothing to say, and an alert log is the instance's, not RMAN's.
    let alert = |name: &str| base(name).to_ascii_lowercase().starts_with("alert_");
    let logs: Vec<_> = logs.into_iter().filter(|log| log.size > 0 && !alert(log.name)).collect();
    let pieces: Vec<_> = others.into_iter().filter(|file| !is_aside(file.name)).collect();
    if pieces.is_empty() {
        return Ok(Judgement::cut_short("the folder holds no backup piece", facts));
    }
    if let Some(empty) = pieces.iter().find(|piece| piece.size == 0) {
        return Ok(Judgement::cut_short(format!("the piece `{}` is empty", empty.name), facts));
    }
    let (mut succeeded, mut passing) = (false, Vec::new());
    for file in &logs {
        match log::read(file)? {
            Log::Failed(line) => {
                return Ok(Judgement::cut_short(
                    format!("RMAN's log `{}` tells of an error: `{line}`", file.name),
                    facts,
                ));
            }
            Log::Ended { complete, passing: line } => {
                succeeded |= complete;
                passing.extend(line.map(|line| {
                    format!("RMAN's log `{}` tells of an error after which it went on: `{line}`", file.name)
                }));
            }
        }
    }
    let mut notes = Vec::new();
    for piece in &pieces {
        suspicion(piece)?.into_iter().for_each(|text| notes.push(text));
    }
    let suspicious = notes.len();
    notes.truncate(NAMED);
    if suspicious > NAMED {
        notes.push(format!("{} more pieces look suspicious", suspicious - NAMED));
    }
    let errors = passing.len();
    notes.append(&mut passing);
    notes.extend(gaps(&pieces));
    notes.extend(control_file(&pieces));
    let holding = Holding::of(pieces.iter().map(|piece| piece.name));
    facts.kind = holding.kind();
    match holding.note() {
        Some(note) => notes.push(note.to_owned()),
        None => notes.extend(level_one(&pieces)),
    }
    if logs.is_empty() {
        // Not a warning: most folders carry no log.
    } else if !succeeded {
        notes.push("RMAN's log in the folder does not say \"Recovery Manager complete.\"".to_owned());
    }
    let log = match (logs.is_empty(), succeeded) {
        (true, _) => "there is no RMAN log in the folder",
        (false, true) if errors > 0 => "RMAN's log ends well, and tells of errors after which it went on",
        (false, true) => "RMAN's log ends well and without errors",
        (false, false) if errors > 0 => {
            "RMAN's log tells of errors after which it went on, and not of its end"
        }
        (false, false) => "RMAN's log shows neither errors nor its end",
    };
    let mut judgement = Judgement::not_judged(
        format!(
            "none of its {} pieces is empty, {log}; what is in a piece only Oracle can tell: set check_command to run RMAN VALIDATE",
            pieces.len()
        ),
        facts,
    );
    judgement.notes = notes.into_iter().map(Note::warning).collect();
    Ok(judgement)
}

fn is_log(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    [".log", ".out", ".txt", ".lst", ".err"].iter().any(|end| name.ends_with(end))
}

/// Whether a name is that of something that scripts leave beside pieces: checksums, scripts, marks of an end.
fn is_aside(name: &str) -> bool {
    const ENDS: [&str; 16] = [
        ".md5",
        ".sha1",
        ".sha256",
        ".sha512",
        ".md5sum",
        ".sha256sum",
        ".sig",
        ".asc",
        ".json",
        ".sh",
        ".sql",
        ".rcv",
        ".rman",
        ".ok",
        ".done",
        ".lock",
    ];
    const MARKS: [&str; 5] = ["done", "ok", "success", "complete", "finished"];
    let name = base(name).to_ascii_lowercase();
    MARKS.contains(&name.as_str()) || ENDS.iter().any(|end| name.ends_with(end))
}

/// Whether a name is that of a log, or of something else that is no piece.
pub(super) fn is_beside(name: &str) -> bool {
    is_log(name) || is_aside(name)
}

pub(super) fn base(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// Why a piece looks cut: an end of zero bytes, or a size that does not fit its block size.
fn suspicion(piece: &Piece<'_>) -> io::Result<Option<String>> {
    let head = piece.content.bytes_at(0, 32)?;
    let magic = head.get(28..32);
    let block_size = match magic {
        Some([0x7d, 0x7c, 0x7b, 0x7a]) => u32_at(&head, 20),
        Some([0x7a, 0x7b, 0x7c, 0x7d]) => u32_at(&head, 20).map(u32::swap_bytes),
        _ => None,
    }
    .filter(|size| size.is_power_of_two() && (512..=32_768).contains(size));
    let last = block_size.map_or(512, u64::from).min(piece.size);
    let tail = piece.content.bytes_at(piece.size - last, usize::try_from(last).unwrap_or(512))?;
    if all_zero(&tail) {
        return Ok(Some(format!("the piece `{}` ends with zero bytes: it may be cut", piece.name)));
    }
    if let Some(size) = block_size
        && !piece.size.is_multiple_of(u64::from(size))
    {
        return Ok(Some(format!(
            "the size of the piece `{}`, {} bytes, is no multiple of its block size {size}: it may be cut",
            piece.name, piece.size
        )));
    }
    Ok(None)
}

/// `%U` ends `_<piece>_<copy>`: within what comes before, pieces count from 1 without gaps. `%s_%p` looks alike, but
/// its first number counts the sets of the database's life: so the pieces must begin with 1, or be several of one `%u`.
fn gaps(pieces: &[&Piece<'_>]) -> Vec<String> {
    let mut seen: BTreeMap<(String, u32), BTreeSet<u32>> = BTreeMap::new();
    for piece in pieces {
        let name = base(piece.name);
        let stem = name.rsplit_once('.').filter(|(_, end)| !end.contains('_')).map_or(name, |(stem, _)| stem);
        let mut parts = stem.rsplitn(3, '_');
        let (copy, number, set) = (parts.next(), parts.next(), parts.next());
        if let (Some(Ok(copy)), Some(Ok(number)), Some(set)) = (copy.map(small), number.map(small), set) {
            seen.entry((set.to_owned(), copy)).or_default().insert(number);
        }
    }
    let missing: Vec<String> = seen
        .iter()
        .filter(|((set, _), numbers)| numbers.contains(&1) || (numbers.len() > 1 && ends_with_u(set)))
        .flat_map(|((set, copy), numbers)| {
            let last = numbers.last().copied().unwrap_or_default();
            (1..last)
                .filter(|number| !numbers.contains(number))
                .map(move |number| format!("{set}_{number}_{copy}"))
        })
        .take(NAMED)
        .collect();
    if missing.is_empty() {
        return Vec::new();
    }
    vec![format!("by their numbers pieces are missing: {}", missing.join(", "))]
}

/// Whether the last part is as `%u` makes it: 8 characters of a base above ten.
fn ends_with_u(set: &str) -> bool {
    let last = set.rsplit('_').next().unwrap_or_default();
    let plain = |byte: u8| byte.is_ascii_digit() || byte.is_ascii_lowercase();
    last.len() == 8 && last.bytes().all(plain) && last.bytes().any(|byte| byte.is_ascii_lowercase())
}

/// A piece or copy number: 1 to 4 digits, no leading zero, so that dates and times are none.
fn small(text: &str) -> Result<u32, ()> {
    let plain = (1..=4).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_digit())
        && !text.starts_with('0');
    text.parse().ok().filter(|_| plain).ok_or(())
}

/// Without a control file newer than the data, a restore on another machine needs luck.
fn control_file(pieces: &[&Piece<'_>]) -> Option<String> {
    let control = |piece: &&&Piece<'_>| {
        let name = base(piece.name).to_ascii_lowercase();
        let auto = name.strip_prefix("c-").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        auto || ["ncnnf", "ncsnf", "ctl", "control", "_cf_", "cf_"].iter().any(|mark| name.contains(mark))
    };
    let newest_control = pieces.iter().filter(control).map(|piece| piece.mtime).max();
    let newest_data = pieces.iter().filter(|piece| !control(piece)).map(|piece| piece.mtime).max();
    match (newest_control, newest_data) {
        (None, _) => Some(
            "no piece is named like a control file (autobackup `c-<DBID>-…`): a restore elsewhere needs one"
                .to_owned(),
        ),
        (Some(control), Some(data)) if control < data => Some(
            "the newest control file is older than the newest data piece: it may not know of it".to_owned(),
        ),
        (Some(_), _) => None,
    }
}

fn level_one(pieces: &[&Piece<'_>]) -> Option<String> {
    let count = pieces.iter().filter(|piece| base(piece.name).to_ascii_lowercase().contains("nnnd1")).count();
    (count > 0).then(|| {
        format!("{count} pieces are level-1 incrementals by their names: useless without their level 0")
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::Verdict;

    fn judged(files: &[(&str, &[u8], u64)]) -> Judgement {
        struct Bytes(Vec<u8>);
        impl ReadAt for Bytes {
            fn size(&self) -> io::Result<u64> {
                self.0.as_slice().size()
            }
            fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
                self.0.as_slice().read_at(offset, into)
            }
        }
        let contents: Vec<Bytes> = files.iter().map(|(_, bytes, _)| Bytes(bytes.to_vec())).collect();
        let pieces: Vec<Piece<'_>> = files
            .iter()
            .zip(&contents)
            .map(|((name, bytes, at), content)| Piece {
                name,
                size: bytes.len() as u64,
                mtime: SystemTime::UNIX_EPOCH + Duration::from_secs(*at),
                content,
            })
            .collect();
        judge(&pieces).unwrap()
    }

    fn noted(judgement: &Judgement, text: &str) -> bool {
        judgement.notes.iter().any(|note| note.text.contains(text))
    }

    const DATA: &[u8] = &[7; 8192];

    #[test]
    fn good_looking_folder_is_not_judged_and_without_notes() {
        let judgement =
            judged(&[("0a3k_1_1", DATA, 10), ("0a3k_2_1", DATA, 11), ("c-123-20250818-00", DATA, 12)]);
        assert_eq!(judgement.verdict.word(), "not judged");
        assert!(judgement.notes.is_empty(), "{:?}", judgement.notes);
        assert!(judgement.verdict.reason().contains("3 pieces"));
    }

    #[test]
    fn empty_marks_and_side_files_are_no_pieces() {
        let beside =
            [("0a_1_1", DATA, 1), ("c-1-20250818-00", DATA, 2), ("rman.err", b"", 3), ("DONE", b"", 4)];
        let judgement = judged(&beside);
        assert_eq!(judgement.verdict.word(), "not judged");
        assert!(judgement.notes.is_empty(), "{judgement:?}");
    }

    #[test]
    fn empty_piece_and_folder_without_pieces_are_cut_short() {
        assert_eq!(judged(&[("0a_1_1", b"", 1), ("c-1-20250818-00", DATA, 2)]).verdict.word(), "cut short");
        assert_eq!(judged(&[]).verdict.word(), "cut short");
        assert_eq!(judged(&[("DONE", b"", 1), ("rman.err", b"", 1)]).verdict.word(), "cut short");
        assert_eq!(judged(&[("rman.log", b"Recovery Manager complete.\n", 1)]).verdict.word(), "cut short");
    }

    #[test]
    fn error_in_the_log_is_quoted_even_where_it_says_complete() {
        let log = b"RMAN-00571: ====\nRMAN-00569: ==== ERROR MESSAGE STACK FOLLOWS ====\nRMAN-03009: failure of backup command on ch1\nORA-19502: write error on file\n\nRecovery Manager complete.\n";
        let judgement = judged(&[("0a_1_1", DATA, 1), ("logs/rman.log", log, 2)]);
        let Verdict::CutShort { why } = judgement.verdict else { panic!("{:?}", judgement.verdict) };
        assert!(why.contains("RMAN-03009: failure of backup command"), "{why}");
    }

    #[test]
    fn errors_after_which_the_backup_went_on_are_noted() {
        let standby = "RMAN-06820: WARNING: failed to archive current log at primary database\ncannot connect to remote database\nORA-17629: Cannot connect to the remote database server\nORA-17627: ORA-01017: invalid username/password\n";
        let failover = "RMAN-03009: failure of backup command on ch1 channel at 08/18/2025 01:00:00\nORA-19504: failed to create file \"/b/1\"\nORA-27040: file create error\nchannel ch1 disabled, job failed on it will be run on another channel\n";
        for (errors, first) in [(standby, "ORA-17629"), (failover, "RMAN-03009")] {
            let log = format!(
                "Starting backup at 18-AUG-25\n{errors}Finished backup at 18-AUG-25\n\nRecovery Manager complete.\n"
            );
            let judgement =
                judged(&[("0a_1_1", DATA, 1), ("c-1-20250818-00", DATA, 2), ("rman.log", log.as_bytes(), 2)]);
            assert_eq!(judgement.verdict.word(), "not judged");
            assert!(judgement.verdict.reason().contains("ends well, and tells of errors"));
            assert!(noted(&judgement, &format!("after which it went on: `{first}")), "{:?}", judgement.notes);
            // Without what shows that it went on, it is a failure.
            let cut = judged(&[("0a_1_1", DATA, 1), ("rman.log", errors.as_bytes(), 2)]);
            assert!(cut.verdict.to_string().starts_with("cut short"), "{}", cut.verdict);
            // So is one before which errors passed, and the one that failed it is quoted.
            let failed = format!(
                "{log}RMAN-00569: = ERROR MESSAGE STACK FOLLOWS =\nRMAN-03002: failure of backup command\nORA-19502: write error\nRecovery Manager complete.\n"
            );
            let failed = judged(&[("0a_1_1", DATA, 1), ("rman.log", failed.as_bytes(), 2)]);
            assert!(failed.verdict.reason().contains("RMAN-03002: failure of backup"), "{}", failed.verdict);
        }
    }

    #[test]
    fn alert_log_of_the_instance_is_neither_a_piece_nor_a_log_of_the_backup() {
        let alert = b"ORA-01555 caused by SQL statement below\n";
        let files =
            [("0a_1_1", DATA, 1), ("c-1-20250818-00", DATA, 2), ("logs/alert_ERP.log", alert.as_slice(), 3)];
        let judgement = judged(&files);
        assert!(judgement.verdict.reason().contains("none of its 2 pieces is empty, there is no RMAN log"));
        assert!(judgement.notes.is_empty(), "{:?}", judgement.notes);
    }

    #[test]
    fn numbers_of_sets_are_no_numbers_of_pieces() {
        let judgement = judged(&[
            ("ERP_20250818_4211_1", DATA, 1),
            ("ERP_20250818_4213_1", DATA, 1),
            ("0m3k1b2c_4211_1", DATA, 1),
            ("c-1-20250818-00", DATA, 2),
        ]);
        assert!(judgement.notes.is_empty(), "{:?}", judgement.notes);
        let judgement = judged(&[("0m3k1b2c_2_1", DATA, 1), ("0m3k1b2c_3_1", DATA, 1)]);
        assert!(noted(&judgement, "missing: 0m3k1b2c_1_1"));
    }

    #[test]
    fn words_that_only_look_like_oracle_errors_are_none() {
        let log = b"host ORA-DB-01 tag FLORA-2\nFinished backup at 18-AUG-25\nRecovery Manager complete.\n";
        let judgement = judged(&[("0a_1_1", DATA, 1), ("c-1-20250818-00", DATA, 2), ("rman.log", log, 2)]);
        assert_eq!(judgement.verdict.word(), "not judged");
        assert!(judgement.verdict.reason().contains("ends well"));
    }

    #[test]
    fn gaps_zero_ends_level_one_and_control_files_are_noted() {
        let mut zero_end = DATA.to_vec();
        zero_end[4096..].fill(0);
        let judgement = judged(&[
            ("o1_mf_nnnd1_a_1_1", DATA, 9),
            ("o1_mf_nnnd1_a_3_1", &zero_end, 9),
            ("db_20250818_0130", DATA, 3),
        ]);
        assert!(noted(&judgement, "o1_mf_nnnd1_a_2_1"));
        assert!(noted(&judgement, "ends with zero bytes"));
        assert!(noted(&judgement, "level-1"));
        assert!(noted(&judgement, "no piece is named like a control file"));
        let older = judged(&[("0a_1_1", DATA, 9), ("c-1-20250818-00", DATA, 2)]);
        assert!(noted(&older, "older than the newest data piece"));
    }

    #[test]
    fn size_that_does_not_fit_the_block_size_is_noted() {
        let mut piece = vec![9; 8192 * 3 + 512];
        piece[..32].fill(0);
        piece[20..24].copy_from_slice(&8192_u32.to_le_bytes());
        piece[28..32].copy_from_slice(&[0x7d, 0x7c, 0x7b, 0x7a]);
        assert!(noted(&judged(&[("0a_1_1", &piece, 1)]), "no multiple of its block size 8192"));
    }
}
