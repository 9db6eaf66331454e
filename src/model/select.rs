//! What a command is asked for: engines, or sets of an engine and app.

use std::fmt;
use std::str::FromStr;

use super::{Engine, ModelError, RelPath, SetId};

/// Which engines a run takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Every engine that is configured.
    All,
    /// One, asked for by name.
    One(Engine),
}

impl Target {
    /// The engines, in order.
    pub fn engines(self) -> impl Iterator<Item = Engine> {
        Engine::ALL.into_iter().filter(move |engine| match self {
            Self::All => true,
            Self::One(one) => one == *engine,
        })
    }

    /// Whether the engine was asked for by name: then its absence is an error.
    #[must_use]
    pub fn names(self, engine: Engine) -> bool {
        self == Self::One(engine)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::All => "all",
            Self::One(engine) => engine.as_str(),
        })
    }
}

impl FromStr for Target {
    type Err = ModelError;

    fn from_str(text: &str) -> Result<Self, ModelError> {
        let text = text.to_ascii_lowercase();
        if text == "all" {
            return Ok(Self::All);
        }
        text.parse().map(Self::One).map_err(|_| ModelError::Target(text))
    }
}

/// Sets of an engine, or of one of its apps: `mysql`, `mysql/shop`, `mssql/api1/test`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector {
    engine: Engine,
    app: Option<RelPath>,
}

impl Selector {
    /// The engine.
    #[must_use]
    pub const fn engine(&self) -> Engine {
        self.engine
    }

    /// The app, where one was named.
    #[must_use]
    pub const fn app(&self) -> Option<&RelPath> {
        self.app.as_ref()
    }

    /// Whether a set is meant. An app means itself and not the apps below it.
    #[must_use]
    pub fn matches(&self, id: &SetId) -> bool {
        self.engine == id.engine && self.app.as_ref().is_none_or(|app| *app == id.app)
    }

    /// The beginning that all keys of these sets share, with a slash at its end.
    #[must_use]
    pub fn scope(&self) -> String {
        format!("{self}/")
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.app {
            None => f.pad(self.engine.as_str()),
            Some(app) => f.pad(&format!("{}/{app}", self.engine)),
        }
    }
}

impl FromStr for Selector {
    type Err = ModelError;

    fn from_str(text: &str) -> Result<Self, ModelError> {
        let (engine, app) = match text.trim_end_matches('/').split_once('/') {
            None => (text.trim_end_matches('/'), None),
            Some((engine, app)) => (engine, Some(app.parse()?)),
        };
        Ok(Self { engine: engine.to_ascii_lowercase().parse()?, app })
    }
}
