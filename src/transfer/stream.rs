//! One object as a stream of bytes in order, to a pipe or another program: pinned to one entity tag, gone on
//! with where a connection was cut, compared at the end.

use super::FileProgress;
use super::download::{Downloader, FetchError, Pin, Wanted, compare, short};
use crate::checksum::{Algorithm, Checksum, Digest};
use crate::codec::{DecodeError, Decoding};
use crate::retry::Attempts;

impl Downloader {
    /// Sends the bytes that one object stands for to `out` in order, compared at the end. What was written
    /// before a failure cannot be taken back: the caller's exit code tells.
    pub async fn stream(
        &self,
        wanted: &Wanted,
        out: &mut (impl std::io::Write + Send),
    ) -> Result<Checksum, FetchError> {
        let not_written = |source| FetchError::Write { path: "standard output".into(), source };
        let Some(coding) = &wanted.coding else {
            return self.stream_stored(wanted, &mut |chunk| out.write_all(chunk).map_err(not_written)).await;
        };
        let blame = |error: DecodeError| match error {
            DecodeError::Damaged(how) => FetchError::Damaged { key: wanted.key.to_string(), how },
            DecodeError::Write(source) => not_written(source),
        };
        wanted.openable(&self.identities)?;
        let mut decoding = Decoding::new(coding, &self.identities, out).map_err(not_written)?;
        let whole = self.stream_stored(wanted, &mut |chunk| decoding.feed(chunk).map_err(blame)).await?;
        decoding.finish(coding).map_err(blame)?;
        Ok(whole)
    }

    async fn stream_stored(
        &self,
        wanted: &Wanted,
        take: &mut (impl FnMut(&[u8]) -> Result<(), FetchError> + Send),
    ) -> Result<Checksum, FetchError> {
        let progress = self.events.start(wanted.key.as_str(), wanted.size);
        let algorithm = wanted.checksum.as_ref().map_or(Algorithm::Crc64Nvme, |sum| sum.algorithm);
        let mut digest = Digest::new(algorithm);
        let mut pin = self.pin(wanted).await?;
        let mut attempts = Attempts::new(&self.policy);
        while digest.len() < wanted.size {
            let (before, begun) = (digest.len(), tokio::time::Instant::now());
            let got = self.stream_from(wanted, &mut pin, &mut digest, take, &progress).await;
            if digest.len() > before {
                attempts.progressed();
            }
            match got {
                Ok(()) => {}
                Err(FetchError::Bucket(error)) => {
                    let what = format!("read {} from byte {}", wanted.key, digest.len());
                    let again = tokio::select! {
                        again = attempts.again(&what, &error, begun) => again,
                        () = self.cancel.cancelled() => return Err(FetchError::Cancelled),
                    };
                    if !again {
                        return Err(error.into());
                    }
                }
                Err(error) => return Err(error),
            }
        }
        let whole = digest.full_object();
        compare(wanted, &whole)?;
        Ok(whole)
    }

    async fn stream_from(
        &self,
        wanted: &Wanted,
        pin: &mut Pin,
        digest: &mut Digest,
        take: &mut (impl FnMut(&[u8]) -> Result<(), FetchError> + Send),
        progress: &FileProgress,
    ) -> Result<(), FetchError> {
        let range = Some((digest.len(), wanted.size.saturating_sub(1)));
        let (info, mut body) =
            self.bucket.get(&wanted.key, range, pin.etag.as_deref(), pin.version.as_deref()).await?;
        pin.etag = info.etag;
        loop {
            let chunk = tokio::select! {
                chunk = body.next() => chunk?,
                () = self.cancel.cancelled() => return Err(FetchError::Cancelled),
            };
            let Some(chunk) = chunk else {
                break;
            };
            take(&chunk)?;
            digest.update(&chunk);
            progress.advance(chunk.len() as u64);
        }
        if digest.len() == wanted.size {
            Ok(())
        } else {
            Err(short(&wanted.key, digest.len(), wanted.size).into())
        }
    }
}
