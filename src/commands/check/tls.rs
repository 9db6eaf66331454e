//! One TLS handshake, as the SDK's client makes it: the system's authorities, and those of `ca_bundle`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::check::certificate::not_after;
use crate::check::road::Tls;

/// Shakes hands and hangs up.
pub(super) async fn handshake(host: &str, stream: TcpStream, bundle: Option<&Path>, wait: Duration) -> Tls {
    let config = match client(bundle) {
        Ok(config) => config,
        Err(why) => return Tls::Failed(why),
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let Ok(name) = ServerName::try_from(bare) else {
        return Tls::Failed(format!("{host} is no name that a certificate could be for"));
    };
    match tokio::time::timeout(wait, TlsConnector::from(Arc::new(config)).connect(name, stream)).await {
        Err(_) => Tls::Failed(format!("no handshake within {} s", wait.as_secs())),
        Ok(Err(error)) => failed(&error),
        Ok(Ok(stream)) => {
            let (_, session) = stream.get_ref();
            let version = session.protocol_version().and_then(|version| version.as_str());
            let version = version.map_or_else(|| "TLS".to_owned(), |text| text.replace("TLSv1_", "TLS 1."));
            let chain = session.peer_certificates().unwrap_or_default();
            let ends = chain.iter().map(|certificate| not_after(certificate));
            // The first that ends; none where any cannot be read.
            let first = ends.collect::<Option<Vec<_>>>().and_then(|ends| ends.into_iter().min());
            let days_left = first.map(|end| (end - Utc::now()).num_days());
            Tls::Agreed { version, certificates: chain.len(), days_left }
        }
    }
}

fn client(bundle: Option<&Path>) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    // What the system cannot give is told by the handshake that fails on it.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = bundle {
        let read = CertificateDer::pem_file_iter(path)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| format!("read ca_bundle {}: {error}", path.display()))?;
        roots.add_parsable_certificates(read);
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

fn failed(error: &std::io::Error) -> Tls {
    let Some(inner) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) else {
        return Tls::Failed(error.to_string());
    };
    let rustls::Error::InvalidCertificate(fault) = inner else { return Tls::Failed(inner.to_string()) };
    match fault {
        CertificateError::ExpiredContext { not_after, .. } => {
            Tls::Expired(format!("the certificate ended on {}", day(*not_after)))
        }
        CertificateError::NotValidYetContext { not_before, time } => Tls::Expired(format!(
            "the certificate is good from {} on, and this machine has {}",
            day(*not_before),
            day(*time)
        )),
        CertificateError::Expired | CertificateError::NotValidYet => Tls::Expired(inner.to_string()),
        CertificateError::NotValidForNameContext { expected, presented } => {
            // They come as DnsName("db.example.com").
            let names: Vec<&str> =
                presented.iter().map(|name| name.split('"').nth(1).unwrap_or(name)).collect();
            let names = if names.is_empty() { "no name".to_owned() } else { names.join(", ") };
            Tls::OtherName(format!("the certificate is for {names}, not for {}", expected.to_str()))
        }
        CertificateError::NotValidForName => Tls::OtherName(inner.to_string()),
        CertificateError::UnknownIssuer => {
            Tls::UnknownAuthority("the certificate is signed by nobody whom this machine trusts".to_owned())
        }
        _ => Tls::Failed(inner.to_string()),
    }
}

/// A time of a certificate, as a date (UTC).
fn day(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    let date = DateTime::from_timestamp(seconds, 0);
    date.map_or_else(|| "a day far away".to_owned(), |date| date.format("%Y-%m-%d").to_string())
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
    use rustls::ServerConfig;
    use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::*;

    const WAIT: Duration = Duration::from_secs(20);

    /// Shakes hands with a server for `name` whose certificate ends in `year`; its authority is trusted
    /// or not.
    async fn shake(name: &str, year: i32, is_trusted: bool) -> Tls {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let authority = params.self_signed(&key).unwrap();
        let issuer = Issuer::new(params, key);
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();

        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            // It fails where the client does.
            let _ended = TlsAcceptor::from(Arc::new(config)).accept(stream).await;
        });
        let dir = tempfile::tempdir().unwrap();
        let bundle = dir.path().join("ca.pem");
        std::fs::write(&bundle, authority.pem()).unwrap();
        let stream = TcpStream::connect(addr).await.unwrap();
        let seen = handshake("s3.example.com", stream, is_trusted.then_some(bundle.as_path()), WAIT).await;
        server.await.unwrap();
        seen
    }

    #[tokio::test]
    async fn each_fault_of_a_certificate_is_told_by_its_name() {
        let good = shake("s3.example.com", 2040, true).await;
        let Tls::Agreed { version, certificates: 1, days_left: Some(days) } = &good else {
            panic!("{good:?}")
        };
        assert!(version == "TLS 1.3" && *days > 1000, "{good:?}");
        let expired = shake("s3.example.com", 2021, true).await;
        assert!(matches!(expired, Tls::Expired(_)), "{expired:?}");
        let other = shake("db.example.com", 2040, true).await;
        assert!(matches!(other, Tls::OtherName(_)), "{other:?}");
        let unknown = shake("s3.example.com", 2040, false).await;
        assert!(matches!(unknown, Tls::UnknownAuthority(_)), "{unknown:?}");
    }

    #[tokio::test]
    async fn a_server_that_speaks_no_tls_fails() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _sent =
                tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        });
        let stream = TcpStream::connect(addr).await.unwrap();
        let seen = handshake("s3.example.com", stream, None, WAIT).await;
        assert!(matches!(seen, Tls::Failed(_)), "{seen:?}");
        server.await.unwrap();
    }
}
