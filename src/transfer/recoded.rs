//! A stored object that is compressed or encrypted, compared with the file it should have been made from.
//!
//! What must stay true: nothing is sent here, and nothing counts as the same that was not compared byte
//! for byte or by checksum.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

use super::existing::{Ours, Same};
use super::job::FileJob;
use super::reader::{Pages, blocking, open_as_found, read_through, unchanged};
use super::sent::Sent;
use super::tap::Tap;
use super::{FileError, FileProgress};
use crate::bucket::{BucketError, ErrorKind, ObjectInfo};
use crate::checksum::{Algorithm, Checksum, Digest};
use crate::codec::{Coding, Decoding, Recipe};
use crate::engines::SourceFile;
use crate::manifest::{Confirmation, StoredFile};
use crate::source::OpenFile;

impl FileJob {
    /// Compares the object under this file's key, which no manifest names, with the file.
    pub(super) async fn compare_encoded(
        &self,
        recipe: &Recipe,
        memory: OwnedSemaphorePermit,
        info: &ObjectInfo,
        progress: &FileProgress,
    ) -> Result<Sent, FileError> {
        if recipe.encrypts() {
            drop(memory);
            return self.compare_sealed(progress).await;
        }
        let wire = self.bucket().algorithm();
        let mut encoding = self.begin_encoding(recipe, memory).await?;
        let (size, sums, coding, judgement) = blocking(move || {
            let (size, sums) = encoding.sum(wire)?;
            let (coding, judgement) = encoding.finish()?;
            Ok((size, sums, coding, judgement))
        })
        .await?;
        let ours =
            Ours { size, crc64: sums.crc64().full_object(), wire: wire.map(|_| sums.wire().full_object()) };
        let same = match self.existing(&ours).await {
            Ok(Some(same)) => same,
            Ok(None) => {
                let why =
                    format!("{} was there a moment ago, with {} bytes, and is not", self.key, info.size);
                return Err(FileError::Internal(why));
            }
            Err(other @ FileError::OtherContent { .. }) => {
                let sent = self.made_otherwise(recipe, other, progress).await?;
                return Ok(Sent { judgement, ..sent });
            }
            Err(error) => return Err(error),
        };
        progress.advance(self.file.stamp.size);
        Ok(Sent { same, size, crc64: ours.crc64, parts: 1, bytes: 0, judgement, coding: Some(coding) })
    }

    /// Another level, or another version of the encoder, makes other bytes of the same file: so the object
    /// is read back, decoded and compared with the file, as far as both are equal. `refusal` is the answer
    /// where they are not, or where it cannot be read.
    pub(super) async fn made_otherwise(
        &self,
        recipe: &Recipe,
        refusal: FileError,
        progress: &FileProgress,
    ) -> Result<Sent, FileError> {
        if recipe.encrypts() {
            return self.compare_sealed(progress).await;
        }
        if self.members.is_some() {
            return Err(refusal);
        }
        let Some(info) = self.head().await? else { return Err(refusal) };
        tracing::info!(key = %self.key, "there is an object of other bytes: reading it back and decoding it");
        let file = self.file.clone();
        let open = blocking(move || Ok(Arc::new(open_as_found(&file)?))).await?;
        let what = format!("read back {}", self.key);
        let compared =
            self.policy().run(&what, &self.retries, || self.decode_against(&open, recipe, &info)).await;
        let (stored, plain) = match compared {
            Ok(Some(digests)) => digests,
            Ok(None) => return Err(refusal),
            Err(error) if error.kind == ErrorKind::Denied => return Err(refusal),
            Err(error) => return Err(error.into()),
        };
        unchanged(&open, &self.file.stamp, &self.file.path)?;
        progress.advance(self.file.stamp.size);
        let crc64 = stored.full_object();
        let confirmed = info.checksum.as_ref().is_some_and(|theirs| theirs.agrees(&crc64) == Some(true));
        let same = Same {
            confirmed: if confirmed { Confirmation::Checksum } else { Confirmation::Reread },
            s3_checksum: info.checksum.clone().filter(|_| confirmed),
            etag: info.etag.clone(),
            version: info.version.clone(),
        };
        let coding = Coding {
            recipe: recipe.clone(),
            plain_size: plain.len(),
            plain_checksum: plain.full_object(),
            members: Vec::new(),
        };
        let coding = Some(coding);
        Ok(Sent { same, size: info.size, crc64, parts: 1, bytes: 0, judgement: None, coding })
    }

    /// The sums of the object and of what it decodes to; `None` as soon as that is not the file.
    async fn decode_against(
        &self,
        open: &Arc<OpenFile>,
        recipe: &Recipe,
        info: &ObjectInfo,
    ) -> Result<Option<(Digest, Digest)>, BucketError> {
        let size = self.file.stamp.size;
        let mut stored = Digest::new(Algorithm::Crc64Nvme);
        let against = Against { open: open.clone(), at: 0, room: Vec::new() };
        let Ok(mut decoding) = Decoding::unknown(recipe.compression, size, against) else { return Ok(None) };
        let (_, mut body) = self.bucket().get(&self.key, None, info.etag.as_deref(), None).await?;
        while let Some(chunk) = body.next().await? {
            stored.update(&chunk);
            if decoding.feed(&chunk).is_err() {
                return Ok(None);
            }
        }
        let plain = decoding.end().ok().filter(|plain| plain.len() == size);
        Ok(plain.map(|plain| (stored, plain)))
    }

    /// Compares the file with an encrypted object, which no manifest names, by this host's note of what it
    /// was made from.
    async fn compare_sealed(&self, progress: &FileProgress) -> Result<Sent, FileError> {
        for noted in self.sealed().on(self.key.as_str()) {
            let ours =
                Ours { size: noted.size, crc64: noted.checksum.clone(), wire: noted.s3_checksum.clone() };
            match self.existing(&ours).await {
                Ok(Some(same)) => return self.compare_plain(&noted, same, progress).await,
                Ok(None) | Err(FileError::OtherContent { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Err(FileError::Sealed { key: self.key.to_string(), path: self.file.path.clone() })
    }

    /// Compares the file with a stored object whose manifest tells what it was made from.
    pub(super) async fn compare_known(
        &self,
        known: &StoredFile,
        progress: &FileProgress,
    ) -> Result<Sent, FileError> {
        let ours = || Ours { size: known.size, crc64: known.checksum.clone(), wire: None };
        let info = self.head().await?.ok_or_else(|| self.gone())?;
        if !is_recorded(&info, known) {
            let theirs = info.checksum.map_or_else(String::new, |sum| format!(", {sum}"));
            return Err(self.damaged(&ours(), format!("{} bytes{theirs}", info.size)));
        }
        let same = Same {
            confirmed: known.confirmed,
            s3_checksum: known.s3_checksum.clone(),
            etag: info.etag.clone(),
            version: info.version.clone(),
        };
        self.compare_plain(known, same, progress).await
    }

    /// Compares the file with what a record says an object was made from; the object is that of the record.
    async fn compare_plain(
        &self,
        known: &StoredFile,
        same: Same,
        progress: &FileProgress,
    ) -> Result<Sent, FileError> {
        if let Some(files) = &self.members {
            self.compare_members(files, known).await?;
            progress.advance(self.file.stamp.size);
            let (crc64, coding, size) = (known.checksum.clone(), known.coding.clone(), known.size);
            return Ok(Sent { same, size, crc64, parts: known.parts, bytes: 0, judgement: None, coding });
        }
        let size = self.file.stamp.size;
        let describe = |size: u64, sum: &Checksum| format!("{size} bytes, {sum}");
        let theirs = describe(known.plain_size(), known.plain_checksum());
        if size != known.plain_size() {
            return Err(self.other(format!("{size} bytes"), theirs));
        }
        let (file, watch) = (self.file.clone(), self.watch);
        let open = blocking(move || Ok(Arc::new(open_as_found(&file)?))).await?;
        let path: Arc<Path> = self.file.path.as_path().into();
        let (sums, tap) = read_through(open.clone(), path, 0, size, None, Tap::new(watch), Pages::Go).await?;
        unchanged(&open, &self.file.stamp, &self.file.path)?;
        let judgement = tap.end(&self.file.path)?;
        let ours = sums.crc64().full_object();
        if ours != *known.plain_checksum() {
            return Err(self.other(describe(size, &ours), theirs));
        }
        progress.advance(size);
        let (crc64, coding) = (known.checksum.clone(), known.coding.clone());
        Ok(Sent { same, size: known.size, crc64, parts: known.parts, bytes: 0, judgement, coding })
    }
}

impl FileJob {
    /// Compares a folder's files with what a record says was packed.
    async fn compare_members(&self, files: &Arc<[SourceFile]>, known: &StoredFile) -> Result<(), FileError> {
        let members = known.members();
        let count = |count: usize| format!("{count} files");
        if files.len() != members.len() {
            return Err(self.other(count(files.len()), count(members.len())));
        }
        for (file, member) in files.iter().zip(members) {
            let describe = |size: u64, sum: &Checksum| format!("{} with {size} bytes, {sum}", member.path);
            let theirs = describe(member.size, &member.checksum);
            if file.rel != member.path {
                return Err(self.other(file.rel.to_string(), theirs));
            }
            let found = file.clone();
            let open = blocking(move || Ok(Arc::new(open_as_found(&found)?))).await?;
            let (path, size): (Arc<Path>, u64) = (file.path.as_path().into(), file.stamp.size);
            let (sums, _) =
                read_through(open.clone(), path, 0, size, None, Tap::new(None), Pages::Go).await?;
            unchanged(&open, &file.stamp, &file.path)?;
            let ours = sums.crc64().full_object();
            if ours != member.checksum {
                return Err(self.other(describe(size, &ours), theirs));
            }
        }
        Ok(())
    }
}

/// Whether what S3 holds is the object that a record speaks of: by S3's own checksum, or else by its
/// entity tag.
fn is_recorded(info: &ObjectInfo, file: &StoredFile) -> bool {
    if info.size != file.size {
        return false;
    }
    let ours = [file.s3_checksum.as_ref(), Some(&file.checksum)];
    let agrees = info
        .checksum
        .as_ref()
        .and_then(|theirs| ours.into_iter().flatten().find_map(|ours| ours.agrees(theirs)));
    agrees.unwrap_or_else(|| info.etag.is_some() && info.etag == file.etag)
}

/// Takes bytes and compares them with a file's, from its start on.
struct Against {
    open: Arc<OpenFile>,
    at: u64,
    room: Vec<u8>,
}

impl Write for Against {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.room.resize(bytes.len(), 0);
        let count = self.open.read_at(&mut self.room, self.at)?;
        let (ours, theirs) = (self.room.get(..count), bytes.get(..count));
        if count == 0 || ours != theirs {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it is another file"));
        }
        self.at += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
