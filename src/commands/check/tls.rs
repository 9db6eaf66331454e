//! One TLS handshake, as the SDK's client makes it: the system's authorities, and those of `ca_bundle`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
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
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let text = inner.map_or_else(|| error.to_string(), ToString::to_string);
    match inner {
        Some(rustls::Error::InvalidCertificate(error)) => match error {
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => Tls::Expired(text),
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Tls::OtherName(text)
            }
            CertificateError::UnknownIssuer => Tls::UnknownAuthority(text),
            _ => Tls::Failed(text),
        },
        _ => Tls::Failed(text),
    }
}
