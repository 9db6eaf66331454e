//! What the tests share: a server of their own, and the real SDK's client to it.

#![allow(dead_code, reason = "each test file uses its part")]

mod bucket;
pub mod program;
pub mod tls;
pub mod tunnel;
pub mod world;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::{
    BehaviorVersion, Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation,
};
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::primitives::ByteStream;
use dbbackup::embedded::{self, Faults, Options, Server};
use tempfile::TempDir;

pub(crate) const BUCKET: &str = "backups";
pub(crate) const MIB: usize = 1024 * 1024;

/// A server with one bucket in a directory of its own.
pub(crate) struct Fixture {
    pub(crate) server: Server,
    pub(crate) client: Client,
    pub(crate) dir: TempDir,
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Options)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut options =
            Options { dir: dir.path().join("s3"), buckets: vec![BUCKET.to_owned()], ..Options::default() };
        change(&mut options);
        let server = embedded::serve(options).await.unwrap();
        let client = client(&server, "test", "test");
        Self { server, client, dir }
    }

    /// The same directory served by another server, as after a restart.
    pub(crate) async fn restart(self) -> Self {
        let Self { server, dir, .. } = self;
        server.shutdown().await;
        let options = Options { dir: dir.path().join("s3"), ..Options::default() };
        let server = embedded::serve(options).await.unwrap();
        let client = client(&server, "test", "test");
        Self { server, client, dir }
    }

    /// A client that computes the checksum named in a request, as the SDK does by default.
    pub(crate) fn computing(&self) -> Client {
        let config = config(&self.server, "test", "test");
        Client::from_conf(
            config.request_checksum_calculation(RequestChecksumCalculation::WhenSupported).build(),
        )
    }

    pub(crate) fn faults(&self) -> &Faults {
        self.server.faults()
    }

    pub(crate) async fn put(&self, key: &str, body: impl Into<Vec<u8>>) {
        let request = self.client.put_object().bucket(BUCKET).key(key).body(ByteStream::from(body.into()));
        request.send().await.unwrap();
    }

    pub(crate) async fn get(&self, key: &str) -> Vec<u8> {
        let reply = self.client.get_object().bucket(BUCKET).key(key).send().await.unwrap();
        reply.body.collect().await.unwrap().to_vec()
    }

    pub(crate) async fn exists(&self, key: &str) -> bool {
        self.client.head_object().bucket(BUCKET).key(key).send().await.is_ok()
    }
}

/// A client that tries once, and adds no checksum of its own.
pub(crate) fn client(server: &Server, access_key: &str, secret_key: &str) -> Client {
    Client::from_conf(config(server, access_key, secret_key).build())
}

fn config(server: &Server, access_key: &str, secret_key: &str) -> aws_sdk_s3::config::Builder {
    aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new(access_key, secret_key, None, None, "test"))
        .endpoint_url(server.endpoint_url())
        .force_path_style(true)
        .retry_config(RetryConfig::disabled())
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
}

/// S3's error code, or what went wrong instead.
pub(crate) fn code<T, E>(result: Result<T, aws_sdk_s3::error::SdkError<E>>) -> String
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    match result {
        Ok(_) => "Ok".to_owned(),
        Err(aws_sdk_s3::error::SdkError::ServiceError(error)) => {
            let status = error.raw().status().as_u16();
            error.err().code().map_or_else(|| format!("status {status}"), str::to_owned)
        }
        Err(_) => "no reply".to_owned(),
    }
}

/// Bytes without a pattern that a mistake could hit, the same for the same seed.
pub(crate) fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_be_bytes()[3]
        })
        .collect()
}
