//! Restore: locate what is meant, see that there is room and nothing in the way, have it retrieved from
//! an archive class, download, rename.
//!
//! What must stay true: the destination's name appears only when every byte under it was compared with
//! the manifest; nothing on the disk is written over without the operator's word.

mod asked;
mod error;
mod locate;
mod partial;
mod place;
mod thaw;

pub use asked::{Note, Request};
pub use error::PlaceError;
pub use locate::{Above, LocateError, Located, locate, locate_latest, locate_unrecorded};
pub use place::{Existing, Place};
pub use thaw::{Estimate, Need, PRICES_OF, Typical, basis, choices, estimate, typical};
