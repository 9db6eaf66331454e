//! The S3 operations over the store, as s3s calls them.

mod archive;
mod attributes;
mod convert;
mod listing;
mod multipart;
mod objects;
mod paging;
mod posture;

use std::sync::Arc;

use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{S3Auth, SecretKey};
use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, Bucket, BucketVersioningStatus,
    CompleteMultipartUploadInput, CompleteMultipartUploadOutput, CopyObjectInput, CopyObjectOutput,
    CreateBucketInput, CreateBucketOutput, CreateMultipartUploadInput, CreateMultipartUploadOutput,
    DeleteBucketInput, DeleteBucketOutput, DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput,
    DeleteObjectsOutput, GetBucketEncryptionInput, GetBucketEncryptionOutput,
    GetBucketLifecycleConfigurationInput, GetBucketLifecycleConfigurationOutput, GetBucketLocationInput,
    GetBucketLocationOutput, GetBucketOwnershipControlsInput, GetBucketOwnershipControlsOutput,
    GetBucketPolicyStatusInput, GetBucketPolicyStatusOutput, GetBucketVersioningInput,
    GetBucketVersioningOutput, GetObjectAttributesInput, GetObjectAttributesOutput, GetObjectInput,
    GetObjectLockConfigurationInput, GetObjectLockConfigurationOutput, GetObjectOutput,
    GetPublicAccessBlockInput, GetPublicAccessBlockOutput, HeadBucketInput, HeadBucketOutput,
    HeadObjectInput, HeadObjectOutput, ListBucketsInput, ListBucketsOutput, ListMultipartUploadsInput,
    ListMultipartUploadsOutput, ListObjectVersionsInput, ListObjectVersionsOutput, ListObjectsInput,
    ListObjectsOutput, ListObjectsV2Input, ListObjectsV2Output, ListPartsInput, ListPartsOutput, Owner,
    PutBucketVersioningInput, PutBucketVersioningOutput, PutObjectInput, PutObjectOutput, RestoreObjectInput,
    RestoreObjectOutput, UploadPartInput, UploadPartOutput,
};
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};

use super::store::{Store, Versioning};

/// The account that owns every bucket, for `x-amz-expected-bucket-owner`. From AWS's documentation.
pub const ACCOUNT: &str = "111122223333";

pub(super) struct Api {
    pub(super) store: Arc<Store>,
}

/// The one key pair that is known.
pub(super) struct OneKey {
    pub(super) access_key: String,
    pub(super) secret_key: String,
}

#[async_trait::async_trait]
impl S3Auth for OneKey {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        if access_key == self.access_key {
            Ok(SecretKey::from(self.secret_key.as_str()))
        } else {
            Err(s3_error!(
                InvalidAccessKeyId,
                "The AWS Access Key Id you provided does not exist in our records."
            ))
        }
    }
}

/// Every signed request may do everything in buckets whose owner it names rightly.
pub(super) struct Policy;

#[async_trait::async_trait]
impl S3Access for Policy {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        if context.credentials().is_none() {
            return Err(s3_error!(AccessDenied, "Access Denied"));
        }
        match context.headers().get("x-amz-expected-bucket-owner") {
            Some(owner) if owner.as_bytes() != ACCOUNT.as_bytes() => {
                Err(s3_error!(AccessDenied, "Access Denied"))
            }
            _ => Ok(()),
        }
    }
}

type Reply<T> = S3Result<S3Response<T>>;

#[expect(clippy::unnecessary_wraps, reason = "what every operation ends in")]
fn reply<T>(output: T) -> Reply<T> {
    Ok(S3Response::new(output))
}

#[async_trait::async_trait]
impl S3 for Api {
    async fn list_buckets(&self, _: S3Request<ListBucketsInput>) -> Reply<ListBucketsOutput> {
        let buckets = self.store.each(|bucket| Bucket {
            name: Some(bucket.name().to_owned()),
            creation_date: Some(convert::timestamp(bucket.created())),
            ..Bucket::default()
        });
        let owner = Owner { display_name: None, id: Some(ACCOUNT.to_owned()) };
        reply(ListBucketsOutput {
            buckets: Some(buckets),
            owner: Some(owner),
            ..ListBucketsOutput::default()
        })
    }

    async fn create_bucket(&self, request: S3Request<CreateBucketInput>) -> Reply<CreateBucketOutput> {
        self.store.create_bucket(&request.input.bucket, Versioning::Never)?;
        reply(CreateBucketOutput { location: Some(format!("/{}", request.input.bucket)) })
    }

    async fn delete_bucket(&self, request: S3Request<DeleteBucketInput>) -> Reply<DeleteBucketOutput> {
        self.store.delete_bucket(&request.input.bucket)?;
        Ok(S3Response::with_status(DeleteBucketOutput::default(), hyper::StatusCode::NO_CONTENT))
    }

    async fn head_bucket(&self, request: S3Request<HeadBucketInput>) -> Reply<HeadBucketOutput> {
        self.store.read(&request.input.bucket, |_| ())?;
        reply(HeadBucketOutput { bucket_region: Some("us-east-1".to_owned()), ..HeadBucketOutput::default() })
    }

    async fn get_bucket_location(
        &self,
        request: S3Request<GetBucketLocationInput>,
    ) -> Reply<GetBucketLocationOutput> {
        self.store.read(&request.input.bucket, |_| ())?;
        // S3 says nothing for us-east-1.
        reply(GetBucketLocationOutput::default())
    }

    async fn get_bucket_versioning(
        &self,
        request: S3Request<GetBucketVersioningInput>,
    ) -> Reply<GetBucketVersioningOutput> {
        let status = match self.store.read(&request.input.bucket, super::store::Bucket::versioning)? {
            Versioning::Never => None,
            Versioning::Enabled => Some(BucketVersioningStatus::ENABLED),
            Versioning::Suspended => Some(BucketVersioningStatus::SUSPENDED),
        };
        let status = status.map(BucketVersioningStatus::from_static);
        reply(GetBucketVersioningOutput { status, ..GetBucketVersioningOutput::default() })
    }

    async fn put_bucket_versioning(
        &self,
        request: S3Request<PutBucketVersioningInput>,
    ) -> Reply<PutBucketVersioningOutput> {
        let status = request.input.versioning_configuration.status;
        let versioning = match status.as_ref().map(BucketVersioningStatus::as_str) {
            Some(BucketVersioningStatus::ENABLED) => Versioning::Enabled,
            Some(BucketVersioningStatus::SUSPENDED) => Versioning::Suspended,
            _ => return Err(s3_error!(MalformedXML)),
        };
        self.store.set_versioning(&request.input.bucket, versioning)?;
        reply(PutBucketVersioningOutput::default())
    }

    async fn get_bucket_encryption(
        &self,
        request: S3Request<GetBucketEncryptionInput>,
    ) -> Reply<GetBucketEncryptionOutput> {
        posture::never_made(
            &self.store,
            &request.input.bucket,
            "ServerSideEncryptionConfigurationNotFoundError",
        )
    }

    async fn get_public_access_block(
        &self,
        request: S3Request<GetPublicAccessBlockInput>,
    ) -> Reply<GetPublicAccessBlockOutput> {
        posture::never_made(&self.store, &request.input.bucket, "NoSuchPublicAccessBlockConfiguration")
    }

    async fn get_bucket_ownership_controls(
        &self,
        request: S3Request<GetBucketOwnershipControlsInput>,
    ) -> Reply<GetBucketOwnershipControlsOutput> {
        posture::never_made(&self.store, &request.input.bucket, "OwnershipControlsNotFoundError")
    }

    async fn get_bucket_policy_status(
        &self,
        request: S3Request<GetBucketPolicyStatusInput>,
    ) -> Reply<GetBucketPolicyStatusOutput> {
        posture::never_made(&self.store, &request.input.bucket, "NoSuchBucketPolicy")
    }

    async fn get_bucket_lifecycle_configuration(
        &self,
        request: S3Request<GetBucketLifecycleConfigurationInput>,
    ) -> Reply<GetBucketLifecycleConfigurationOutput> {
        posture::never_made(&self.store, &request.input.bucket, "NoSuchLifecycleConfiguration")
    }

    async fn get_object_lock_configuration(
        &self,
        request: S3Request<GetObjectLockConfigurationInput>,
    ) -> Reply<GetObjectLockConfigurationOutput> {
        posture::never_made(&self.store, &request.input.bucket, "ObjectLockConfigurationNotFoundError")
    }

    async fn put_object(&self, request: S3Request<PutObjectInput>) -> Reply<PutObjectOutput> {
        objects::put(&self.store, request).await
    }

    async fn copy_object(&self, request: S3Request<CopyObjectInput>) -> Reply<CopyObjectOutput> {
        objects::copy(&self.store, request).await
    }

    async fn get_object(&self, request: S3Request<GetObjectInput>) -> Reply<GetObjectOutput> {
        objects::get(&self.store, &request)
    }

    async fn head_object(&self, request: S3Request<HeadObjectInput>) -> Reply<HeadObjectOutput> {
        objects::head(&self.store, &request)
    }

    async fn get_object_attributes(
        &self,
        request: S3Request<GetObjectAttributesInput>,
    ) -> Reply<GetObjectAttributesOutput> {
        attributes::get(&self.store, &request)
    }

    async fn restore_object(&self, request: S3Request<RestoreObjectInput>) -> Reply<RestoreObjectOutput> {
        archive::restore(&self.store, &request)
    }

    async fn delete_object(&self, request: S3Request<DeleteObjectInput>) -> Reply<DeleteObjectOutput> {
        objects::delete(&self.store, &request.input)
    }

    async fn delete_objects(&self, request: S3Request<DeleteObjectsInput>) -> Reply<DeleteObjectsOutput> {
        objects::delete_many(&self.store, &request.input)
    }

    async fn list_objects(&self, request: S3Request<ListObjectsInput>) -> Reply<ListObjectsOutput> {
        listing::objects_v1(&self.store, &request)
    }

    async fn list_objects_v2(&self, request: S3Request<ListObjectsV2Input>) -> Reply<ListObjectsV2Output> {
        listing::objects(&self.store, &request)
    }

    async fn list_object_versions(
        &self,
        request: S3Request<ListObjectVersionsInput>,
    ) -> Reply<ListObjectVersionsOutput> {
        listing::versions(&self.store, &request)
    }

    async fn list_multipart_uploads(
        &self,
        request: S3Request<ListMultipartUploadsInput>,
    ) -> Reply<ListMultipartUploadsOutput> {
        listing::uploads(&self.store, &request)
    }

    async fn create_multipart_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> Reply<CreateMultipartUploadOutput> {
        multipart::create(&self.store, &request)
    }

    async fn upload_part(&self, request: S3Request<UploadPartInput>) -> Reply<UploadPartOutput> {
        multipart::put_part(&self.store, request).await
    }

    async fn list_parts(&self, request: S3Request<ListPartsInput>) -> Reply<ListPartsOutput> {
        multipart::list_parts(&self.store, &request)
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> Reply<CompleteMultipartUploadOutput> {
        multipart::complete(&self.store, &request)
    }

    async fn abort_multipart_upload(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> Reply<AbortMultipartUploadOutput> {
        let input = &request.input;
        self.store.abort(&input.bucket, &input.key, &input.upload_id)?;
        reply(AbortMultipartUploadOutput::default())
    }
}
