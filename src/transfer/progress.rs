//! What happens during a transfer, for whoever shows it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc::UnboundedSender;

/// Something happened to one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Its first byte is about to be read.
    Started {
        /// Number of the file in this run.
        file: u64,
        /// Name for people.
        label: String,
        /// Bytes to go.
        bytes: u64,
    },
    /// That many more bytes are where they belong (or, after a failed attempt, were not needed).
    Advanced {
        /// Number of the file.
        file: u64,
        /// Bytes.
        bytes: u64,
    },
    /// Nothing more will come of it.
    Ended {
        /// Number of the file.
        file: u64,
    },
}

/// Where events go; nowhere, if nobody looks.
#[derive(Debug, Clone, Default)]
pub struct Events {
    sender: Option<UnboundedSender<Event>>,
    next: Arc<AtomicU64>,
    bytes: Arc<AtomicU64>,
}

/// One file's progress; tells of its end when dropped.
#[derive(Debug)]
pub struct FileProgress {
    events: Events,
    file: u64,
}

impl Events {
    /// Events to a receiver.
    #[must_use]
    pub fn to(sender: UnboundedSender<Event>) -> Self {
        Self { sender: Some(sender), ..Self::default() }
    }

    /// Bytes of all files so far that are where they belong.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    fn send(&self, event: Event) {
        if let Some(sender) = &self.sender {
            // The receiver may be gone while the process ends; then nobody looks.
            let _gone = sender.send(event);
        }
    }

    /// A file begins.
    #[must_use]
    pub fn start(&self, label: &str, bytes: u64) -> FileProgress {
        let file = self.next.fetch_add(1, Ordering::Relaxed);
        if self.sender.is_some() {
            self.send(Event::Started { file, label: label.to_owned(), bytes });
        }
        FileProgress { events: self.clone(), file }
    }
}

impl FileProgress {
    /// That many more bytes are done.
    pub fn advance(&self, bytes: u64) {
        self.events.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.events.send(Event::Advanced { file: self.file, bytes });
    }
}

impl Drop for FileProgress {
    fn drop(&mut self) {
        self.events.send(Event::Ended { file: self.file });
    }
}
