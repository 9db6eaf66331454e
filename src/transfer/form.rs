//! In which form a file is stored.
//!
//! What must stay true: what is stored keeps the form it has, whatever the configuration says now, so
//! that nothing is sent twice; what is compressed already is not compressed again.

use crate::bucket::Overwrite;
use crate::codec::{self, Recipe};
use crate::engines::SourceFile;
use crate::manifest::StoredFile;
use crate::source::OpenFile;

use super::FileError;
use super::reader::blocking;

/// What becomes of a file's bytes.
#[derive(Debug)]
pub(super) enum Form {
    /// They are stored as they are.
    Plain,
    /// They are stored compressed, encrypted or both.
    Coded(Recipe),
    /// They are stored so already, as this record says, and are to be compared.
    Known(Box<StoredFile>),
}

impl Form {
    /// What is added to the key.
    pub(super) fn suffix(&self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Coded(recipe) => recipe.suffix(),
            Self::Known(stored) => stored.suffix(),
        }
    }

    /// Whether bytes of it could go out that `wanted` has encrypted. What is known is compared alone.
    pub(super) const fn exposes(&self, wanted: &Recipe) -> bool {
        let encrypted = match self {
            Self::Plain => false,
            Self::Coded(recipe) => recipe.encrypts(),
            Self::Known(_) => true,
        };
        wanted.encrypts() && !encrypted
    }
}

/// The form of a file, of which `stored` may be in the bucket.
pub(super) async fn fitting(
    file: &SourceFile,
    wanted: Recipe,
    stored: Option<&StoredFile>,
    overwrite: Overwrite,
) -> Result<Form, FileError> {
    match (stored, overwrite) {
        (Some(stored), Overwrite::Never) if stored.coding.is_some() => {
            return Ok(Form::Known(Box::new(stored.clone())));
        }
        (Some(stored), _) => {
            return Ok(match &stored.coding {
                None => Form::Plain,
                // Whom it is for, and a level, may be others today.
                Some(_) if wanted.suffix() == stored.suffix() => Form::Coded(wanted),
                Some(coding) if coding.recipe.encrypts() && wanted.encrypts() => {
                    Form::Coded(Recipe { recipients: wanted.recipients, ..coding.recipe.clone() })
                }
                Some(coding) => Form::Coded(coding.recipe.clone()),
            });
        }
        (None, _) => {}
    }
    // What a folder packs together is looked into no further.
    if wanted.compression.is_none() || wanted.pack.is_some() {
        return Ok(if wanted.is_plain() { Form::Plain } else { Form::Coded(wanted) });
    }
    let file = file.clone();
    blocking(move || {
        let open = OpenFile::open(&file.path)?;
        let mut head = [0; codec::HEAD];
        let read = open
            .read_at(&mut head, 0)
            .map_err(|source| FileError::Read { path: file.path.clone(), source })?;
        let name = file.path.file_name().unwrap_or_default().to_string_lossy();
        let head = head.get(..read).unwrap_or_default();
        let compression = wanted.compression.filter(|_| !codec::is_compressed(&name, head));
        let recipe = Recipe { compression, ..wanted };
        Ok(if recipe.is_plain() { Form::Plain } else { Form::Coded(recipe) })
    })
    .await
}
