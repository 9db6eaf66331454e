//! Encryption with age (<https://age-encryption.org/v1>): public keys on the host that sends, the
//! secret key only where a backup is restored.
//!
//! What must stay true: no secret key is in a message, a log or a `Debug`.

use std::fmt;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use age::stream::{StreamReader, StreamWriter};
use age::{DecryptError, Decryptor, Encryptor};

use super::DecodeError;

/// Plain bytes sealed at once.
const CHUNK: usize = 256 << 10;

/// A public key: `age1…`.
#[derive(Clone)]
pub struct Recipient(age::x25519::Recipient);

impl FromStr for Recipient {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.to_ascii_uppercase().starts_with("AGE-SECRET-KEY") {
            return Err("is a secret key".to_owned());
        }
        text.parse().map(Self).map_err(|why: &str| format!("is no age public key: {why}"))
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recipient({})", self.0)
    }
}

impl PartialEq for Recipient {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

impl Eq for Recipient {}

/// Where the encrypted bytes wait to be read.
#[derive(Clone, Default)]
struct Ready(Arc<Mutex<Vec<u8>>>);

impl Write for Ready {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The encrypted bytes of a source.
pub(super) struct Sealed<R> {
    source: R,
    writer: Option<StreamWriter<Ready>>,
    ready: Ready,
    chunk: Vec<u8>,
    out: Vec<u8>,
    at: usize,
}

impl<R: Read> Sealed<R> {
    pub(super) fn new(source: R, recipients: &[Recipient]) -> io::Result<Self> {
        let keys = recipients.iter().map(|recipient| &recipient.0 as &dyn age::Recipient);
        let ready = Ready::default();
        let encryptor = Encryptor::with_recipients(keys).map_err(io::Error::other)?;
        let writer = encryptor.wrap_output(ready.clone())?;
        Ok(Self { source, writer: Some(writer), ready, chunk: vec![0; CHUNK], out: Vec::new(), at: 0 })
    }

    /// Seals the next plain bytes; false at the end.
    fn advance(&mut self) -> io::Result<bool> {
        let Some(mut writer) = self.writer.take() else { return Ok(false) };
        let read = self.source.read(&mut self.chunk)?;
        if read == 0 {
            writer.finish()?;
        } else {
            writer.write_all(self.chunk.get(..read).unwrap_or_default())?;
            self.writer = Some(writer);
        }
        self.out.clear();
        self.at = 0;
        std::mem::swap(&mut self.out, &mut self.ready.0.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(true)
    }
}

impl<R: Read> Read for Sealed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.out.len() {
            if !self.advance()? {
                return Ok(0);
            }
        }
        let rest = self.out.get(self.at..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..count), rest.get(..count)) {
            to.copy_from_slice(from);
        }
        self.at += count;
        Ok(count)
    }
}

/// The secret keys of an identity file, as `age-keygen` writes it.
#[derive(Clone, Default)]
pub struct Identities {
    keys: Arc<Vec<age::x25519::Identity>>,
    path: Option<PathBuf>,
}

/// Why an identity file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// It cannot be read.
    #[error("read identity file {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// A line is none; its text is not shown, since it may be a secret.
    #[error("read identity file {}: line {line} is no `AGE-SECRET-KEY-1…` as age-keygen writes it (keys with a passphrase, of SSH or of plugins are not read)", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
    },
    /// There is no key in it.
    #[error("read identity file {}: there is no key in it", .0.display())]
    Empty(PathBuf),
    /// No file was named.
    #[error(
        "it is encrypted for {0}; name the file with that secret key: --identity FILE, DBBACKUP_IDENTITY, or [restore] identity"
    )]
    Missing(String),
    /// None of the file's keys is meant.
    #[error("it is encrypted for {wanted}, and {} holds the secret key of {ours}; name another one with --identity", path.display())]
    Other {
        /// The recipients.
        wanted: String,
        /// The public keys of the file.
        ours: String,
        /// The file.
        path: PathBuf,
    },
}

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identities({} keys)", self.keys.len())
    }
}

impl Identities {
    /// Reads an identity file.
    ///
    /// # Errors
    /// [`IdentityError`]; no message holds a secret.
    pub fn load(path: &Path) -> Result<Self, IdentityError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| IdentityError::Read { path: path.to_owned(), source })?;
        let mut keys = Vec::new();
        for (index, line) in text.lines().map(str::trim).enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let key =
                line.parse().map_err(|_| IdentityError::Line { path: path.to_owned(), line: index + 1 })?;
            keys.push(key);
        }
        if keys.is_empty() {
            return Err(IdentityError::Empty(path.to_owned()));
        }
        Ok(Self { keys: Arc::new(keys), path: Some(path.to_owned()) })
    }

    /// Whether what was encrypted for `recipients` can be decrypted with these; asked before anything is
    /// downloaded.
    ///
    /// # Errors
    /// Who it was encrypted for, and what to do.
    pub fn suit(&self, recipients: &[String]) -> Result<(), IdentityError> {
        let ours: Vec<String> = self.keys.iter().map(|key| key.to_public().to_string()).collect();
        if recipients.is_empty() || recipients.iter().any(|recipient| ours.contains(recipient)) {
            return Ok(());
        }
        let wanted = recipients.join(", ");
        Err(match &self.path {
            None => IdentityError::Missing(wanted),
            Some(path) => IdentityError::Other { wanted, ours: ours.join(", "), path: path.clone() },
        })
    }

    pub(super) fn open<R: Read>(
        &self,
        stored: R,
        recipients: &[String],
    ) -> Result<StreamReader<R>, DecodeError> {
        let failed = |error: DecryptError| match error {
            DecryptError::NoMatchingKeys => DecodeError::OtherIdentity(recipients.join(", ")),
            DecryptError::Io(error) => DecodeError::Io(error),
            other => DecodeError::Damaged(format!("it is no intact age file: {other}")),
        };
        let decryptor = Decryptor::new(stored).map_err(failed)?;
        decryptor.decrypt(self.keys.iter().map(|key| key as &dyn age::Identity)).map_err(failed)
    }
}
