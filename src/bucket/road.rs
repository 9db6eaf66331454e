//! Where the SDK will really connect to, and what the way there is like.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;

use super::error::classify;
use super::{Bucket, BucketError};

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

/// One call there and back.
#[derive(Debug, Clone)]
pub struct RoundTrip {
    /// How long it took.
    pub took: Duration,
    /// The server's clock, by its `Date` header.
    pub date: Option<String>,
    /// The bucket's region, which S3 tells also with a refusal and a redirection.
    pub region: Option<String>,
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

    /// Asks for the bucket's head and looks at the clocks and the headers. An answer that refuses is an
    /// answer.
    pub async fn round_trip(&self) -> (Option<RoundTrip>, Result<(), BucketError>) {
        let listener = Listener::default();
        let begun = Instant::now();
        let reply = self
            .client
            .head_bucket()
            .bucket(self.name())
            .set_expected_bucket_owner(self.owner())
            .customize()
            .interceptor(listener.clone())
            .send()
            .await;
        let took = begun.elapsed();
        let heard = std::mem::take(&mut *listener.0.lock().unwrap_or_else(PoisonError::into_inner));
        let trip = match heard {
            Heard::Nothing => None,
            Heard::Reply { date, region } => Some(RoundTrip { took, date, region }),
        };
        (trip, reply.map(|_| ()).map_err(|error| classify("reach bucket", self.name(), &error)))
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

/// Keeps what a reply says besides its answer.
#[derive(Debug, Clone, Default)]
struct Listener(Arc<Mutex<Heard>>);

#[derive(Debug, Clone, Default)]
enum Heard {
    #[default]
    Nothing,
    Reply {
        date: Option<String>,
        region: Option<String>,
    },
}

impl Intercept for Listener {
    fn name(&self) -> &'static str {
        "Listener"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let header = |name: &str| context.response().headers().get(name).map(str::to_owned);
        let heard = Heard::Reply { date: header("date"), region: header("x-amz-bucket-region") };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = heard;
        Ok(())
    }
}
