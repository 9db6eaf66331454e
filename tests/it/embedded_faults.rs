//! Every fault of the embedded server does what it says, and nothing once it is over.

use std::time::{Duration, Instant};

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumMode, CompletedMultipartUpload, CompletedPart};
use dbbackup::embedded::{Fault, Op, Rule};

use crate::support::{BUCKET, Fixture, MIB, code, noise};

/// An upload of one part and what completes it.
async fn one_part(s3: &Fixture, key: &str) -> (String, CompletedMultipartUpload) {
    let begun = s3.client.create_multipart_upload().bucket(BUCKET).key(key).send().await.unwrap();
    let id = begun.upload_id().unwrap().to_owned();
    let part = s3.client.upload_part().bucket(BUCKET).key(key).upload_id(&id).part_number(1);
    let etag = part.body(ByteStream::from_static(b"body")).send().await.unwrap().e_tag().unwrap().to_owned();
    let part = CompletedPart::builder().part_number(1).e_tag(etag).build();
    (id, CompletedMultipartUpload::builder().parts(part).build())
}

async fn complete(s3: &Fixture, key: &str, id: &str, parts: &CompletedMultipartUpload) -> String {
    let request = s3.client.complete_multipart_upload().bucket(BUCKET).key(key).upload_id(id);
    code(request.multipart_upload(parts.clone()).send().await)
}

#[tokio::test]
async fn a_request_reset_halfway_leaves_nothing() {
    let s3 = Fixture::new().await;
    s3.faults().add(Rule::new(Fault::ResetRequest { at: MIB as u64 }).on(Op::PutObject).key("cut").times(1));
    let put =
        || s3.client.put_object().bucket(BUCKET).key("cut").body(ByteStream::from(noise(4 * MIB, 1))).send();
    assert_eq!(code(put().await), "no reply");
    assert!(!s3.exists("cut").await);
    assert_eq!(code(put().await), "Ok");
    assert_eq!(s3.server.count(Op::PutObject), 2);
}

#[tokio::test]
async fn a_reply_reset_halfway_ends_in_an_error() {
    let s3 = Fixture::new().await;
    s3.put("k", noise(4 * MIB, 2)).await;
    s3.faults().add(Rule::new(Fault::ResetResponse { at: MIB as u64 }).on(Op::GetObject).times(1));
    let mut body = s3.client.get_object().bucket(BUCKET).key("k").send().await.unwrap().body;
    let mut seen = 0;
    let ended = loop {
        match body.next().await {
            Some(Ok(bytes)) => seen += bytes.len(),
            Some(Err(_)) => break false,
            None => break true,
        }
    };
    assert!(!ended && seen <= MIB, "{seen}");
    assert_eq!(s3.get("k").await, noise(4 * MIB, 2));
}

#[tokio::test]
async fn errors_are_answered_as_often_as_told_and_to_large_bodies_too() {
    let s3 = Fixture::new().await;
    let faults = [Fault::INTERNAL_ERROR, Fault::SLOW_DOWN, Fault::EXPIRED_TOKEN, Fault::INVALID_ACCESS_KEY];
    for fault in faults {
        s3.faults().add(Rule::new(fault.clone()).on(Op::PutObject).times(1));
        let put = || {
            s3.client.put_object().bucket(BUCKET).key("k").body(ByteStream::from(noise(8 * MIB, 3))).send()
        };
        let Fault::Answer { code: expected, .. } = fault else { panic!("an answer") };
        assert_eq!(code(put().await), expected);
        assert_eq!(code(put().await), "Ok");
    }
}

#[tokio::test]
async fn an_error_inside_200_completes_nothing() {
    let s3 = Fixture::new().await;
    let (id, parts) = one_part(&s3, "k").await;
    s3.faults().add(
        Rule::new(Fault::ErrorInside200 { code: "InternalError" }).on(Op::CompleteMultipartUpload).times(1),
    );
    assert_eq!(complete(&s3, "k", &id, &parts).await, "InternalError");
    assert!(!s3.exists("k").await);
    assert_eq!(complete(&s3, "k", &id, &parts).await, "Ok");
}

#[tokio::test]
async fn a_completion_without_reply_has_completed() {
    let s3 = Fixture::new().await;
    let (id, parts) = one_part(&s3, "k").await;
    s3.faults().add(Rule::new(Fault::DropReply).on(Op::CompleteMultipartUpload));
    assert_eq!(complete(&s3, "k", &id, &parts).await, "no reply");
    assert_eq!(s3.get("k").await, b"body");
    s3.faults().clear();
    assert_eq!(complete(&s3, "k", &id, &parts).await, "NoSuchUpload");
}

#[tokio::test]
async fn a_delayed_reply_comes_after_the_deed() {
    let s3 = Fixture::new().await;
    let (id, parts) = one_part(&s3, "k").await;
    s3.faults().add(Rule::new(Fault::DelayReply(Duration::from_hours(1))).on(Op::CompleteMultipartUpload));
    let never = tokio::time::timeout(Duration::from_millis(500), complete(&s3, "k", &id, &parts));
    assert!(never.await.is_err());
    assert_eq!(s3.get("k").await, b"body");
}

#[tokio::test]
async fn a_drip_takes_its_time_both_ways() {
    let s3 = Fixture::new().await;
    s3.faults().add(Rule::new(Fault::Drip { bytes_per_second: 1_000_000 }));
    let start = Instant::now();
    s3.put("k", noise(300_000, 4)).await;
    let sent = start.elapsed();
    let start = Instant::now();
    assert_eq!(s3.get("k").await, noise(300_000, 4));
    // The last piece is not waited for on the way in, nor is the end on the way out.
    assert!(sent >= Duration::from_millis(100), "{sent:?}");
    assert!(start.elapsed() >= Duration::from_millis(200), "{:?}", start.elapsed());
}

#[tokio::test]
async fn entity_tags_can_be_wrong_or_empty() {
    let s3 = Fixture::new().await;
    s3.put("k", "x").await;
    let etag = || async {
        s3.client.head_object().bucket(BUCKET).key("k").send().await.unwrap().e_tag().unwrap().to_owned()
    };
    let right = etag().await;
    s3.faults().add(Rule::new(Fault::WrongEtag));
    assert_ne!(etag().await, right);
    s3.faults().clear();
    s3.faults().add(Rule::new(Fault::EmptyEtag));
    assert_eq!(etag().await, "\"\"");
}

#[tokio::test]
async fn a_checksum_can_go_unverified_and_is_told_as_sent() {
    let s3 = Fixture::new().await;
    s3.faults().add(Rule::new(Fault::SkipVerification));
    let put = s3.client.put_object().bucket(BUCKET).key("k").checksum_crc64_nvme("AAAAAAAAAAA=");
    put.body(ByteStream::from_static(b"x")).send().await.unwrap();
    let head =
        s3.client.head_object().bucket(BUCKET).key("k").checksum_mode(ChecksumMode::Enabled).send().await;
    assert_eq!(head.unwrap().checksum_crc64_nvme(), Some("AAAAAAAAAAA="));
}

#[tokio::test]
async fn stored_bytes_can_rot_under_a_good_checksum() {
    let s3 = Fixture::new().await;
    s3.faults().add(Rule::new(Fault::FlipStoredBit { at: 100_000 }).times(1));
    let body = noise(200_000, 5);
    let put =
        s3.computing().put_object().bucket(BUCKET).key("k").checksum_algorithm(ChecksumAlgorithm::Crc64Nvme);
    put.body(ByteStream::from(body.clone())).send().await.unwrap();
    let rotten = s3.get("k").await;
    let differing: Vec<usize> = (0..body.len()).filter(|at| body[*at] != rotten[*at]).collect();
    assert_eq!(differing, [100_000]);
}

#[tokio::test]
async fn lists_can_come_in_short_pages() {
    let s3 = Fixture::new().await;
    for key in ["a", "b", "c"] {
        s3.put(key, "x").await;
    }
    s3.faults().add(Rule::new(Fault::ShortPages(2)));
    let listed = s3.client.list_objects_v2().bucket(BUCKET).send().await.unwrap();
    assert_eq!((listed.contents().len(), listed.is_truncated()), (2, Some(true)));
}

#[tokio::test]
async fn if_none_match_can_be_ignored() {
    let s3 = Fixture::new().await;
    s3.put("k", "one").await;
    s3.faults().add(Rule::new(Fault::IgnoreIfNoneMatch));
    let put = s3.client.put_object().bucket(BUCKET).key("k").if_none_match("*");
    put.body(ByteStream::from_static(b"two")).send().await.unwrap();
    assert_eq!(s3.get("k").await, b"two");
}

#[tokio::test]
async fn crc64nvme_can_be_unknown() {
    let s3 = Fixture::new().await;
    let put = || {
        let put = s3
            .computing()
            .put_object()
            .bucket(BUCKET)
            .key("k")
            .checksum_algorithm(ChecksumAlgorithm::Crc64Nvme);
        put.body(ByteStream::from_static(b"x")).send()
    };
    s3.faults().add(Rule::new(Fault::RejectCrc64 { status: 501 }));
    assert_eq!(code(put().await), "NotImplemented");
    assert_eq!(code(s3.client.put_object().bucket(BUCKET).key("k").send().await), "Ok");
    s3.faults().clear();
    s3.faults().add(Rule::new(Fault::IgnoreCrc64));
    assert_eq!(put().await.unwrap().checksum_crc64_nvme(), None);
    let head =
        s3.client.head_object().bucket(BUCKET).key("k").checksum_mode(ChecksumMode::Enabled).send().await;
    assert_eq!(head.unwrap().checksum_crc64_nvme(), None);
}

#[tokio::test]
async fn a_write_only_identity_uploads_and_reads_nothing() {
    let s3 = Fixture::new().await;
    s3.faults().write_only();
    let (id, parts) = one_part(&s3, "k").await;
    let listed = s3.client.list_parts().bucket(BUCKET).key("k").upload_id(&id).send().await;
    assert_eq!(listed.unwrap().parts().len(), 1);
    assert_eq!(complete(&s3, "k", &id, &parts).await, "Ok");
    assert_eq!(code(s3.client.get_object().bucket(BUCKET).key("k").send().await), "AccessDenied");
    assert_eq!(code(s3.client.list_objects_v2().bucket(BUCKET).send().await), "AccessDenied");
    s3.faults().allow(Op::GetObject);
    assert_eq!(s3.get("k").await, b"body");
}
