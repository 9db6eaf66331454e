//! The resolver under `[network] require_private`.
//!
//! What must stay true: a name that resolves to any address outside the private ranges resolves to
//! nothing here, so that no connection to it can be opened, whatever was looked up before.

use std::net::IpAddr;

use aws_smithy_runtime_api::client::dns::{DnsFuture, ResolveDns, ResolveDnsError};

use crate::network::Networks;

/// The system's resolver, with every answer outside the ranges refused.
#[derive(Debug, Clone)]
pub struct PrivateOnly {
    networks: Networks,
}

impl PrivateOnly {
    /// Only these ranges.
    #[must_use]
    pub const fn new(networks: Networks) -> Self {
        Self { networks }
    }
}

impl ResolveDns for PrivateOnly {
    fn resolve_dns<'a>(&'a self, name: &'a str) -> DnsFuture<'a> {
        DnsFuture::new(async move {
            let addresses: Vec<IpAddr> = tokio::net::lookup_host((name, 0))
                .await
                .map_err(ResolveDnsError::new)?
                .map(|address| address.ip())
                .collect();
            self.networks.admit(name, &addresses).map_err(ResolveDnsError::new)?;
            Ok(addresses)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::NotPrivate;

    #[tokio::test]
    async fn a_name_outside_the_ranges_resolves_to_nothing() {
        // Every system resolves this name without a network.
        let elsewhere = Networks::new(vec!["10.0.0.0/8".parse().unwrap()]);
        let error = PrivateOnly::new(elsewhere).resolve_dns("localhost").await.unwrap_err();
        let source = std::error::Error::source(&error).unwrap();
        assert!(source.downcast_ref::<NotPrivate>().unwrap().address.is_loopback());
        let addresses = PrivateOnly::new(Networks::default()).resolve_dns("localhost").await.unwrap();
        assert!(!addresses.is_empty());
    }
}
