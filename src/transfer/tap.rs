//! A look at the bytes as they pass by: compressed dumps are decoded in the one read that sends them, and the
//! dumps in a file are counted.
//!
//! What must stay true: the tap gets every byte once and in order, and its verdict is known before S3
//! is asked to complete the object.

use std::path::Path;

use super::FileError;
use crate::formats::{self, Format, Judgement};
use crate::model::Verdict;

/// What is watched, and what follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watch {
    /// What the file is.
    pub format: Format,
    /// Whether a file that turns out to be cut short is not stored.
    pub refuse: bool,
}

/// The watch over one read of a file; over nothing where there is nothing to watch.
#[derive(Default)]
pub(super) struct Tap(Option<(Watch, formats::Tap)>);

impl Tap {
    pub(super) fn new(watch: Option<Watch>) -> Self {
        Self(watch.and_then(|watch| Some((watch, formats::Tap::of(watch.format)?))))
    }

    pub(super) const fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Takes the next bytes. May decode them, so it belongs on a blocking thread.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        if let Some((_, tap)) = &mut self.0 {
            tap.feed(bytes);
        }
    }

    /// The judgement on all that was fed; none where it adds nothing to what was known before.
    ///
    /// # Errors
    /// [`FileError::CutShort`] where that is the verdict, and the operator wants such files refused.
    pub(super) fn end(self, path: &Path) -> Result<Option<Judgement>, FileError> {
        let Some((watch, tap)) = self.0 else { return Ok(None) };
        let Some(judgement) = tap.finish() else { return Ok(None) };
        match &judgement.verdict {
            Verdict::CutShort { why } if watch.refuse => {
                Err(FileError::CutShort { path: path.to_owned(), why: why.clone() })
            }
            Verdict::CutShort { .. }
            | Verdict::Whole { .. }
            | Verdict::StillBeingWritten { .. }
            | Verdict::NotJudged { .. } => Ok(Some(judgement)),
        }
    }
}
