//! The demo's company: a source tree with what such a server has, and what it should not send.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::Context as _;
use chrono::{Datelike as _, Days, NaiveDate, Weekday};

use super::tape;
use crate::model::BackupDate;

/// A company's backups on the disk.
#[derive(Debug)]
pub(super) struct Company {
    expected: Vec<PathBuf>,
    lines: Vec<String>,
    root: PathBuf,
    fourth_monday: BackupDate,
}

impl Company {
    /// Writes the tree below `root`. `today` decides what is yesterday's.
    pub(super) fn build(root: &Path, today: BackupDate) -> anyhow::Result<Self> {
        let yesterday = today.day() - Days::new(1);
        let monthly = last_fourth_monday(yesterday - Days::new(1));
        let older = yesterday - Days::new(3);
        let mut company = Self {
            expected: Vec::new(),
            lines: Vec::new(),
            root: root.to_owned(),
            fourth_monday: monthly.into(),
        };
        for day in [yesterday, monthly] {
            company.set(&rman("erp", "rman_erp", day), 1_800_000, day)?;
            company.set(&rman("crm", "rman_crm", day), 700_000, day)?;
            company.set(&dump("shop", day), 900_000, day)?;
            company.set(&dump("blog/prod", day), 40_000, day)?;
            company.set(&format!("mssql/crm/{}", ola("CRM", day)), 600_000, day)?;
            company.set(
                &format!("mssql/api1/live/Api1_backup_{}_010003_1234567.bak", day.format("%Y_%m_%d")),
                250_000,
                day,
            )?;
        }
        company.set(
            &format!("mysql/shop/shop_big_{}.sql", yesterday.format("%Y%m%d")),
            21_000_000,
            yesterday,
        )?;
        company.other(&dump("shop", older), "another day")?;
        company.other(&dump("excluded-db", yesterday), "excluded")?;
        company.other("mysql/shop/shop_before_migration.sql", "no date in its name")?;
        company.other("mysql/shop/notes.txt", "not a dump")?;
        company
            .other(&format!("mssql/api1/test/Api1_backup_{}.bak", yesterday.format("%Y%m%d")), "excluded")?;
        company.other(&rman("erp", "rman_erp_lv1", yesterday), "level 1")?;
        company.other(&rman("skiptothisfolder", "rman_old", yesterday), "excluded")?;
        Ok(company)
    }

    /// The fourth Monday that the monthly sets are of.
    #[must_use]
    pub(super) const fn fourth_monday(&self) -> BackupDate {
        self.fourth_monday
    }

    /// The sets that must be in the bucket at the end, without repeats.
    #[must_use]
    pub(super) fn expected(&self) -> &[PathBuf] {
        &self.expected
    }

    /// The tree for people, a line each.
    #[must_use]
    pub(super) fn tree(&self) -> String {
        let lines: Vec<String> = self.lines.iter().map(|line| format!("  {line}")).collect();
        lines.join("\n")
    }

    fn set(&mut self, rel: &str, size: usize, day: NaiveDate) -> anyhow::Result<()> {
        let path = self.root.join(rel);
        if !self.expected.contains(&path) {
            write(&path, size, day)?;
            self.lines.push(rel.to_owned());
            self.expected.push(path);
        }
        Ok(())
    }

    fn other(&mut self, rel: &str, why: &str) -> anyhow::Result<()> {
        write(&self.root.join(rel), 2_000, self.fourth_monday.day())?;
        self.lines.push(format!("{rel}   ({why}: not sent)"));
        Ok(())
    }
}

fn rman(app: &str, stem: &str, day: NaiveDate) -> String {
    format!("oracle/{app}/{stem}_{}", day.format("%d-%m-%Y"))
}

fn dump(app: &str, day: NaiveDate) -> String {
    let stem = app.split('/').next().unwrap_or(app);
    format!("mysql/{app}/{stem}_{}.sql", day.format("%Y%m%d"))
}

fn ola(database: &str, day: NaiveDate) -> String {
    format!("DB1_{database}_FULL_{}_010003.bak", day.format("%Y%m%d"))
}

/// The last Monday with a day of the month from 22 to 28, before or on `day`.
fn last_fourth_monday(day: NaiveDate) -> NaiveDate {
    day.iter_days_back()
        .find(|day| day.weekday() == Weekday::Mon && (22..=28).contains(&day.day()))
        .unwrap_or(day)
}

trait DaysBack {
    fn iter_days_back(self) -> impl Iterator<Item = NaiveDate>;
}

impl DaysBack for NaiveDate {
    fn iter_days_back(self) -> impl Iterator<Item = NaiveDate> {
        std::iter::successors(Some(self), chrono::NaiveDate::pred_opt).take(62)
    }
}

/// Writes a backup of `day`, of the kind its name says: a folder of RMAN pieces, an SQL dump, a SQL
/// Server backup, or other bytes.
fn write(path: &Path, size: usize, day: NaiveDate) -> anyhow::Result<()> {
    let parent = path.parent().unwrap_or(path);
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    fs::create_dir_all(parent).with_context(|| format!("make directory {}", parent.display()))?;
    // RMAN's folders rest for a while before they are taken; these were made in the night, as it says.
    let night = SystemTime::from(day.and_hms_opt(1, 0, 3).unwrap_or_default().and_utc());
    let file = |path: &Path, bytes: Vec<u8>| {
        let written = fs::write(path, bytes)
            .and_then(|()| fs::File::options().write(true).open(path)?.set_modified(night));
        written.with_context(|| format!("write {}", path.display()))
    };
    if name.starts_with("rman_") {
        fs::create_dir_all(path).with_context(|| format!("make directory {}", path.display()))?;
        file(&path.join("0a3v1k2m_1_1"), noise(&name, size))?;
        file(&path.join("0b3v1k2m_1_1"), noise(&name, size / 3))?;
        return file(&path.join(format!("c-1234567890-{}-00", day.format("%Y%m%d"))), noise(&name, size / 9));
    }
    if path.extension().is_some_and(|ending| ending == "sql") {
        return file(path, sql(&name, size, day));
    }
    if path.extension().is_some_and(|ending| ending == "bak") {
        return file(path, tape::full_backup(day, &noise(&name, size)));
    }
    file(path, noise(&name, size))
}

/// A dump as mariadb-dump writes it, with as many rows as fill `size`.
fn sql(name: &str, size: usize, day: NaiveDate) -> Vec<u8> {
    let mut text = format!(
        "-- MariaDB dump 10.19  Distrib 10.11.6-MariaDB\n-- Host: localhost    Database: {name}\n\nCREATE TABLE `orders` (`id` int, `item` text);\n"
    );
    let mut row = 0_u64;
    while text.len() < size {
        row += 1;
        let _infallible =
            writeln!(text, "INSERT INTO `orders` VALUES ({row},'item {}');", row * 7919 % 10_007);
    }
    let _infallible = writeln!(text, "\n-- Dump completed on {}  1:00:03", day.format("%Y-%m-%d"));
    text.into_bytes()
}

/// Bytes that differ between files and do not repeat soon: a linear congruential generator.
fn noise(seed: &str, size: usize) -> Vec<u8> {
    let mut state =
        seed.bytes().fold(0x9e37_79b9_u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into()));
    (0..size)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            u8::try_from(state >> 24).unwrap_or(0)
        })
        .collect()
}
