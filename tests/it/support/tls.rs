//! HTTPS in front of the world's server, with a certificate of the test's choice.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

const DAY: Duration = Duration::from_hours(24);

/// What a certificate says.
#[derive(Debug, Clone, Copy)]
pub struct Certificate {
    pub name: &'static str,
    /// Days from now.
    pub begins: i64,
    /// Days from now, and half a day more.
    pub ends: i64,
    /// Whether something that is no certificate is shown after it.
    pub is_followed_by_junk: bool,
}

/// One that is as it should be.
pub const GOOD: Certificate =
    Certificate { name: "localhost", begins: -30, ends: 90, is_followed_by_junk: false };

/// Decrypts, and hands on to one address; ends when it is dropped.
pub struct Tls {
    pub port: u16,
    _runtime: Runtime,
}

impl Tls {
    /// The certificate of the authority that signed `certificate` is written to `authority`.
    pub fn to(server: SocketAddr, certificate: Certificate, authority: &Path) -> Self {
        let acceptor = TlsAcceptor::from(Arc::new(config(certificate, authority)));
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        runtime.spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    // A client that does not trust the certificate goes away.
                    let Ok(mut near) = acceptor.accept(near).await else { return };
                    let Ok(mut far) = TcpStream::connect(server).await else { return };
                    let _ended = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                });
            }
        });
        Self { port, _runtime: runtime }
    }
}

fn config(certificate: Certificate, authority: &Path) -> ServerConfig {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    std::fs::write(authority, params.self_signed(&key).unwrap().pem()).unwrap();
    let issuer = Issuer::new(params, key);
    let mut params = CertificateParams::new(vec![certificate.name.to_owned()]).unwrap();
    params.not_before = in_days(certificate.begins).into();
    params.not_after = (in_days(certificate.ends) + DAY / 2).into();
    let key = KeyPair::generate().unwrap();
    let mut chain = vec![params.signed_by(&key, &issuer).unwrap().der().clone()];
    if certificate.is_followed_by_junk {
        chain.push(CertificateDer::from(b"no certificate".to_vec()));
    }
    ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())))
        .unwrap()
}

fn in_days(days: i64) -> SystemTime {
    let away = DAY * u32::try_from(days.unsigned_abs()).unwrap();
    if days < 0 { SystemTime::now() - away } else { SystemTime::now() + away }
}
