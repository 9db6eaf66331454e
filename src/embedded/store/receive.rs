//! A request's body on its way to disk, hashed as it passes.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use futures::StreamExt as _;
use hyper::StatusCode;
use s3s::dto::StreamingBlob;
use s3s::{S3Error, S3ErrorCode, S3Result};

use super::super::sums::{Hashing, Kind, Sums};
use super::{Store, internal};

/// A body in a temporary file, gone with this value unless it is kept.
pub(in super::super) struct Received {
    path: PathBuf,
    pub(in super::super) size: u64,
    pub(in super::super) md5: [u8; 16],
    pub(in super::super) sums: Sums,
}

impl Received {
    pub(super) fn keep_as(self, path: &Path) -> S3Result<()> {
        fs::rename(&self.path, path).map_err(internal)
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        // Gone already where it was kept; the next start sweeps what stays.
        let _ = fs::remove_file(&self.path);
    }
}

impl Store {
    /// Takes a body in. `flip` changes a bit of the stored byte at that offset, after it was hashed.
    pub(in super::super) async fn receive(
        &self,
        body: Option<StreamingBlob>,
        kinds: &[Kind],
        flip: Option<u64>,
    ) -> S3Result<Received> {
        let path = self.tmp_path();
        let mut file = File::create(&path).map_err(internal)?;
        let mut hashing = Hashing::new(kinds.iter().copied());
        // Made before the first byte so that it cleans up after every error.
        let mut received = Received { path, size: 0, md5: [0; 16], sums: Sums::new() };
        if let Some(mut body) = body {
            while let Some(piece) = body.next().await {
                let piece = piece.map_err(broken_body)?;
                hashing.update(&piece);
                let end = received.size + piece.len() as u64;
                match flip.filter(|at| (received.size..end).contains(at)) {
                    Some(at) => {
                        let mut piece = piece.to_vec();
                        let at = usize::try_from(at - received.size).unwrap_or(usize::MAX);
                        if let Some(byte) = piece.get_mut(at) {
                            *byte ^= 1;
                        }
                        file.write_all(&piece).map_err(internal)?;
                    }
                    None => file.write_all(&piece).map_err(internal)?,
                }
                received.size = end;
            }
        }
        (received.md5, received.sums) = hashing.finish();
        Ok(received)
    }
}

/// The body ended early, or s3s found its payload hash or a chunk's signature wrong. Its error types
/// are private, so their texts tell them apart.
fn broken_body(error: s3s::StdError) -> S3Error {
    let text = error.to_string();
    let (code, status) = if text.contains("Sha256Mismatch") {
        (S3ErrorCode::Custom("XAmzContentSHA256Mismatch".into()), StatusCode::BAD_REQUEST)
    } else if text.contains("SignatureMismatch") {
        (S3ErrorCode::SignatureDoesNotMatch, StatusCode::FORBIDDEN)
    } else {
        (S3ErrorCode::IncompleteBody, StatusCode::BAD_REQUEST)
    };
    let mut error = S3Error::with_source(code, error);
    error.set_status_code(status);
    error
}
