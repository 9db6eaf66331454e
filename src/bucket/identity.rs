//! Who the calls are made as, and the one call that a backup never makes: delete.

use std::time::SystemTime;

use aws_credential_types::credential_feature::AwsCredentialFeature;
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};

use super::error::classify;
use super::{Bucket, BucketError, ObjectKey};

/// The credentials in use; never the secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialsInUse {
    /// Where they came from, in words.
    pub source: &'static str,
    /// The access key's id, which is no secret.
    pub access_key: String,
    /// When they end; none for long-lived keys.
    pub expires: Option<SystemTime>,
}

impl Bucket {
    /// The credentials that the chain gives.
    ///
    /// # Errors
    /// The chain's own words, where it has none.
    pub async fn credentials(&self) -> Result<CredentialsInUse, String> {
        let provider = self.credentials.as_ref().ok_or_else(|| "the chain is empty".to_owned())?;
        let found = provider.provide_credentials().await.map_err(|error| crate::causes::told(&error))?;
        let features = found.get_property::<Vec<AwsCredentialFeature>>();
        let source = features.and_then(|features| features.iter().rev().find_map(source_words));
        Ok(CredentialsInUse {
            source: source.unwrap_or("the AWS chain"),
            access_key: found.access_key_id().to_owned(),
            expires: found.expiry(),
        })
    }

    /// The ARN that STS knows these credentials by; any identity may ask.
    ///
    /// # Errors
    /// Where STS cannot be reached (it has another host than S3) or does not take the credentials.
    pub async fn caller(&self) -> Result<String, BucketError> {
        let mut config = aws_sdk_sts::config::Builder::from(&self.shared);
        config.set_credentials_provider(self.credentials.clone().map(SharedCredentialsProvider::new));
        let reply = aws_sdk_sts::Client::from_conf(config.build())
            .get_caller_identity()
            .send()
            .await
            .map_err(|error| classify("ask STS for", "the caller", &error))?;
        Ok(reply.arn().unwrap_or("no name").to_owned())
    }

    /// Deletes an object, or one version of it for good.
    pub async fn delete(
        &self,
        key: &ObjectKey,
        version: Option<&str>,
    ) -> Result<Option<String>, BucketError> {
        let reply = self
            .client
            .delete_object()
            .bucket(self.name())
            .key(key.as_str())
            .set_version_id(version.map(str::to_owned))
            .set_expected_bucket_owner(self.owner())
            .send()
            .await
            .map_err(|error| classify("delete object", key, &error))?;
        // Of a version that is deleted, its own id; else that of the marker that was set.
        Ok(reply.version_id().map(str::to_owned))
    }

    /// The first object under the prefix whose key comes after `after`, which may be empty.
    pub async fn list_one(&self, prefix: &str, after: &str) -> Result<Option<super::Listed>, BucketError> {
        let reply = self
            .client
            .list_objects_v2()
            .bucket(self.name())
            .prefix(prefix)
            .set_start_after(Some(after.to_owned()).filter(|after| !after.is_empty()))
            .max_keys(1)
            .set_expected_bucket_owner(self.owner())
            .send()
            .await
            .map_err(|error| classify("list objects under", self.uri(prefix), &error))?;
        Ok(reply.contents().first().and_then(|object| {
            Some(super::Listed {
                key: object.key()?.to_owned(),
                size: super::object::length(object.size()),
                etag: super::object::unquoted(object.e_tag()),
                modified: object.last_modified().and_then(super::object::system_time),
            })
        }))
    }
}

/// What the SDK notes for its own statistics says best where credentials came from.
fn source_words(feature: &AwsCredentialFeature) -> Option<&'static str> {
    Some(match feature {
        AwsCredentialFeature::CredentialsCode => "the program",
        AwsCredentialFeature::CredentialsEnvVars => "environment variables",
        AwsCredentialFeature::CredentialsProfile => "keys of a profile",
        AwsCredentialFeature::CredentialsProfileProcess | AwsCredentialFeature::CredentialsProcess => {
            "credential_process"
        }
        AwsCredentialFeature::CredentialsProfileSso | AwsCredentialFeature::CredentialsSso => "SSO",
        AwsCredentialFeature::CredentialsStsAssumeRole
        | AwsCredentialFeature::CredentialsProfileSourceProfile => "a role assumed from a profile",
        AwsCredentialFeature::CredentialsEnvVarsStsWebIdToken
        | AwsCredentialFeature::CredentialsStsAssumeRoleWebId
        | AwsCredentialFeature::CredentialsProfileStsWebIdToken => "a web identity token",
        AwsCredentialFeature::CredentialsHttp => "the container's endpoint",
        AwsCredentialFeature::CredentialsImds => "the instance's role",
        _ => return None,
    })
}
