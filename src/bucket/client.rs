//! The SDK's client, set up for this job: no retries of its own (we count attempts), no proxy (one
//! would lead around the private link unseen), no payload signing, own timeouts.

use std::sync::Arc;
use std::sync::atomic::AtomicU8;

use anyhow::Context as _;
use aws_config::BehaviorVersion;
use aws_config::default_provider::region::DefaultRegionChain;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{IdentityCache, RequestChecksumCalculation, ResponseChecksumValidation};
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_runtime_api::client::http::HttpClient;

use super::credentials::Renewable;
use super::pace::Pace;
use super::private::PrivateOnly;
use super::{Bucket, Layout};
use crate::config;
use crate::model::Bandwidth;
use crate::network::literal_host;

impl Bucket {
    /// A bucket as configured; no byte goes over the network yet. Under `require_private` this client
    /// connects to nothing else, for credentials too.
    ///
    /// # Errors
    /// Where the certificate bundle cannot be read or used, or the endpoint is written as an address
    /// that may not be connected to.
    pub async fn connect(settings: &config::S3, network: &config::Network) -> anyhow::Result<Self> {
        let connecting = TimeoutConfig::builder().connect_timeout(settings.connect_timeout);
        let timeouts = connecting.clone().operation_attempt_timeout(settings.attempt_timeout).build();
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
            .tls_context(tls_context(settings)?);
        let http = if network.require_private {
            http.build_with_resolver(PrivateOnly::new(network.allowed.clone()))
        } else {
            http.build_https()
        };
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(http.clone())
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts)
            // Its grace of 5 s has aborted uploads over slow lines; attempts have their own timeout.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        if let Some(region) = &settings.region {
            loader = loader.region(aws_config::Region::new(region.clone()));
        }
        if let Some(profile) = &settings.profile {
            let credentials = of_profile(profile, settings.region.as_deref(), http).await;
            loader = loader.profile_name(profile).credentials_provider(credentials);
        }
        let shared = loader.load().await;
        let mut builder = aws_sdk_s3::config::Builder::from(&shared)
            .force_path_style(settings.path_style)
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            // Our own digests of what arrives are compared with the manifest.
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
        let credentials = shared.credentials_provider().map(Renewable::new);
        if let Some(credentials) = credentials.clone() {
            // They are kept by our own provider, which can be told that they expired.
            builder = builder.credentials_provider(credentials).identity_cache(IdentityCache::no_cache());
        }
        if let Some(url) = &settings.endpoint_url {
            builder = builder.endpoint_url(url);
        }
        if shared.region().is_none() {
            // Stores other than AWS mostly do not care; AWS answers with the right region's name.
            builder = builder.region(aws_sdk_s3::config::Region::new("us-east-1"));
        }
        let own_end = connecting.disable_operation_attempt_timeout().build();
        let bucket = Self {
            client: aws_sdk_s3::Client::from_conf(builder.clone().build()),
            bodies: aws_sdk_s3::Client::from_conf(builder.timeout_config(own_end).build()),
            settings: settings.clone(),
            credentials,
            layout: Layout::new(&settings.prefix),
            pace: Arc::new(Pace::new(Bandwidth::default())),
            checksum: AtomicU8::new(0),
            shared,
        };
        if network.require_private {
            bucket.admit_literal(network).await?;
        }
        Ok(bucket)
    }

    /// An address in place of a name passes no resolver, so it is looked at here.
    async fn admit_literal(&self, network: &config::Network) -> anyhow::Result<()> {
        let destination = self.destination().await?;
        if let Some(address) = literal_host(&destination.host) {
            network.allowed.admit(&destination.host, &[address])?;
        }
        Ok(())
    }
}

/// What the profile says, whatever keys are in the environment: a run must not go by another identity than
/// the one that its configuration names.
async fn of_profile(
    profile: &str,
    region: Option<&str>,
    http: impl HttpClient + 'static,
) -> ProfileFileCredentialsProvider {
    let region = match region {
        Some(region) => Some(aws_config::Region::new(region.to_owned())),
        None => DefaultRegionChain::builder().profile_name(profile).build().region().await,
    };
    // For profiles that assume a role or sign in.
    let config = ProviderConfig::without_region().with_region(region).with_http_client(http);
    ProfileFileCredentialsProvider::builder().profile_name(profile).configure(&config).build()
}

fn tls_context(settings: &config::S3) -> anyhow::Result<TlsContext> {
    let mut trust = TrustStore::default();
    if let Some(path) = &settings.ca_bundle {
        let pem = std::fs::read(path).with_context(|| format!("read ca_bundle {}", path.display()))?;
        trust = trust.with_pem_certificate(pem);
    }
    TlsContext::builder().with_trust_store(trust).build().context("use the certificate bundle of ca_bundle")
}
