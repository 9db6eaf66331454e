//! Restore: locate what is meant, see that there is room and nothing in the way, download, rename.
//!
//! What must stay true: the destination's name appears only when every byte under it was compared with
//! the manifest; nothing on the disk is written over without the operator's word.

mod locate;
mod place;

pub use locate::{LocateError, Located, locate, locate_latest};
pub use place::{Existing, Place, PlaceError};
