//! The manifest: the JSON record of one stored set. Its form is a public promise (`version`).

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::checksum::Checksum;
use crate::codec::{Coding, Member};
use crate::engines;
use crate::formats::named::{self, Holding};
use crate::formats::{BackupKind, Judgement};
use crate::model::{BackupDate, Engine, Proof, RelPath, SetId, SetKind, Verdict};

/// The newest version; a reader refuses a newer one rather than guess.
pub const VERSION: u32 = 3;
/// What is written where nothing of a newer version is used, so that older programs read it.
const PLAIN_VERSION: u32 = 1;
/// The first that knows compressed objects; encrypted and packed ones came after it.
const CODED_VERSION: u32 = 2;

/// Everything recorded about one set when it was stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Form of this record.
    pub version: u32,
    /// Which set.
    #[serde(flatten)]
    pub id: SetId,
    /// The date in its name.
    pub date: BackupDate,
    /// One object, or a folder of them.
    pub kind: SetKind,
    /// Why it is in its category, for people.
    pub why: String,
    /// Its objects, sorted by path.
    pub files: Vec<StoredFile>,
    /// The bucket it was written to.
    pub bucket: String,
    /// The run that stored it.
    pub run: String,
    /// The host that stored it.
    pub host: String,
    /// Where it lay on that host.
    pub source: String,
    /// dbbackup's version.
    pub dbbackup: String,
    /// When this record was made; the set was complete in the bucket by then.
    pub created: DateTime<Utc>,
    /// Seconds from the first byte read to the last confirmation.
    pub seconds: f64,
    /// What was remarkable when it was picked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// What inspection said of its content; none in records of versions that did not inspect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inspection: Option<Judgement>,
}

/// One object of a set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredFile {
    /// Path inside the folder; empty for the file of a single-file set.
    pub path: RelPath,
    /// The full object key.
    pub key: String,
    /// Bytes of the object.
    pub size: u64,
    /// Last modification at the source.
    pub mtime: DateTime<Utc>,
    /// Permission bits at the source.
    pub mode: u32,
    /// CRC64NVME of all the object's bytes, computed here in the one read; restore compares with it.
    pub checksum: Checksum,
    /// The checksum that S3 computed and that equals ours, where it gave one.
    pub s3_checksum: Option<Checksum>,
    /// How the object was compared with the file.
    pub confirmed: Confirmation,
    /// Entity tag that S3 gave.
    pub etag: Option<String>,
    /// Version that S3 gave, on a versioned bucket.
    pub version_id: Option<String>,
    /// Parts it was sent in; 1 for a single request.
    pub parts: u32,
    /// Attempts that failed before it was stored.
    pub retries: u32,
    /// How its bytes were made from the file's, where they are not the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coding: Option<Coding>,
}

/// One file of a set, as it lay at the source.
#[derive(Debug, Clone, Copy)]
pub struct Content<'a> {
    /// Path inside the folder; empty for the file of a single-file set.
    pub path: &'a RelPath,
    /// Bytes.
    pub size: u64,
    /// Last modification.
    pub mtime: DateTime<Utc>,
    /// CRC64NVME of its bytes.
    pub checksum: &'a Checksum,
}

impl StoredFile {
    /// The files that it was made from.
    fn contents<'a>(&'a self) -> Vec<Content<'a>> {
        let members = self.members();
        if !members.is_empty() {
            let content = |Member { path, size, mtime, checksum, .. }: &'a Member| Content {
                path,
                size: *size,
                mtime: *mtime,
                checksum,
            };
            return members.iter().map(content).collect();
        }
        let (path, size, checksum) = (&self.path, self.plain_size(), self.plain_checksum());
        vec![Content { path, size, mtime: self.mtime, checksum }]
    }

    /// The files of the folder that was packed into it.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        self.coding.as_ref().map_or(&[], |coding| &coding.members)
    }
    /// Bytes of the file.
    #[must_use]
    pub fn plain_size(&self) -> u64 {
        self.coding.as_ref().map_or(self.size, |coding| coding.plain_size)
    }

    /// CRC64NVME of the file's bytes.
    #[must_use]
    pub fn plain_checksum(&self) -> &Checksum {
        self.coding.as_ref().map_or(&self.checksum, |coding| &coding.plain_checksum)
    }

    /// What the key has more than the file's name.
    #[must_use]
    pub fn suffix(&self) -> &'static str {
        self.coding.as_ref().map_or("", |coding| coding.recipe.suffix())
    }
}

/// The version that a record of these objects needs.
#[must_use]
pub fn version_for(files: &[StoredFile]) -> u32 {
    let of = |file: &StoredFile| match &file.coding {
        None => PLAIN_VERSION,
        Some(coding) if coding.recipe.encrypts() || coding.recipe.pack.is_some() => VERSION,
        Some(_) => CODED_VERSION,
    };
    files.iter().map(of).max().unwrap_or(PLAIN_VERSION)
}

/// How an object was compared with the file it came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Confirmation {
    /// S3's own checksum equals ours.
    Checksum,
    /// The endpoint gave no checksum: the object was read back and compared.
    Reread,
    /// The endpoint took it and said no more.
    Accepted,
}

impl Manifest {
    /// Bytes of all objects.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }

    /// Its files as they lay at the source, sorted by path: more than its objects where they were packed.
    #[must_use]
    pub fn contents(&self) -> Vec<Content<'_>> {
        self.files.iter().flat_map(StoredFile::contents).collect()
    }

    /// Bytes of all files, as they lay at the source.
    #[must_use]
    pub fn plain_bytes(&self) -> u64 {
        self.contents().iter().map(|content| content.size).sum()
    }

    /// Attempts that failed while it was stored.
    #[must_use]
    pub fn retries(&self) -> u32 {
        self.files.iter().map(|file| file.retries).sum()
    }

    /// What was known when it was stored: the weakest of its objects.
    #[must_use]
    pub fn proof(&self) -> Proof {
        self.files
            .iter()
            .map(|file| match file.confirmed {
                Confirmation::Checksum => Proof::Stored,
                Confirmation::Reread => Proof::Reread,
                Confirmation::Accepted => Proof::Unproven,
            })
            .min()
            .unwrap_or(Proof::Unproven)
    }

    /// Whether it was stored although its content is not complete: it is no backup to count on.
    #[must_use]
    pub fn is_cut_short(&self) -> bool {
        self.inspection.as_ref().is_some_and(|inspection| match inspection.verdict {
            Verdict::CutShort { .. } | Verdict::StillBeingWritten { .. } => true,
            Verdict::Whole { .. } | Verdict::NotJudged { .. } => false,
        })
    }

    /// Whether another program stored its object, at a time of which it says nothing.
    #[must_use]
    pub fn is_adopted(&self) -> bool {
        // Where a host made it, an absolute path.
        self.source.starts_with("s3://")
    }

    /// Whether it restores only on top of another one: a differential, a log, an RMAN folder of level 1 or without any
    /// data. By its content, else by its name and those of its files.
    #[must_use]
    pub fn needs_another(&self) -> bool {
        let kind = self.inspection.as_ref().and_then(|inspection| inspection.facts.kind);
        let name = self.id.name.as_str();
        match (self.id.engine, kind) {
            (_, Some(BackupKind::Differential | BackupKind::Log)) => true,
            (Engine::Oracle, None) => {
                let pieces = || self.contents().into_iter().map(|content| content.path.as_str());
                engines::is_level_1(name) || Holding::of(pieces()).needs_another()
            }
            (Engine::Mssql, None) => {
                let lower = name.to_ascii_lowercase();
                [".dif", ".trn"].iter().any(|end| lower.ends_with(end))
                    || named::kind(self.id.app.as_str(), name).is_some()
            }
            (_, Some(BackupKind::Full | BackupKind::CopyOnly)) | (Engine::Mysql, None) => false,
        }
    }

    /// Whether both records speak of the same objects with the same bytes.
    #[must_use]
    pub fn same_content(&self, other: &Self) -> bool {
        self.files.len() == other.files.len()
            && self.files.iter().zip(&other.files).all(|(a, b)| {
                a.path == b.path && a.size == b.size && a.checksum.agrees(&b.checksum) == Some(true)
            })
    }

    /// The record as it is stored: indented JSON with a final newline.
    pub fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut bytes = serde_json::to_vec_pretty(self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Reads a stored record and checks that it speaks of the set it is filed under.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn from_json(bytes: &[u8], filed_under: &SetId) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Form {
            version: u32,
        }
        let form: Form = serde_json::from_slice(bytes).map_err(|error| format!("it is damaged: {error}"))?;
        if form.version > VERSION {
            return Err(format!(
                "it has form {}, and this dbbackup knows forms up to {VERSION}: use a newer one",
                form.version
            ));
        }
        let manifest: Self =
            serde_json::from_slice(bytes).map_err(|error| format!("it is damaged: {error}"))?;
        if manifest.id != *filed_under {
            return Err(format!("it speaks of {} but is filed under {filed_under}", manifest.id));
        }
        if manifest.files.is_empty() {
            return Err("it names no object".to_owned());
        }
        Ok(manifest)
    }
}
