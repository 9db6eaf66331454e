//! dbbackup ships last night's database backups to S3, proves that they arrived whole, and brings
//! them back.

pub mod bucket;
pub mod calendar;
pub mod catalog;
pub mod checksum;
pub mod commands;
pub mod config;
pub mod engines;
pub mod formats;
pub mod manifest;
pub mod model;
pub mod plan;
pub mod report;
pub mod restore;
pub mod retry;
pub mod source;
pub mod transfer;
pub mod ui;
