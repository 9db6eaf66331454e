//! The embedded server is as strict as the service, seen by the real SDK.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    BucketVersioningStatus, ChecksumAlgorithm, ChecksumMode, ChecksumType, CompletedMultipartUpload,
    CompletedPart, Delete, ObjectAttributes, ObjectIdentifier, VersioningConfiguration,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use dbbackup::embedded::{ACCOUNT, Mode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{BUCKET, Fixture, MIB, client, code, noise};

/// Base64 of the CRC64NVME, by the crate and not by the server.
fn crc64(bytes: &[u8]) -> String {
    BASE64.encode(crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Nvme, bytes).to_be_bytes())
}

fn odd_keys() -> Vec<String> {
    let mut keys: Vec<String> = [
        "plain.sql",
        "with space/and  two.bak",
        "plus+and%percent%20.sql",
        "ümläut/数据库.sql",
        "double//slash",
        "trailing/slash/",
        "a&b<c>\"d'e?f=g#h;i:j@k,l$m!n*o(p)",
        ".",
        "..hidden/../x",
    ]
    .map(str::to_owned)
    .to_vec();
    keys.push("k".repeat(1024));
    keys
}

#[tokio::test]
async fn any_key_is_kept_listed_and_given_back() {
    let s3 = Fixture::new().await;
    for key in odd_keys() {
        s3.put(&key, key.as_bytes()).await;
    }
    let s3 = s3.restart().await;
    let listed = s3.client.list_objects_v2().bucket(BUCKET).send().await.unwrap();
    let listed: BTreeSet<String> =
        listed.contents().iter().map(|object| object.key().unwrap().to_owned()).collect();
    assert_eq!(listed, odd_keys().into_iter().collect());
    for key in odd_keys() {
        assert_eq!(s3.get(&key).await, key.as_bytes(), "{key}");
    }
    let too_long = s3.client.put_object().bucket(BUCKET).key("k".repeat(1025)).send().await;
    assert_eq!(code(too_long), "KeyTooLongError");
}

#[tokio::test]
async fn only_the_right_signature_gets_in() {
    let s3 = Fixture::new().await;
    let list = |access, secret| client(&s3.server, access, secret).list_objects_v2().bucket(BUCKET).send();
    assert_eq!(code(list("test", "test").await), "Ok");
    assert_eq!(code(list("test", "wrong").await), "SignatureDoesNotMatch");
    assert_eq!(code(list("nobody", "test").await), "InvalidAccessKeyId");
}

#[tokio::test]
async fn a_body_other_than_the_one_signed_is_refused() {
    let s3 = Fixture::new().await;
    let lifetime = PresigningConfig::expires_in(Duration::from_mins(1)).unwrap();
    let signed = s3.client.put_object().bucket(BUCKET).key("k").presigned(lifetime).await.unwrap();
    let path = signed.uri().strip_prefix(&s3.server.endpoint_url()).unwrap();
    // SHA-256 of "body".
    let hash = "230d8358dc8e8890b4c58deeb62912ee2f20357ae92a5cc861b98e68fe31acb5";
    for (body, expected) in [("body", "200 OK"), ("bodY", "XAmzContentSHA256Mismatch")] {
        let mut line = TcpStream::connect(s3.server.addr()).await.unwrap();
        let request = format!(
            "PUT {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: 4\r\n\
             x-amz-content-sha256: {hash}\r\n\r\n{body}",
            s3.server.addr()
        );
        line.write_all(request.as_bytes()).await.unwrap();
        let mut reply = String::new();
        line.read_to_string(&mut reply).await.unwrap();
        assert!(reply.contains(expected), "{reply}");
    }
}

#[tokio::test]
async fn a_bucket_of_another_owner_is_not_touched() {
    let s3 = Fixture::new().await;
    let put = |owner| s3.client.put_object().bucket(BUCKET).key("k").expected_bucket_owner(owner).send();
    assert_eq!(code(put("999999999999").await), "AccessDenied");
    assert!(!s3.exists("k").await);
    assert_eq!(code(put(ACCOUNT).await), "Ok");
    let missing = s3.client.put_object().bucket("nowhere").key("k").send().await;
    assert_eq!(code(missing), "NoSuchBucket");
}

#[tokio::test]
async fn every_checksum_sent_is_verified_and_told() {
    let s3 = Fixture::new().await;
    let body = noise(300_000, 1);
    for algorithm in ChecksumAlgorithm::values().iter().take(5).map(|name| ChecksumAlgorithm::from(*name)) {
        // The SDK computes this one itself, and sends it as a header or a trailer.
        let put =
            s3.computing().put_object().bucket(BUCKET).key("sent").checksum_algorithm(algorithm.clone());
        put.body(ByteStream::from(body.clone()))
            .send()
            .await
            .unwrap_or_else(|error| panic!("{algorithm}: {error:?}"));
        let head = s3.client.head_object().bucket(BUCKET).key("sent").checksum_mode(ChecksumMode::Enabled);
        let head = head.send().await.unwrap();
        let told = [
            head.checksum_crc32(),
            head.checksum_crc32_c(),
            head.checksum_crc64_nvme(),
            head.checksum_sha1(),
            head.checksum_sha256(),
        ];
        assert_eq!(told.iter().flatten().count(), 1, "{algorithm}");
        assert_eq!(head.checksum_type(), Some(&ChecksumType::FullObject));
    }
    let put = || s3.client.put_object().bucket(BUCKET).key("wrong").body(ByteStream::from(body.clone()));
    for (name, sent) in [
        ("crc32", put().checksum_crc32("AAAAAA==")),
        ("crc32c", put().checksum_crc32_c("AAAAAA==")),
        ("crc64nvme", put().checksum_crc64_nvme("AAAAAAAAAAA=")),
        ("sha1", put().checksum_sha1("AAAAAAAAAAAAAAAAAAAAAAAAAAA=")),
        ("sha256", put().checksum_sha256("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")),
        ("md5", put().content_md5("AAAAAAAAAAAAAAAAAAAAAA==")),
    ] {
        assert_eq!(code(sent.send().await), "BadDigest", "{name}");
    }
    assert_eq!(code(put().checksum_crc64_nvme("nonsense").send().await), "InvalidRequest");
    assert!(!s3.exists("wrong").await);
}

#[tokio::test]
async fn a_part_streamed_with_a_trailer_is_verified() {
    let s3 = Fixture::new().await;
    let file = s3.dir.path().join("body");
    std::fs::write(&file, noise(3 * MIB, 2)).unwrap();
    let body = ByteStream::from_path(&file).await.unwrap();
    let put = s3
        .computing()
        .put_object()
        .bucket(BUCKET)
        .key("k")
        .checksum_algorithm(ChecksumAlgorithm::Crc32C)
        .body(body);
    assert!(put.send().await.unwrap().checksum_crc32_c().is_some());
    assert_eq!(s3.get("k").await, noise(3 * MIB, 2));
}

#[tokio::test]
async fn the_checksum_is_told_only_when_asked_for_and_for_the_whole() {
    let s3 = Fixture::new().await;
    let body = noise(1000, 3);
    s3.put("k", body.clone()).await;
    let get = || s3.client.get_object().bucket(BUCKET).key("k");
    assert_eq!(get().send().await.unwrap().checksum_crc64_nvme(), None);
    let asked = get().checksum_mode(ChecksumMode::Enabled).send().await.unwrap();
    assert_eq!(asked.checksum_crc64_nvme(), Some(crc64(&body).as_str()));
    let part = get().checksum_mode(ChecksumMode::Enabled).range("bytes=10-19").send().await.unwrap();
    assert_eq!(part.checksum_crc64_nvme(), None);
    assert_eq!(part.content_range(), Some("bytes 10-19/1000"));
    assert_eq!(part.body.collect().await.unwrap().to_vec(), body[10..20]);
    assert_eq!(code(get().range("bytes=1000-").send().await), "InvalidRange");
}

#[tokio::test]
async fn reads_and_writes_hold_to_their_conditions() {
    let s3 = Fixture::new().await;
    s3.put("k", "one").await;
    let put = || s3.client.put_object().bucket(BUCKET).key("k").body(ByteStream::from_static(b"two"));
    assert_eq!(code(put().if_none_match("*").send().await), "PreconditionFailed");
    assert_eq!(code(put().if_match("\"0123\"").send().await), "PreconditionFailed");
    assert_eq!(s3.get("k").await, b"one");
    let etag =
        s3.client.head_object().bucket(BUCKET).key("k").send().await.unwrap().e_tag().unwrap().to_owned();
    assert_eq!(code(put().if_match(&etag).send().await), "Ok");
    let get = s3.client.get_object().bucket(BUCKET).key("k").if_match(&etag).send().await;
    assert_eq!(code(get), "PreconditionFailed");
}

/// Uploads parts with CRC64NVME and gives what completion names.
async fn parts(s3: &Fixture, key: &str, bodies: &[Vec<u8>]) -> (String, CompletedMultipartUpload) {
    let begun = s3.client.create_multipart_upload().bucket(BUCKET).key(key);
    let begun =
        begun.checksum_algorithm(ChecksumAlgorithm::Crc64Nvme).checksum_type(ChecksumType::FullObject);
    let id = begun.send().await.unwrap().upload_id().unwrap().to_owned();
    let mut named = CompletedMultipartUpload::builder();
    for (number, body) in (1..).zip(bodies) {
        let part = s3.client.upload_part().bucket(BUCKET).key(key).upload_id(&id).part_number(number);
        let part = part.checksum_crc64_nvme(crc64(body)).body(ByteStream::from(body.clone()));
        let etag =
            part.customize().disable_payload_signing().send().await.unwrap().e_tag().unwrap().to_owned();
        named = named.parts(
            CompletedPart::builder().part_number(number).e_tag(etag).checksum_crc64_nvme(crc64(body)).build(),
        );
    }
    (id, named.build())
}

fn three() -> Vec<Vec<u8>> {
    vec![noise(5 * MIB, 4), noise(5 * MIB + 1, 5), noise(77, 6)]
}

#[tokio::test]
async fn completion_verifies_the_whole_object() {
    let s3 = Fixture::new().await;
    let whole = three().concat();
    let (id, named) = parts(&s3, "big", &three()).await;
    let complete = || {
        let request = s3.client.complete_multipart_upload().bucket(BUCKET).key("big").upload_id(&id);
        request.multipart_upload(named.clone()).checksum_type(ChecksumType::FullObject)
    };
    let size = i64::try_from(whole.len()).unwrap();
    assert_eq!(code(complete().checksum_crc64_nvme("AAAAAAAAAAA=").send().await), "BadDigest");
    assert_eq!(code(complete().mpu_object_size(size - 1).send().await), "InvalidRequest");
    assert_eq!(code(complete().checksum_type(ChecksumType::Composite).send().await), "InvalidRequest");
    s3.put("big", "in the way").await;
    assert_eq!(code(complete().if_none_match("*").send().await), "PreconditionFailed");
    s3.client.delete_object().bucket(BUCKET).key("big").send().await.unwrap();
    let right = complete().checksum_crc64_nvme(crc64(&whole)).mpu_object_size(size).if_none_match("*");
    let done = right.send().await.unwrap();
    assert_eq!(done.checksum_crc64_nvme(), Some(crc64(&whole).as_str()));
    assert!(done.e_tag().unwrap().ends_with("-3\""), "{:?}", done.e_tag());
    assert_eq!(code(complete().send().await), "NoSuchUpload");
    let s3 = s3.restart().await;
    assert_eq!(s3.get("big").await, whole);
    let head = s3.client.head_object().bucket(BUCKET).key("big").checksum_mode(ChecksumMode::Enabled);
    assert_eq!(head.send().await.unwrap().checksum_crc64_nvme(), Some(crc64(&whole).as_str()));
    let across =
        s3.client.get_object().bucket(BUCKET).key("big").range("bytes=5242870-10485780").send().await;
    assert_eq!(across.unwrap().body.collect().await.unwrap().to_vec(), whole[5_242_870..=10_485_780]);
    let attributes = s3.client.get_object_attributes().bucket(BUCKET).key("big");
    let attributes = attributes
        .object_attributes(ObjectAttributes::Checksum)
        .object_attributes(ObjectAttributes::ObjectParts);
    let attributes = attributes.send().await.unwrap();
    assert_eq!(attributes.checksum().unwrap().checksum_crc64_nvme(), Some(crc64(&whole).as_str()));
    assert_eq!(attributes.object_parts().unwrap().total_parts_count(), Some(3));
}

#[tokio::test]
async fn completion_refuses_parts_that_do_not_fit() {
    let s3 = Fixture::new().await;
    let (id, named) = parts(&s3, "big", &[noise(5 * MIB, 7), noise(100, 8), noise(100, 9)]).await;
    let complete = |parts: Vec<CompletedPart>| {
        let upload = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        s3.client
            .complete_multipart_upload()
            .bucket(BUCKET)
            .key("big")
            .upload_id(&id)
            .multipart_upload(upload)
            .send()
    };
    let [first, second, third] = named.parts() else { panic!("three parts") };
    assert_eq!(code(complete(vec![second.clone(), first.clone()]).await), "InvalidPartOrder");
    assert_eq!(code(complete(named.parts().to_vec()).await), "EntityTooSmall");
    let other = CompletedPart::builder().part_number(2).e_tag(third.e_tag().unwrap()).build();
    assert_eq!(code(complete(vec![first.clone(), other]).await), "InvalidPart");
    let missing = CompletedPart::builder().part_number(4).e_tag(third.e_tag().unwrap()).build();
    assert_eq!(code(complete(vec![first.clone(), missing]).await), "InvalidPart");
    assert_eq!(code(complete(vec![first.clone(), third.clone()]).await), "Ok");
    for number in [0, 10_001] {
        let part =
            s3.client.upload_part().bucket(BUCKET).key("big").upload_id(&id).part_number(number).send().await;
        assert_eq!(code(part), "InvalidArgument", "{number}");
    }
    let part =
        s3.client.upload_part().bucket(BUCKET).key("big").upload_id("none").part_number(1).send().await;
    assert_eq!(code(part), "NoSuchUpload");
}

#[tokio::test]
async fn a_composite_upload_needs_the_checksum_of_every_part() {
    let s3 = Fixture::new().await;
    let begun = s3
        .client
        .create_multipart_upload()
        .bucket(BUCKET)
        .key("k")
        .checksum_algorithm(ChecksumAlgorithm::Sha256);
    let begun = begun.send().await.unwrap();
    assert_eq!(begun.checksum_type(), Some(&ChecksumType::Composite));
    let id = begun.upload_id().unwrap();
    let part = || s3.client.upload_part().bucket(BUCKET).key("k").upload_id(id).part_number(1);
    let computing = s3.computing();
    let none = part().body(ByteStream::from_static(b"body")).send().await;
    assert_eq!(code(none), "InvalidRequest");
    let other = part().checksum_crc32("AAAAAA==").body(ByteStream::from_static(b"body")).send().await;
    assert_eq!(code(other), "InvalidRequest");
    let sent = computing.upload_part().bucket(BUCKET).key("k").upload_id(id).part_number(1);
    let announced = part().checksum_algorithm(ChecksumAlgorithm::Sha256).send().await;
    assert_eq!(code(announced), "InvalidRequest", "named, and not sent");
    let sent = sent.checksum_algorithm(ChecksumAlgorithm::Sha256).body(ByteStream::from_static(b"body"));
    let sent = sent.send().await.unwrap();
    let complete = |sum: Option<&str>| {
        let part = CompletedPart::builder()
            .part_number(1)
            .e_tag(sent.e_tag().unwrap())
            .set_checksum_sha256(sum.map(str::to_owned));
        let upload = CompletedMultipartUpload::builder().parts(part.build()).build();
        s3.client
            .complete_multipart_upload()
            .bucket(BUCKET)
            .key("k")
            .upload_id(id)
            .multipart_upload(upload)
            .send()
    };
    assert_eq!(code(complete(None).await), "InvalidRequest");
    let done = complete(sent.checksum_sha256()).await.unwrap();
    assert!(done.checksum_sha256().unwrap().ends_with("-1"));
    let full = s3.client.create_multipart_upload().bucket(BUCKET).key("k");
    let full = full.checksum_algorithm(ChecksumAlgorithm::Sha256).checksum_type(ChecksumType::FullObject);
    assert_eq!(code(full.send().await), "InvalidRequest");
}

#[tokio::test]
async fn unfinished_uploads_and_their_parts_survive_a_restart_and_are_listed_in_pages() {
    let s3 = Fixture::new().await;
    let (id, _) = parts(&s3, "app/b", &three()).await;
    parts(&s3, "app/a", &[]).await;
    parts(&s3, "app/a", &[]).await;
    parts(&s3, "other", &[]).await;
    let s3 = s3.restart().await;
    let list = || s3.client.list_multipart_uploads().bucket(BUCKET).prefix("app/").max_uploads(2);
    let first = list().send().await.unwrap();
    assert_eq!(first.is_truncated(), Some(true));
    let second = list()
        .key_marker(first.next_key_marker().unwrap())
        .upload_id_marker(first.next_upload_id_marker().unwrap())
        .send()
        .await
        .unwrap();
    let keys: Vec<_> =
        first.uploads().iter().chain(second.uploads()).map(|upload| upload.key().unwrap()).collect();
    assert_eq!((keys, second.is_truncated()), (vec!["app/a", "app/a", "app/b"], Some(false)));
    assert_eq!(second.uploads()[0].checksum_algorithm(), Some(&ChecksumAlgorithm::Crc64Nvme));
    let list = || s3.client.list_parts().bucket(BUCKET).key("app/b").upload_id(&id).max_parts(2);
    let first = list().send().await.unwrap();
    let second = list().part_number_marker(first.next_part_number_marker().unwrap()).send().await.unwrap();
    let told: Vec<_> = first.parts().iter().chain(second.parts()).collect();
    let sums: Vec<_> = told.iter().map(|part| part.checksum_crc64_nvme().unwrap().to_owned()).collect();
    assert_eq!(sums, three().iter().map(|body| crc64(body)).collect::<Vec<_>>());
    s3.client.abort_multipart_upload().bucket(BUCKET).key("app/b").upload_id(&id).send().await.unwrap();
    assert_eq!(code(list().send().await), "NoSuchUpload");
}

#[tokio::test]
async fn lists_roll_up_and_turn_pages() {
    let s3 = Fixture::new().await;
    for key in ["a/1", "a/2", "b/1", "c", "d"] {
        s3.put(key, "x").await;
    }
    let list = || s3.client.list_objects_v2().bucket(BUCKET).delimiter("/").max_keys(2);
    let first = list().send().await.unwrap();
    assert_eq!(first.common_prefixes().len(), 2);
    let second = list().continuation_token(first.next_continuation_token().unwrap()).send().await.unwrap();
    let keys: Vec<_> = second.contents().iter().map(|object| object.key().unwrap()).collect();
    assert_eq!((keys, second.is_truncated()), (vec!["c", "d"], Some(false)));
    let after =
        s3.client.list_objects_v2().bucket(BUCKET).prefix("a/").start_after("a/1").send().await.unwrap();
    assert_eq!(after.contents()[0].key(), Some("a/2"));
    let gone = ["a/1", "a/2", "not there"].map(|key| ObjectIdentifier::builder().key(key).build().unwrap());
    let delete = Delete::builder().set_objects(Some(gone.to_vec())).build().unwrap();
    let deleted = s3.client.delete_objects().bucket(BUCKET).delete(delete).send().await.unwrap();
    assert_eq!(deleted.deleted().len(), 3);
    assert!(!s3.exists("a/1").await);
}

#[tokio::test]
async fn a_versioned_bucket_keeps_what_is_overwritten_and_deleted() {
    let s3 = Fixture::with(|options| options.versioned = true).await;
    let put = |body: &'static str| {
        s3.client.put_object().bucket(BUCKET).key("k").body(ByteStream::from_static(body.as_bytes())).send()
    };
    let first = put("one").await.unwrap().version_id().unwrap().to_owned();
    put("two").await.unwrap();
    let deleted = s3.client.delete_object().bucket(BUCKET).key("k").send().await.unwrap();
    assert_eq!(deleted.delete_marker(), Some(true));
    let s3 = s3.restart().await;
    assert!(!s3.exists("k").await);
    let old = s3.client.get_object().bucket(BUCKET).key("k").version_id(&first).send().await.unwrap();
    assert_eq!(old.body.collect().await.unwrap().to_vec(), b"one");
    let list = || s3.client.list_object_versions().bucket(BUCKET);
    let listed = list().send().await.unwrap();
    assert_eq!((listed.versions().len(), listed.delete_markers().len()), (2, 1));
    let page = list().max_keys(2).send().await.unwrap();
    let rest = list()
        .key_marker(page.next_key_marker().unwrap())
        .version_id_marker(page.next_version_id_marker().unwrap());
    assert_eq!(rest.send().await.unwrap().versions()[0].version_id(), Some(first.as_str()));
    let marker = deleted.version_id().unwrap();
    s3.client.delete_object().bucket(BUCKET).key("k").version_id(marker).send().await.unwrap();
    assert_eq!(s3.get("k").await, b"two");
}

#[tokio::test]
async fn versioning_can_be_switched_on_later() {
    let s3 = Fixture::new().await;
    s3.put("k", "one").await;
    let enabled = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
    s3.client.put_bucket_versioning().bucket(BUCKET).versioning_configuration(enabled).send().await.unwrap();
    s3.put("k", "two").await;
    let old = s3.client.get_object().bucket(BUCKET).key("k").version_id("null").send().await.unwrap();
    assert_eq!(old.body.collect().await.unwrap().to_vec(), b"one");
}

#[tokio::test]
async fn what_is_said_of_an_object_is_told_back() {
    let s3 = Fixture::new().await;
    let put = s3.client.put_object().bucket(BUCKET).key("k").body(ByteStream::from_static(b"x"));
    let put = put.content_type("application/sql").metadata("host", "db1").metadata("note", "naïve – ja");
    put.storage_class(aws_sdk_s3::types::StorageClass::StandardIa).send().await.unwrap();
    let head = s3.client.head_object().bucket(BUCKET).key("k").send().await.unwrap();
    assert_eq!(head.content_type(), Some("application/sql"));
    assert_eq!(head.storage_class(), Some(&aws_sdk_s3::types::StorageClass::StandardIa));
    assert_eq!(head.server_side_encryption(), Some(&aws_sdk_s3::types::ServerSideEncryption::Aes256));
    assert_eq!(head.metadata().unwrap()["host"], "db1");
}

#[tokio::test]
async fn discard_mode_remembers_sizes_and_small_records() {
    let objects = [(format!("{BUCKET}/zeros"), 3_000_000)].into();
    let s3 = Fixture::with(|options| options.mode = Mode::Discard { objects, tls: None }).await;
    assert_eq!(s3.get("zeros").await, vec![0; 3_000_000]);
    let (id, named) = parts(&s3, "big", &three()).await;
    let complete =
        s3.client.complete_multipart_upload().bucket(BUCKET).key("big").upload_id(id).multipart_upload(named);
    let done = complete.checksum_crc64_nvme("AAAAAAAAAAA=").if_none_match("*").send().await.unwrap();
    assert_eq!(done.checksum_crc64_nvme(), Some("AAAAAAAAAAA="));
    let head = s3.client.head_object().bucket(BUCKET).key("big").send().await.unwrap();
    assert_eq!(head.content_length(), Some(i64::try_from(three().concat().len()).unwrap()));
    s3.put("a b+/manifest.json", "{}").await;
    assert_eq!(s3.get("a b+/manifest.json").await, b"{}");
    let listed = s3.client.list_objects_v2().bucket(BUCKET).send().await.unwrap();
    let keys: Vec<_> = listed.contents().iter().map(|object| object.key().unwrap()).collect();
    assert_eq!(keys, ["a b+/manifest.json", "big", "zeros"]);
    assert!(!s3.exists("nothing").await);
}
