//! `dbbackup verify --local`: the manifests against the files that are still on this host.

use std::io;
use std::path::PathBuf;

use super::setup::Failure;
use crate::checksum::{Algorithm, Digest};
use crate::manifest::{Content, Manifest};
use crate::source::{OpenError, OpenFile};
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
    // As a run opens it: no link is followed, no pipe or device opened, the page cache left as found.
    let open = match OpenFile::open(&path) {
        Ok(open) => open,
        // Swept by the source's own retention: that is its right.
        Err(OpenError::Vanished(_)) => return Seen::Gone,
        Err(error) => return fault(format!("it cannot be read: {error}")),
    };
    let other = |now: String| {
        let then = format!("{} bytes, {}", file.size, file.checksum);
        fault(format!("it is not what was stored from here: {now}, now and {then}, then"))
    };
    let size = open.stamp().size;
    if size != file.size {
        return other(format!("{size} bytes"));
    }
    let mut digest = Digest::new(Algorithm::Crc64Nvme);
    let mut buffer = vec![0; 1 << 20];
    while digest.len() <= size {
        let range = digest.len()..digest.len() + buffer.len() as u64;
        open.note_cached(&range);
        let read = open.read_at(&mut buffer, range.start);
        open.leave_as_found(&range);
        match read {
            Ok(0) => break,
            Ok(count) => digest.update(buffer.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return fault(format!("it cannot be read: {error}")),
        }
    }
    if digest.len() == file.size && digest.full_object() == *file.checksum {
        return Seen::Same;
    }
    other(format!("{} bytes, {}", digest.len(), digest.full_object()))
}
