//! Which file is the configuration.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

/// Where the configuration is when nothing says otherwise.
pub const DEFAULT_PATH: &str = "/etc/dbbackup/config.toml";

/// The environment variable that names the configuration.
pub const ENV_VAR: &str = "DBBACKUP_CONFIG";

/// What named the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// `--config`.
    Option,
    /// `$DBBACKUP_CONFIG`.
    Environment,
    /// Nothing: it is the default.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Option => "given by --config",
            Self::Environment => "given by $DBBACKUP_CONFIG",
            Self::Default => "the default place",
        })
    }
}

/// `--config`, else the variable's value, else [`DEFAULT_PATH`]. An empty variable is taken as
/// unset, as cron files tend to leave them.
pub(super) fn locate(explicit: Option<&Path>, variable: Option<OsString>) -> (PathBuf, Origin) {
    if let Some(path) = explicit {
        return (path.to_owned(), Origin::Option);
    }
    match variable.filter(|value| !value.is_empty()) {
        Some(value) => (value.into(), Origin::Environment),
        None => (DEFAULT_PATH.into(), Origin::Default),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn option_goes_before_variable_and_variable_before_default() {
        let option = Path::new("/a.toml");
        let variable = Some(OsString::from("/b.toml"));
        assert_eq!(locate(Some(option), variable.clone()), (option.into(), Origin::Option));
        assert_eq!(locate(None, variable), ("/b.toml".into(), Origin::Environment));
        assert_eq!(locate(None, Some(OsString::new())), (DEFAULT_PATH.into(), Origin::Default));
        assert_eq!(locate(None, None), (DEFAULT_PATH.into(), Origin::Default));
    }
}
