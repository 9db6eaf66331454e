//! Where the SDK will really connect to.

use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;

use super::Bucket;

/// The other end of the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// Whether it is TLS.
    pub tls: bool,
    /// Name or address, as in the URL.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl Bucket {
    /// The host that the SDK contacts for this bucket, found by making a request and sending it
    /// nowhere: environment, profile, region and addressing style have all had their say.
    pub async fn destination(&self) -> anyhow::Result<Destination> {
        let seen = Arc::new(Mutex::new(None));
        let connector = SharedHttpConnector::new(Nowhere(Arc::clone(&seen)));
        let keys = aws_credential_types::Credentials::builder()
            .access_key_id("none")
            .secret_access_key("none")
            .provider_name("none")
            .build();
        let config = aws_sdk_s3::config::Builder::new()
            .credentials_provider(keys)
            .http_client(http_client_fn(move |_, _| connector.clone()));
        // It fails by design, after the request is made.
        let sent =
            self.client.head_bucket().bucket(self.name()).customize().config_override(config).send().await;
        let url = seen.lock().unwrap_or_else(PoisonError::into_inner).take();
        let parsed = url.and_then(|url| url::Url::parse(&url).ok());
        let found = parsed.as_ref().and_then(|url| {
            let (host, port) = (url.host_str()?, url.port_or_known_default()?);
            Some(Destination { tls: url.scheme() == "https", host: host.to_owned(), port })
        });
        found.ok_or_else(|| {
            let why = sent.err().map_or_else(String::new, |error| crate::causes::told(&error));
            anyhow::anyhow!("find the host of bucket {}: {why}", self.name())
        })
    }
}

/// Keeps the URL of a request and sends it nowhere.
#[derive(Debug)]
struct Nowhere(Arc<Mutex<Option<String>>>);

impl HttpConnector for Nowhere {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(request.uri().to_owned());
        HttpConnectorFuture::ready(Err(ConnectorError::user("not sent, only looked at".into())))
    }
}
