//! `dbbackup config check`: the effective configuration on standard output, what is unwise in it or
//! missing on this machine on standard error.

use std::fs;
use std::io::{self, Write};

use crate::config::Config;
use crate::model::ExitCode;

/// Writes the configuration to `out` and warnings to `warn`. A file that is wrong never gets here:
/// [`Config::load`] refuses it, with exit code 2.
///
/// # Errors
/// Where `out` or `warn` cannot be written.
pub(super) fn config_check(
    config: &Config,
    out: &mut dyn Write,
    warn: &mut dyn Write,
) -> io::Result<ExitCode> {
    out.write_all(config.render().as_bytes())?;
    out.flush()?;
    for warning in config.warnings().into_iter().chain(missing(config)) {
        writeln!(warn, "warning: {warning}")?;
    }
    Ok(ExitCode::Done)
}

/// Sources that are not there, or that this user cannot read: a run would only find out at night.
fn missing(config: &Config) -> impl Iterator<Item = String> {
    config.sources.iter().filter_map(|(engine, source)| {
        let error = fs::read_dir(&source.dir).err()?;
        Some(format!("[{engine}] source: cannot read directory {}: {error}", source.dir.display()))
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn configuration_goes_to_one_stream_and_warnings_to_the_other() {
        let dir = tempfile::tempdir().unwrap();
        let text = format!(
            "[mysql]\nsource = {:?}\n[mssql]\nsource = {:?}\n[s3]\nbucket = \"example-backup\"\nchecksum = \"none\"\n",
            dir.path().display().to_string(),
            dir.path().join("none").display().to_string(),
        );
        let path = Path::new("/etc/dbbackup/config.toml");
        let config = Config::parse(&text, path, "db1").unwrap();
        let (mut out, mut warn) = (Vec::new(), Vec::new());
        assert_eq!(config_check(&config, &mut out, &mut warn).unwrap(), ExitCode::Done);
        let out = String::from_utf8(out).unwrap();
        assert_eq!(Config::parse(&out, path, "db1").unwrap().render(), out);
        let warn = String::from_utf8(warn).unwrap();
        assert!(warn.contains("[s3] checksum none"), "{warn}");
        assert!(warn.contains("[mssql] source: cannot read directory"), "{warn}");
        assert!(!warn.contains("[mysql] source: cannot"), "{warn}");
    }
}
