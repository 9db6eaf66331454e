//! `dbbackup verify --local`: the manifests against the files that are still on this host.

use std::io::Read as _;
use std::path::PathBuf;

use super::setup::Failure;
use crate::checksum::{Algorithm, Digest};
use crate::manifest::{Content, Manifest};
use crate::verify::{Fault, Kind};

/// What the files on this host gave.
#[derive(Debug, Default)]
pub(super) struct OnDisk {
    pub(super) faults: Vec<Fault>,
    /// Files that were read and compared.
    pub(super) compared: usize,
    /// Files that are no longer there, or came from another host.
    pub(super) gone: usize,
}

/// The set's files on this host, where it came from here and they are still there.
pub(super) async fn compare(manifest: &Manifest) -> Result<OnDisk, Failure> {
    if manifest.host != crate::source::host_name() {
        return Ok(OnDisk { gone: manifest.contents().len(), ..OnDisk::default() });
    }
    let manifest = manifest.clone();
    tokio::task::spawn_blocking(move || {
        let mut seen = OnDisk::default();
        for file in manifest.contents() {
            match look(&manifest, &file) {
                Seen::Same => seen.compared += 1,
                Seen::Gone => seen.gone += 1,
                Seen::Other(fault) => {
                    seen.compared += 1;
                    seen.faults.push(*fault);
                }
            }
        }
        seen
    })
    .await
    .map_err(|error| Failure::from(anyhow::anyhow!("internal: a reading thread ended: {error}")))
}

enum Seen {
    Same,
    Gone,
    Other(Box<Fault>),
}

fn look(manifest: &Manifest, file: &Content<'_>) -> Seen {
    let mut path = PathBuf::from(&manifest.source);
    if !file.path.is_empty() {
        path.push(file.path.as_str());
    }
    let fault = |what: String| {
        Seen::Other(Box::new(Fault::error(
            Kind::OtherOnDisk,
            &path.display().to_string(),
            what,
            "the bucket has what was sent; find out who changed the file, and send it under another name if it is wanted",
        )))
    };
    let mut open = match std::fs::File::open(&path) {
        Ok(open) => open,
        // Swept by the source's own retention: that is its right.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Seen::Gone,
        Err(error) => return fault(format!("it cannot be read: {error}")),
    };
    let mut digest = Digest::new(Algorithm::Crc64Nvme);
    let mut buffer = vec![0; 1 << 20];
    loop {
        match open.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => digest.update(buffer.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return fault(format!("it cannot be read: {error}")),
        }
    }
    if digest.len() == file.size && digest.full_object() == *file.checksum {
        return Seen::Same;
    }
    let now = digest.full_object();
    fault(format!(
        "it is not what was stored from here: {} bytes, {now}, now and {} bytes, {}, then",
        digest.len(),
        file.size,
        file.checksum
    ))
}
