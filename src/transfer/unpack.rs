//! An object that is coded becomes a file, or a folder's files: fetched as it is beside it, compared, decoded
//! into it, compared again.
//!
//! What must stay true: a file counts only when both its object's bytes and its own gave the checksums of
//! the manifest; the object's bytes go when they are not needed any more.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Seek as _, SeekFrom, Write};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

use super::ranges::FileRanges;
use super::ranked::Rank;
use super::room::preallocate;
use super::{Downloader, FetchError, Wanted};
use crate::checksum::{Checksum, Digest};
use crate::codec::tar::{self, Unpacked};
use crate::codec::{Coding, DecodeError, Decoding, Identities, Member};

/// What is added to a file's name for its object's bytes.
pub(super) const STORED: &str = ".dbbackup-stored";
/// Bytes read or written at once.
const CHUNK: usize = 1 << 20;
/// A decoder's share of the memory: the window of `zstd -19` is 8 MiB.
const DECODER: u64 = 10 << 20;

/// Where an object's own bytes lie while the file at `path` is made of them.
#[must_use]
pub fn stored_name(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(STORED);
    name.into()
}

/// Whether a path below a partial folder is that of an object's bytes; then the path of its file.
#[must_use]
pub fn file_of_stored(rel: &str) -> Option<&str> {
    rel.strip_suffix(STORED)
}

impl Downloader {
    pub(super) async fn fetch_and_decode(
        &self,
        wanted: &Wanted,
        file: File,
        path: &Path,
        before: Option<FileRanges>,
    ) -> Result<Checksum, FetchError> {
        let Some(coding) = &wanted.coding else {
            return self.fetch_stored(wanted, file, path, before).await;
        };
        wanted.openable(&self.identities)?;
        let beside = stored_name(path);
        let not_written = |path: &Path| {
            let path = path.to_owned();
            move |source| FetchError::Write { path, source }
        };
        let there = {
            let (file, coding) = (file.try_clone().map_err(not_written(path))?, coding.clone());
            // A restore that was killed may have come to its last byte and no disk have it yet.
            blocking(move || Ok(is_there(&file, &coding) && file.sync_all().is_ok())).await?
        };
        let whole = if let (true, Some(sum)) = (there, &wanted.checksum) {
            if let Some(before) = &before {
                before.count_reused(wanted.size);
            }
            sum.clone()
        } else {
            let stored = options().open(&beside).map_err(not_written(&beside))?;
            let again = stored.try_clone().map_err(not_written(&beside))?;
            let whole = self.fetch_stored(wanted, stored, &beside, before).await?;
            self.decode(wanted, coding, again, file, path).await?;
            whole
        };
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(not_written(&beside)(error)),
            Ok(()) | Err(_) => Ok(whole),
        }
    }

    async fn decode(
        &self,
        wanted: &Wanted,
        coding: &Coding,
        stored: File,
        file: File,
        path: &Path,
    ) -> Result<(), FetchError> {
        let closed = |error: super::pool::Closed| FetchError::Internal(error.to_string());
        let held = (self.pool.slot(Rank::default()).await, self.pool.share(DECODER).await.map_err(closed)?);
        let (coding, cancel, path) = (coding.clone(), self.cancel.clone(), path.to_owned());
        let (key, size, identities) = (wanted.key.to_string(), wanted.size, self.identities.clone());
        blocking(move || {
            let _held = held;
            let not_written = |source| FetchError::write(&path, &file, coding.plain_size, source);
            decode(&coding, &identities, &stored, size, &file, &cancel)
                .map_err(|error| error.told(key, not_written))
        })
        .await
    }
}

/// Where the files of a packed folder go.
pub trait Folder: Send + 'static {
    /// Opens the file for a member, empty.
    ///
    /// # Errors
    /// The system's.
    fn open(&mut self, member: &Member) -> io::Result<File>;
}

impl Downloader {
    /// Fetches a packed folder's object into `file` and makes its files of it. Each counts only as all of
    /// them do; the object's bytes stay where they are.
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn fetch_packed(
        &self,
        wanted: &Wanted,
        (file, path): (File, &Path),
        before: Option<FileRanges>,
        folder: impl Folder,
    ) -> Result<(), FetchError> {
        wanted.openable(&self.identities)?;
        let Some(coding) = wanted.coding.clone() else {
            return Err(FetchError::Internal(format!("{} is not packed", wanted.key)));
        };
        let not_written = |source| FetchError::Write { path: path.to_owned(), source };
        let stored = file.try_clone().map_err(not_written)?;
        tokio::select! {
            fetched = self.fetch_stored(wanted, file, path, before) => fetched.map(|_| ())?,
            () = self.cancel.cancelled() => return Err(FetchError::Cancelled),
        }
        let closed = |error: super::pool::Closed| FetchError::Internal(error.to_string());
        let held = (self.pool.slot(Rank::default()).await, self.pool.share(DECODER).await.map_err(closed)?);
        let (cancel, identities) = (self.cancel.clone(), self.identities.clone());
        let (key, size) = (wanted.key.to_string(), wanted.size);
        blocking(move || {
            let _held = held;
            // Between the threads nothing is written to a disk.
            let pipe = |source| FetchError::Internal(format!("pass an archive on: {source}"));
            take_apart(&coding, &identities, (&stored, size), folder, &cancel)
                .map_err(|error| error.told(key, pipe))
        })
        .await
    }
}

/// Decodes an archive on one thread and takes it apart on this one.
fn take_apart(
    coding: &Coding,
    identities: &Identities,
    (stored, size): (&File, u64),
    mut folder: impl Folder,
    cancel: &CancellationToken,
) -> Result<(), Stopped> {
    let (from, to) = io::pipe()?;
    std::thread::scope(|scope| {
        let decoding = scope.spawn(move || {
            let to = BufWriter::with_capacity(CHUNK, to);
            decode_into(coding, identities, (stored, size), to, cancel)
        });
        let mut from = BufReader::with_capacity(CHUNK, from);
        let close = |_: &Member, file: File| file.sync_all();
        let unpacked = tar::unpack(&mut from, &coding.members, |member| folder.open(member), close);
        let unpacked = unpacked.map_err(Stopped::Unpacking);
        if unpacked.is_ok() {
            // The archive's own end, so that the decoder comes to its.
            io::copy(&mut from, &mut io::sink())?;
        }
        drop(from);
        let decoded = decoding.join().unwrap_or(Err(Stopped::Panicked));
        match (unpacked, decoded) {
            // An archive that stops short does so because its decoding did.
            (
                _,
                Err(
                    damaged @ (Stopped::Decoding(DecodeError::Damaged(_))
                    | Stopped::Cancelled
                    | Stopped::Panicked),
                ),
            ) => Err(damaged),
            // So does one whose stored bytes this machine could not read; a pipe breaks where the archive was refused.
            (_, Err(Stopped::Decoding(DecodeError::Write(error))))
                if error.kind() != io::ErrorKind::BrokenPipe =>
            {
                Err(Stopped::Decoding(DecodeError::Write(error)))
            }
            (Err(error), _) | (Ok(()), Err(error)) => Err(error),
            (Ok(()), Ok(())) => Ok(()),
        }
    })
}

enum Stopped {
    Decoding(DecodeError),
    Unpacking(Unpacked),
    Cancelled,
    Panicked,
}

impl Stopped {
    fn told(self, key: String, not_written: impl FnOnce(io::Error) -> FetchError) -> FetchError {
        match self {
            Self::Decoding(DecodeError::Damaged(how)) | Self::Unpacking(Unpacked::Damaged(how)) => {
                FetchError::Damaged { key, how }
            }
            Self::Decoding(DecodeError::Write(source)) => not_written(source),
            Self::Unpacking(Unpacked::Write(path, source)) => FetchError::Write { path: path.into(), source },
            Self::Cancelled => FetchError::Cancelled,
            Self::Panicked => FetchError::Internal(format!("{key}: a decoding thread ended")),
        }
    }
}

impl From<DecodeError> for Stopped {
    fn from(error: DecodeError) -> Self {
        Self::Decoding(error)
    }
}

impl From<io::Error> for Stopped {
    fn from(error: io::Error) -> Self {
        Self::Decoding(DecodeError::Write(error))
    }
}

fn decode(
    coding: &Coding,
    identities: &Identities,
    stored: &File,
    size: u64,
    mut file: &File,
    cancel: &CancellationToken,
) -> Result<(), Stopped> {
    file.set_len(0)?;
    preallocate(file, coding.plain_size)?;
    file.seek(SeekFrom::Start(0))?;
    decode_into(coding, identities, (stored, size), BufWriter::with_capacity(CHUNK, file), cancel)?;
    file.sync_all()?;
    Ok(())
}

fn decode_into(
    coding: &Coding,
    identities: &Identities,
    (stored, size): (&File, u64),
    out: impl Write,
    cancel: &CancellationToken,
) -> Result<(), Stopped> {
    let mut decoding = Decoding::new(coding, identities, out)?;
    let mut chunk = vec![0; CHUNK];
    let mut done = 0;
    while done < size {
        if cancel.is_cancelled() {
            return Err(Stopped::Cancelled);
        }
        let read = stored.read_at(&mut chunk, done)?;
        if read == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        decoding.feed(chunk.get(..read).unwrap_or_default())?;
        done += read as u64;
    }
    decoding.finish(coding)?;
    Ok(())
}

/// Whether the file is there already, from a restore that was interrupted. What cannot be read is made
/// again; a disk that is broken shows when it is written.
fn is_there(file: &File, coding: &Coding) -> bool {
    if file.metadata().map_or(true, |metadata| metadata.len() != coding.plain_size) || coding.plain_size == 0
    {
        return false;
    }
    let mut digest = Digest::new(coding.plain_checksum.algorithm);
    let mut chunk = vec![0; CHUNK];
    loop {
        match file.read_at(&mut chunk, digest.len()) {
            Ok(0) => break,
            Ok(read) => digest.update(chunk.get(..read).unwrap_or_default()),
            Err(_) => return false,
        }
    }
    digest.len() == coding.plain_size && digest.full_object().agrees(&coding.plain_checksum) == Some(true)
}

fn options() -> fs::OpenOptions {
    let mut options = File::options();
    options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or(0));
    options
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, FetchError> + Send + 'static,
) -> Result<T, FetchError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(FetchError::Internal(format!("a decoding thread ended: {error}"))))
}
