//! dbbackup ships last night's database backups to S3, proves that they arrived whole, and brings
//! them back.

pub mod bucket;
pub mod calendar;
pub mod checksum;
pub mod config;
pub mod engines;
pub mod model;
