//! dbbackup ships last night's database backups to S3, proves that they arrived whole, and brings
//! them back.

pub mod calendar;
pub mod config;
pub mod engines;
pub mod model;
