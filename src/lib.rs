//! dbbackup ships last night's database backups to S3, proves that they arrived whole, and brings
//! them back.
//!
//! ```text
//! config.toml + command line
//!       │
//!       ▼
//!    config ──► engines::discover ──► BackupSet…            walk, date in the name, exclusions
//!                                        │
//!                               inspect: Verdict            formats: SQL dump, tape, RMAN, gz/zst/xz/bz2
//!                                        │
//!               catalog (the bucket) ────┤
//!                                        ▼
//!                               plan: Ship | Skip | Refuse   pure; --dry-run prints it
//!                                        │
//!                                        ▼
//!                    transfer: one read → (compress) → checksum → parts → bucket
//!                                        │   S3 confirms the whole object
//!                                        ▼
//!                      catalog::commit(ConfirmedSet)         create-only, last
//!                                        │
//!                                        ▼
//!                    report ──► log, table, run record, exit code
//! ```
//!
//! Restore runs the other way: locate, look at the place, ranged download into `NAME.partial`,
//! checksum, decode, fsync, rename.
//!
//! What must stay true, in this order: a backup called good restores; nothing is lost or overwritten;
//! silence is never failure.
//!
//! Each module is a noun or a stage, and uses only those further down:
//!
//! | module | owns |
//! | --- | --- |
//! | [`commands`] | one verb a file, and the exit code |
//! | [`cli`] | what can be asked for |
//! | [`restore`] | what is meant, and the place where it goes |
//! | [`report`] | what a run did, as a record and as tables |
//! | [`verify`], [`status`], [`adopt`] | what is wrong, old, not ours yet; pure |
//! | [`check`] | what is wrong with this machine, the way, the rights and the bucket; pure |
//! | [`drill`] | a throwaway database server |
//! | [`inspect`] | is a set whole: what is known before a byte leaves |
//! | [`policy`] | what each role may do at AWS, for this configuration; pure |
//! | [`forecast`] | which sets will be stored in time; pure |
//! | [`estimate`] | what compression would cost and win |
//! | [`plan`] | what happens to each set, and why; pure |
//! | [`catalog`] | manifests, proofs and run records in the bucket |
//! | [`ui`] | what is shown |
//! | [`transfer`] | files to objects and back; [`transfer::ConfirmedSet`] |
//! | [`retry`] | attempts and pauses |
//! | [`bucket`] | the AWS SDK, and nobody else does |
//! | [`manifest`] | the record of one stored set |
//! | [`formats`] | cheap proof that a backup is whole, one file format a file |
//! | [`engines`] | which files are a backup set, one engine a file |
//! | [`log`] | what is written down |
//! | [`config`] | TOML to a checked [`config::Config`] |
//! | [`expect`] | what must exist, and what of it is missing; pure |
//! | [`source`] | this machine's files, through one handle |
//! | [`network`] | which addresses are private; pure |
//! | [`neighbour`] | the share of processor and disk that this process asks for |
//! | [`codec`] | compressed, or as it is |
//! | [`memory`] | what is freed goes back to the system |
//! | [`lock`], `private_dir` | one run at a time; directories that nobody else may look into |
//! | [`calendar`], [`checksum`], [`model`] | dates and categories, S3's checksums, the words as types |
//! | `causes`, `printable`, `nearest` | errors as people read them; names that cannot forge a line; the word that was meant |
//! | `embedded` | the S3 server for the demo and the tests (a cargo feature) |
//!
//! A new engine is one file in `engines`; a new verb is one file in `commands` and one arm in its
//! dispatch.

pub mod adopt;
pub mod bucket;
pub mod calendar;
pub mod catalog;
mod causes;
pub mod check;
pub mod checksum;
pub mod cli;
pub mod codec;
pub mod commands;
pub mod config;
pub mod drill;
#[cfg(feature = "embedded")]
pub mod embedded;
pub mod engines;
pub mod estimate;
pub mod expect;
pub mod forecast;
pub mod formats;
pub mod inspect;
pub mod lock;
pub mod log;
pub mod manifest;
pub mod memory;
pub mod model;
mod nearest;
pub mod neighbour;
pub mod network;
pub mod plan;
pub mod policy;
mod printable;
mod private_dir;
pub mod report;
pub mod restore;
pub mod retry;
pub mod source;
pub mod status;
pub mod transfer;
pub mod ui;
pub mod verify;
