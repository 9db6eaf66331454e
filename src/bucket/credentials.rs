//! Credentials that are asked for again when they are about to expire, or when S3 says that they have.
//!
//! The SDK's own cache believes the expiry it was told; a token that was revoked, or was issued by a host
//! whose clock is off, would fail every request until then.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use tokio::sync::Mutex;
use tokio::time::Instant;

/// Credentials that have less time left than this are asked for anew, as the SDK's cache does.
const MARGIN: Duration = Duration::from_secs(10);
/// Longest wait for their source; a helper program may have to reach a server itself.
const PATIENCE: Duration = Duration::from_mins(1);

/// Keeps what the chain of sources gave.
#[derive(Debug, Clone)]
pub(super) struct Renewable {
    chain: SharedCredentialsProvider,
    kept: Arc<Mutex<Option<Kept>>>,
    /// Whether their source ever gave some.
    had: Arc<AtomicBool>,
}

/// The source of credentials that this run had before failed to renew them: it may not the next time.
#[derive(Debug, thiserror::Error)]
#[error("renew the credentials: {0}")]
pub(super) struct NotRenewed(#[source] CredentialsError);

#[derive(Debug)]
struct Kept {
    credentials: Credentials,
    since: Instant,
}

impl Renewable {
    pub(super) fn new(chain: SharedCredentialsProvider) -> Self {
        Self { chain, kept: Arc::default(), had: Arc::default() }
    }

    /// A call begun at `begun` failed for them. Many fail with the same ones: those that come after they
    /// were replaced change nothing.
    pub(super) async fn forget(&self, begun: Instant) {
        let mut kept = self.kept.lock().await;
        if kept.as_ref().is_some_and(|kept| kept.since < begun) {
            *kept = None;
        }
    }

    async fn current(&self) -> Result<Credentials, CredentialsError> {
        // Held while the source is asked, so that it is asked once for all requests.
        let mut kept = self.kept.lock().await;
        if let Some(kept) = kept.as_ref().filter(|kept| lasts(&kept.credentials, SystemTime::now())) {
            return Ok(kept.credentials.clone());
        }
        let asked = tokio::time::timeout(PATIENCE, self.chain.provide_credentials()).await;
        let asked = asked.unwrap_or_else(|_| Err(CredentialsError::provider_timed_out(PATIENCE)));
        let credentials = asked.map_err(|error| {
            // One that never gave any is not set up.
            let had = self.had.load(Ordering::Relaxed);
            if had { CredentialsError::provider_error(NotRenewed(error)) } else { error }
        })?;
        self.had.store(true, Ordering::Relaxed);
        *kept = Some(Kept { credentials: credentials.clone(), since: Instant::now() });
        Ok(credentials)
    }
}

fn lasts(credentials: &Credentials, now: SystemTime) -> bool {
    credentials.expiry().is_none_or(|expiry| expiry > now + MARGIN)
}

impl ProvideCredentials for Renewable {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.current())
    }
}
