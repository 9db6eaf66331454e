//! Which objects of the old script can be given a manifest. Pure.
//!
//! What must stay true: only what one object makes whole is adopted. An object is all there or not at
//! all; a folder may be half sent, and nothing in the bucket tells.

use std::collections::BTreeSet;

use chrono::NaiveDate;

use crate::bucket::{Layout, Listed};
use crate::engines;
use crate::formats::Format;
use crate::model::{BackupDate, Engine, SetId};

/// What happens to one object, or to the objects of one folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// It is read, and recorded.
    Adopt {
        /// Which set it is.
        id: SetId,
        /// The date in its name.
        date: BackupDate,
        /// Its full key.
        key: String,
        /// Its bytes.
        size: u64,
        /// When it was written.
        modified: Option<std::time::SystemTime>,
    },
    /// It stays as it is.
    Leave {
        /// Key or folder, without the prefix.
        key: String,
        /// Why.
        why: &'static str,
    },
}

/// What to do with every object that no manifest names. `known` are the keys that one does.
#[must_use]
pub fn plan(listed: &[Listed], known: &BTreeSet<&str>, layout: &Layout, today: NaiveDate) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut folders = BTreeSet::new();
    for object in listed.iter().filter(|object| !known.contains(object.key.as_str())) {
        let Some(inside) = layout.strip(&object.key) else { continue };
        // A console's folder marker.
        if inside.ends_with('/') && object.size == 0 {
            continue;
        }
        let Ok(id) = SetId::parse_key(inside) else {
            let folder = rman_folder(inside);
            if folder.is_none_or(|folder| folders.insert(folder)) {
                let (key, why) = folder.map_or((inside, ELSEWHERE), |folder| (folder, FOLDER));
                steps.push(Step::Leave { key: key.to_owned(), why });
            }
            continue;
        };
        steps.push(match judge(&id) {
            Ok(date) if date.lies_ahead(today) => {
                Step::Leave { key: inside.to_owned(), why: "the date in its name lies in the future" }
            }
            Ok(date) => Step::Adopt {
                id,
                date,
                key: object.key.clone(),
                size: object.size,
                modified: object.modified,
            },
            Err(why) => Step::Leave { key: inside.to_owned(), why },
        });
    }
    steps
}

const ELSEWHERE: &str = "it does not lie where a backup lies: <engine>/<app>/<category>/<file>";
const FOLDER: &str = "it is an RMAN folder without a manifest: it may be half sent, and nothing in the bucket tells; run \
     the backup of its day again, which compares it with the source";
const FLATTENED: &str = "it lies in the old script's flattened Oracle layout: files of several RMAN folders under one name, \
     of which the last one stayed; nothing tells which belong together, so it is no backup";

fn judge(id: &SetId) -> Result<BackupDate, &'static str> {
    let name = id.name.as_str();
    match (id.engine, Format::of_name(name)) {
        (Engine::Oracle, _) => return Err(FLATTENED),
        (Engine::Mysql, _) if engines::is_mysql_dump(name) => {}
        (Engine::Mssql, Some(Format::Mtf)) => {}
        (Engine::Mysql, _) => {
            return Err("its name is not a dump's (.sql, .sql.gz, .sql.zst, .sql.xz, .sql.bz2)");
        }
        (Engine::Mssql, _) => return Err("its name is not that of a SQL Server backup (.bak, .dif, .trn)"),
    }
    engines::date_in_name(id.engine, name).ok_or("its name has no date")
}

/// The RMAN folder that a key lies in, where it does.
fn rman_folder(inside: &str) -> Option<&str> {
    inside.match_indices('/').filter_map(|(at, _)| inside.get(..at)).find(|head| {
        SetId::parse_key(head)
            .is_ok_and(|id| id.engine == Engine::Oracle && id.name.as_str().starts_with("rman_"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_files_are_adopted_and_oracles_two_layouts_are_told_for_what_they_are() {
        let layout = Layout::new("b");
        let listed: Vec<Listed> = [
            "b/mysql/shop/weekly/shop_20250818.sql",
            "b/mysql/shop/weekly/known_20250818.sql",
            "b/mysql/shop/weekly/uploads_20250818.tar.gz",
            "b/mssql/crm/monthly/crm.bak",
            "b/mysql/shop/weekly/shop_20451122_20250818.sql",
            "b/oracle/erp/weekly/full_1.bkp",
            "b/oracle/erp/weekly/rman_18-08-2025/full_1.bkp",
            "b/oracle/erp/weekly/rman_18-08-2025/full_2.bkp",
        ]
        .map(|key| Listed { key: key.to_owned(), size: 7, etag: None, modified: None })
        .into();
        let known = BTreeSet::from(["b/mysql/shop/weekly/known_20250818.sql"]);
        let today = NaiveDate::from_ymd_opt(2025, 8, 20).unwrap();
        let steps = plan(&listed, &known, &layout, today);
        assert!(matches!(&steps[0], Step::Adopt { id, date, .. }
                if id.key() == "mysql/shop/weekly/shop_20250818.sql" && date.to_string() == "2025-08-18"));
        let left: Vec<_> = steps[1..]
            .iter()
            .map(|step| match step {
                Step::Leave { key, why } => (key.as_str(), *why),
                Step::Adopt { key, .. } => panic!("{key} is adopted"),
            })
            .collect();
        assert_eq!(left[0].0, "mysql/shop/weekly/uploads_20250818.tar.gz");
        assert_eq!(left[1], ("mssql/crm/monthly/crm.bak", "its name has no date"));
        assert_eq!(left[2].1, "the date in its name lies in the future");
        assert_eq!(left[3], ("oracle/erp/weekly/full_1.bkp", FLATTENED));
        assert_eq!(left[4], ("oracle/erp/weekly/rman_18-08-2025", FOLDER));
        assert_eq!(left.len(), 5);
    }
}
