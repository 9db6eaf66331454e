//! Which S3 operation a request is, from its method, path and query alone.
//!
//! Faults and counts need the name before any signature is checked or body read, and the discard mode
//! has nothing else. Source: the request syntax of each operation in the S3 API reference.

use hyper::http::request::Parts;
use hyper::{HeaderMap, Method};

/// The operations this server tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "each is named as in the S3 API")]
pub enum Op {
    ListBuckets,
    CreateBucket,
    HeadBucket,
    DeleteBucket,
    GetBucketLocation,
    GetBucketVersioning,
    PutBucketVersioning,
    GetBucketEncryption,
    GetPublicAccessBlock,
    GetBucketOwnershipControls,
    GetBucketPolicyStatus,
    GetBucketLifecycleConfiguration,
    GetObjectLockConfiguration,
    ListObjects,
    ListObjectsV2,
    ListObjectVersions,
    ListMultipartUploads,
    PutObject,
    CopyObject,
    GetObject,
    HeadObject,
    GetObjectAttributes,
    RestoreObject,
    DeleteObject,
    DeleteObjects,
    CreateMultipartUpload,
    UploadPart,
    ListParts,
    CompleteMultipartUpload,
    AbortMultipartUpload,
    /// Anything else: answered by 501 `NotImplemented`.
    Other,
}

/// What a request asks, as far as its first line tells.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) op: Op,
    pub(super) bucket: String,
    /// Decoded; empty for requests to a bucket.
    pub(super) key: String,
    query: Vec<(String, String)>,
}

impl Call {
    pub(super) fn of(parts: &Parts) -> Self {
        let path = parts.uri.path();
        let path = path.strip_prefix('/').unwrap_or(path);
        let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
        let query: Vec<(String, String)> = parts
            .uri
            .query()
            .unwrap_or_default()
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                (decode(name), decode(&value.replace('+', "%20")))
            })
            .collect();
        let has = |name: &str| query.iter().any(|(known, _)| known == name);
        let op = match (bucket.is_empty(), key.is_empty()) {
            (true, _) if parts.method == Method::GET => Op::ListBuckets,
            (true, _) => Op::Other,
            (false, true) => on_bucket(&parts.method, &has),
            (false, false) => on_object(&parts.method, &has, &parts.headers),
        };
        Self { op, bucket: decode(bucket), key: decode(key), query }
    }

    /// The value of a query parameter.
    pub(super) fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// `bucket/key`.
    pub(super) fn path(&self) -> String {
        format!("{}/{}", self.bucket, self.key)
    }
}

/// Sub-resources that this server does not have.
const OTHERS: [&str; 14] = [
    "acl",
    "cors",
    "encryption",
    "legal-hold",
    "lifecycle",
    "object-lock",
    "ownershipControls",
    "policy",
    "policyStatus",
    "publicAccessBlock",
    "retention",
    "replication",
    "tagging",
    "torrent",
];

/// What a bucket can be asked of its set-up; each is answered by a rule ([`Fault::Say`]) or as one that was
/// never made.
///
/// [`Fault::Say`]: super::Fault::Say
const POSTURE: [(&str, Op); 6] = [
    ("encryption", Op::GetBucketEncryption),
    ("publicAccessBlock", Op::GetPublicAccessBlock),
    ("ownershipControls", Op::GetBucketOwnershipControls),
    ("policyStatus", Op::GetBucketPolicyStatus),
    ("lifecycle", Op::GetBucketLifecycleConfiguration),
    ("object-lock", Op::GetObjectLockConfiguration),
];

fn on_bucket(method: &Method, has: &dyn Fn(&str) -> bool) -> Op {
    if let Some((_, op)) = POSTURE.iter().find(|(name, _)| method == Method::GET && has(name)) {
        return *op;
    }
    if OTHERS.iter().any(|name| has(name)) {
        return Op::Other;
    }
    match method.as_str() {
        "GET" if has("location") => Op::GetBucketLocation,
        "GET" if has("versioning") => Op::GetBucketVersioning,
        "GET" if has("uploads") => Op::ListMultipartUploads,
        "GET" if has("versions") => Op::ListObjectVersions,
        "GET" if has("list-type") => Op::ListObjectsV2,
        "GET" => Op::ListObjects,
        "PUT" if has("versioning") => Op::PutBucketVersioning,
        "PUT" => Op::CreateBucket,
        "HEAD" => Op::HeadBucket,
        "DELETE" => Op::DeleteBucket,
        "POST" if has("delete") => Op::DeleteObjects,
        _ => Op::Other,
    }
}

fn on_object(method: &Method, has: &dyn Fn(&str) -> bool, headers: &HeaderMap) -> Op {
    if OTHERS.iter().any(|name| has(name)) {
        return Op::Other;
    }
    let copies = headers.contains_key("x-amz-copy-source");
    match method.as_str() {
        "GET" if has("uploadId") => Op::ListParts,
        "GET" if has("attributes") => Op::GetObjectAttributes,
        "GET" => Op::GetObject,
        "HEAD" => Op::HeadObject,
        "PUT" if has("partNumber") && copies => Op::Other,
        "PUT" if has("partNumber") => Op::UploadPart,
        "PUT" if copies => Op::CopyObject,
        "PUT" => Op::PutObject,
        "POST" if has("uploads") => Op::CreateMultipartUpload,
        "POST" if has("uploadId") => Op::CompleteMultipartUpload,
        "POST" if has("restore") => Op::RestoreObject,
        "DELETE" if has("uploadId") => Op::AbortMultipartUpload,
        "DELETE" => Op::DeleteObject,
        _ => Op::Other,
    }
}

/// Percent-decodes; what is no escape stays as it is.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escape = match rest {
            [b'%', high, low, ..] => hex(*high).zip(hex(*low)),
            _ => None,
        };
        if let Some((high, low)) = escape {
            bytes.push(high << 4 | low);
            rest = rest.get(3..).unwrap_or_default();
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Percent-encodes everything but letters, digits and `-_.~/`, as `encoding-type=url` wants it.
pub(super) fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push_str(&super::sums::hex(&[byte]).to_ascii_uppercase());
        }
    }
    encoded
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(method: &str, uri: &str) -> Call {
        Call::of(&hyper::Request::builder().method(method).uri(uri).body(()).unwrap().into_parts().0)
    }

    #[test]
    fn requests_are_told_apart_by_method_and_query() {
        for (method, uri, op) in [
            ("GET", "/", Op::ListBuckets),
            ("GET", "/b?list-type=2&prefix=a", Op::ListObjectsV2),
            ("GET", "/b/?uploads", Op::ListMultipartUploads),
            ("POST", "/b/k?uploads", Op::CreateMultipartUpload),
            ("PUT", "/b/k?partNumber=1&uploadId=x", Op::UploadPart),
            ("POST", "/b/k?uploadId=x", Op::CompleteMultipartUpload),
            ("GET", "/b/k?acl", Op::Other),
        ] {
            assert_eq!(call(method, uri).op, op, "{method} {uri}");
        }
    }

    #[test]
    fn keys_and_queries_are_decoded() {
        let call = call("GET", "/b/a%20b/%C3%BC+100%25?prefix=a%2Fb+c");
        assert_eq!(call.key, "a b/ü+100%");
        assert_eq!(call.query("prefix"), Some("a/b c"));
    }
}
