//! age: encryption to public keys (C2SP `age`, version 1; keys of type X25519).

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, BufRead as _, Read, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use age::stream::{StreamReader, StreamWriter};
use age::{DecryptError, Decryptor, Encryptor, x25519};
use serde::{Deserialize, Serialize};

/// Bytes that encrypting takes: chunks of 64 KiB on both sides of it.
pub(super) const MEMORY: u64 = 1 << 20;
/// Bytes encrypted at once.
const CHUNK: usize = 64 << 10;
/// Bytes of a header at most; one recipient takes about 100.
const HEADER_MAX: usize = 64 << 10;
/// Recipients at most, so that every header stays far below [`HEADER_MAX`].
const RECIPIENTS_MAX: usize = 100;
/// An identity file at most.
const IDENTITIES_MAX: u64 = 1 << 20;

/// Bytes that `plain` bytes become at most: 16 more for each chunk of 64 KiB and for the nonce, a stanza
/// of some 100 for each recipient, and one of up to 300 that the library adds by chance ("grease").
pub(super) const fn bound(plain: u64, recipients: usize) -> u64 {
    let chunks = plain / CHUNK as u64 + 1;
    plain.saturating_add(chunks * 16).saturating_add(1024 + 128 * recipients as u64)
}

/// A public key that objects are encrypted to.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Recipient(x25519::Recipient);

impl Recipient {
    /// What is allowed, for messages.
    pub const ALLOWED: &'static str =
        "public keys of age, as `age-keygen -y key.txt` prints them (`age1…`), 100 at most";

    /// Whether there may be as many of them.
    #[must_use]
    pub const fn may_be(count: usize) -> bool {
        0 < count && count <= RECIPIENTS_MAX
    }
}

impl FromStr for Recipient {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.to_ascii_uppercase().contains("AGE-SECRET-KEY-") {
            return Err(
                "that is a secret key: it opens every backup made for it, so it is not for this file \
                        nor this host; take its public key, and replace it where others could read it"
                    .to_owned(),
            );
        }
        text.parse().map(Self).map_err(|why: &str| format!("no public key of age of type X25519 ({why})"))
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<Recipient> for String {
    fn from(recipient: Recipient) -> Self {
        recipient.to_string()
    }
}

impl TryFrom<String> for Recipient {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// Secret keys that open what is encrypted to their public ones.
#[derive(Clone, Default)]
pub struct Identities(Arc<[x25519::Identity]>);

/// Why there are no identities.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file cannot be read.
    #[error("read the identity file {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// It holds something else.
    #[error(
        "the identity file {}: line {line} is no secret key of age (`AGE-SECRET-KEY-1…`); it must be a file as \
         `age-keygen -o` writes it, not encrypted itself", path.display()
    )]
    Line {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
    },
    /// It holds nothing.
    #[error("the identity file {} holds no secret key", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

impl Identities {
    /// Those in a file as `age-keygen` writes it: one a line, `#` before comments.
    ///
    /// # Errors
    /// Where it cannot be read, or holds anything else; no message has a line of it.
    pub fn read(path: &Path) -> Result<Self, IdentityError> {
        let unread = |source| IdentityError::Read { path: path.to_owned(), source };
        let file = io::BufReader::new(std::fs::File::open(path).map_err(unread)?.take(IDENTITIES_MAX));
        let mut identities = Vec::new();
        for (number, line) in file.lines().enumerate() {
            let other = || IdentityError::Line { path: path.to_owned(), line: number + 1 };
            let line = match line {
                Ok(line) => line,
                Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(other()),
                Err(error) => return Err(unread(error)),
            };
            let text = line.trim();
            if !text.is_empty() && !text.starts_with('#') {
                identities.push(text.parse().map_err(|_: &str| other())?);
            }
        }
        if identities.is_empty() {
            return Err(IdentityError::Empty { path: path.to_owned() });
        }
        Ok(Self(identities.into()))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one of them belongs to one of `recipients`.
    #[must_use]
    pub fn open(&self, recipients: &[Recipient]) -> bool {
        self.0.iter().any(|identity| recipients.contains(&Recipient(identity.to_public())))
    }
}

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identities({})", self.0.len())
    }
}

/// Bytes on their way between the library and us.
#[derive(Clone, Default)]
struct Pipe(Arc<Mutex<Flow>>);

#[derive(Default)]
struct Flow {
    bytes: VecDeque<u8>,
    /// No more will come.
    ended: bool,
}

impl Pipe {
    fn flow(&self) -> MutexGuard<'_, Flow> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.flow().bytes.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Pipe {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let mut flow = self.flow();
        if flow.bytes.is_empty() && !flow.ended {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        flow.bytes.read(room)
    }
}

/// The encrypted bytes of what a source gives.
pub(super) struct Sealing<R> {
    source: R,
    /// Gone when the last chunk is written.
    writer: Option<StreamWriter<Pipe>>,
    sealed: Pipe,
    chunk: Vec<u8>,
}

impl<R: Read> Sealing<R> {
    pub(super) fn new(source: R, recipients: &[Recipient]) -> io::Result<Self> {
        let keys = recipients.iter().map(|recipient| &recipient.0 as &dyn age::Recipient);
        let sealed = Pipe::default();
        let writer =
            Encryptor::with_recipients(keys).map_err(io::Error::other)?.wrap_output(sealed.clone())?;
        Ok(Self { source, writer: Some(writer), sealed, chunk: vec![0; CHUNK] })
    }
}

impl<R: Read> Read for Sealing<R> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.sealed.read(room) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                taken => return taken,
            }
            let count = self.source.read(&mut self.chunk)?;
            if let (Some(writer), 1..) = (&mut self.writer, count) {
                writer.write_all(self.chunk.get(..count).unwrap_or_default())?;
                continue;
            }
            if let Some(writer) = self.writer.take() {
                writer.finish()?;
            }
            self.sealed.flow().ended = true;
        }
    }
}

/// Takes an encrypted object's bytes as they come and gives what they were made from.
pub(super) struct Opening {
    identities: Identities,
    sealed: Pipe,
    stage: Stage,
    chunk: Vec<u8>,
}

enum Stage {
    /// Its bytes so far.
    Header(Vec<u8>),
    Body(StreamReader<Pipe>),
}

impl Opening {
    pub(super) fn new(identities: Identities) -> Self {
        let stage = Stage::Header(Vec::new());
        Self { identities, sealed: Pipe::default(), stage, chunk: vec![0; CHUNK] }
    }

    /// Takes the next bytes and shows `out` what they give.
    pub(super) fn feed(
        &mut self,
        bytes: &[u8],
        out: &mut impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        match &mut self.stage {
            Stage::Header(header) => {
                header.extend_from_slice(bytes);
                if !is_whole(header)? {
                    return Ok(());
                }
                self.sealed.write_all(header)?;
                let keys = self.identities.0.iter().map(|identity| identity as &dyn age::Identity);
                let body = Decryptor::new(self.sealed.clone()).and_then(|header| header.decrypt(keys));
                self.stage = Stage::Body(body.map_err(no_header)?);
            }
            Stage::Body(_) => self.sealed.write_all(bytes)?,
        }
        self.pass(out)
    }

    /// Ends the object.
    pub(super) fn end(mut self, out: &mut impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        if matches!(self.stage, Stage::Header(_)) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.sealed.flow().ended = true;
        self.pass(out)
    }

    fn pass(&mut self, out: &mut impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let Stage::Body(body) = &mut self.stage else { return Ok(()) };
        loop {
            match body.read(&mut self.chunk) {
                Ok(0) => return Ok(()),
                Ok(count) => out(self.chunk.get(..count).unwrap_or_default())?,
                // The reader keeps what it has of a chunk.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}

/// Whether these bytes hold a whole header, its nonce included.
fn is_whole(header: &[u8]) -> io::Result<bool> {
    match Decryptor::new_buffered(header) {
        Ok(_) => Ok(true),
        Err(DecryptError::Io(error))
            if error.kind() == io::ErrorKind::UnexpectedEof && header.len() < HEADER_MAX =>
        {
            Ok(false)
        }
        Err(error) => Err(no_header(error)),
    }
}

fn no_header(error: DecryptError) -> io::Error {
    match error {
        DecryptError::Io(error) => error,
        DecryptError::NoMatchingKeys => {
            io::Error::new(io::ErrorKind::InvalidData, "it is encrypted, and none of the identities opens it")
        }
        other => io::Error::new(io::ErrorKind::InvalidData, other),
    }
}
