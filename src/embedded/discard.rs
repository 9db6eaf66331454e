//! Answers S3 without hashing, storing or checking anything, so that a benchmark measures clients.
//!
//! It remembers the size of every object, tells back the checksums it was sent, and keeps the content
//! of keys that end in `.json` (a program may read its own records again). All else reads as zeros.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::fmt::Write as _;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::op::{Call, Op, percent_encoded as url_encoded};
use super::wire::Counts;

/// The entity tag of everything: of the multipart form, which no client takes for an MD5.
const ETAG: HeaderValue = HeaderValue::from_static("\"00000000000000000000000000000000-1\"");
/// When everything was modified.
const MODIFIED: &str = "2025-08-18T01:00:00.000Z";
/// The largest `.json` that is kept.
const MAX_KEPT: usize = 16 * 1024 * 1024;
static ZEROS: [u8; 256 * 1024] = [0; 256 * 1024];

struct Object {
    size: u64,
    content: Option<Bytes>,
    sums: Vec<(HeaderName, HeaderValue)>,
    metadata: Vec<(HeaderName, HeaderValue)>,
}

#[derive(Default)]
struct Upload {
    /// Sizes of parts by number.
    parts: BTreeMap<u32, u64>,
    metadata: Vec<(HeaderName, HeaderValue)>,
}

pub(super) struct Discard {
    /// By `bucket/key`.
    objects: Mutex<BTreeMap<String, Object>>,
    uploads: Mutex<HashMap<String, Upload>>,
    next_upload: AtomicU64,
    counts: Arc<Counts>,
}

pub(super) async fn serve(
    discard: Arc<Discard>,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) {
    let service = service_fn(move |request| {
        let discard = Arc::clone(&discard);
        async move { Ok::<_, Infallible>(discard.answer(request).await) }
    });
    // Clients that go away are none of the server's errors.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

impl Discard {
    pub(super) fn new(objects: &BTreeMap<String, u64>, counts: Arc<Counts>) -> Self {
        let known = objects.iter().map(|(path, size)| {
            (path.clone(), Object { size: *size, content: None, sums: Vec::new(), metadata: Vec::new() })
        });
        Self {
            objects: Mutex::new(known.collect()),
            uploads: Mutex::default(),
            next_upload: AtomicU64::new(1),
            counts,
        }
    }

    fn objects(&self) -> MutexGuard<'_, BTreeMap<String, Object>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn uploads(&self) -> MutexGuard<'_, HashMap<String, Upload>> {
        self.uploads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Content> {
        let (parts, body) = request.into_parts();
        let call = Call::of(&parts);
        self.counts.add(call.op);
        let record = std::path::Path::new(&call.key).extension().is_some_and(|extension| extension == "json");
        let keeps = call.op == Op::PutObject && record;
        let Ok((size, content)) = take(body, keeps).await else {
            return error(StatusCode::BAD_REQUEST, "IncompleteBody");
        };
        // The wire form of a signed stream is longer than what it carries.
        let decoded = parts
            .headers
            .get("x-amz-decoded-content-length")
            .and_then(|value| value.to_str().ok()?.parse().ok());
        let size = decoded.unwrap_or(size);
        let mut response = match call.op {
            Op::PutObject => self.put(&call, &parts.headers, size, content),
            Op::CreateMultipartUpload => self.begin(&call, &parts.headers),
            Op::UploadPart => self.put_part(&call, size),
            Op::CompleteMultipartUpload => self.complete(&call, &parts.headers),
            Op::GetObject | Op::HeadObject => self.read(&call, &parts.method, &parts.headers),
            Op::ListObjectsV2 | Op::ListObjects => self.list(&call),
            Op::DeleteObject | Op::AbortMultipartUpload => {
                self.objects().remove(&call.path());
                status(StatusCode::NO_CONTENT)
            }
            Op::CreateBucket | Op::HeadBucket | Op::PutBucketVersioning => status(StatusCode::OK),
            Op::GetBucketLocation => {
                xml("<LocationConstraint xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"/>")
            }
            Op::GetBucketVersioning => xml("<VersioningConfiguration/>"),
            Op::ListMultipartUploads => xml(
                "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>",
            ),
            Op::ListParts => xml("<ListPartsResult><IsTruncated>false</IsTruncated></ListPartsResult>"),
            Op::ListBuckets => xml("<ListAllMyBucketsResult><Buckets/></ListAllMyBucketsResult>"),
            Op::DeleteBucket
            | Op::ListObjectVersions
            | Op::CopyObject
            | Op::GetObjectAttributes
            | Op::RestoreObject
            | Op::DeleteObjects
            | Op::GetBucketEncryption
            | Op::GetPublicAccessBlock
            | Op::GetBucketOwnershipControls
            | Op::GetBucketPolicyStatus
            | Op::GetBucketLifecycleConfiguration
            | Op::GetObjectLockConfiguration
            | Op::Other => error(StatusCode::NOT_IMPLEMENTED, "NotImplemented"),
        };
        if matches!(call.op, Op::PutObject | Op::UploadPart) {
            response.headers_mut().extend(sums(&parts.headers));
        }
        response
    }

    fn put(&self, call: &Call, headers: &HeaderMap, size: u64, content: Option<Bytes>) -> Response<Content> {
        let mut objects = self.objects();
        if headers.contains_key("if-none-match") && objects.contains_key(&call.path()) {
            return error(StatusCode::PRECONDITION_FAILED, "PreconditionFailed");
        }
        objects.insert(
            call.path(),
            Object { size, content, sums: sums(headers).collect(), metadata: metadata(headers) },
        );
        tagged(status(StatusCode::OK))
    }

    fn begin(&self, call: &Call, headers: &HeaderMap) -> Response<Content> {
        let id = format!("upload-{}", self.next_upload.fetch_add(1, Ordering::Relaxed));
        let upload = Upload { metadata: metadata(headers), ..Upload::default() };
        self.uploads().insert(id.clone(), upload);
        xml(&format!(
            "<InitiateMultipartUploadResult><Bucket>{}</Bucket><Key>{}</Key><UploadId>{id}</UploadId></InitiateMultipartUploadResult>",
            escaped(&call.bucket),
            escaped(&call.key)
        ))
    }

    fn put_part(&self, call: &Call, size: u64) -> Response<Content> {
        let number = call.query("partNumber").and_then(|number| number.parse().ok()).unwrap_or_default();
        let mut uploads = self.uploads();
        let Some(upload) = call.query("uploadId").and_then(|id| uploads.get_mut(id)) else {
            return error(StatusCode::NOT_FOUND, "NoSuchUpload");
        };
        upload.parts.insert(number, size);
        tagged(status(StatusCode::OK))
    }

    fn complete(&self, call: &Call, headers: &HeaderMap) -> Response<Content> {
        let mut objects = self.objects();
        if headers.contains_key("if-none-match") && objects.contains_key(&call.path()) {
            return error(StatusCode::PRECONDITION_FAILED, "PreconditionFailed");
        }
        let Some(upload) = call.query("uploadId").and_then(|id| self.uploads().remove(id)) else {
            return error(StatusCode::NOT_FOUND, "NoSuchUpload");
        };
        let told = sums(headers)
            .filter_map(|(name, value)| {
                let value = value.to_str().ok()?.to_owned();
                let name = match name.as_str().strip_prefix("x-amz-checksum-")? {
                    "type" => "ChecksumType".to_owned(),
                    kind => format!("Checksum{}", kind.to_ascii_uppercase()),
                };
                Some(format!("<{name}>{}</{name}>", escaped(&value)))
            })
            .collect::<String>();
        let size = upload.parts.values().sum();
        objects.insert(
            call.path(),
            Object { size, content: None, sums: sums(headers).collect(), metadata: upload.metadata },
        );
        xml(&format!(
            "<CompleteMultipartUploadResult><Location>/{path}</Location><Bucket>{}</Bucket><Key>{}</Key>\
             <ETag>&quot;00000000000000000000000000000000-1&quot;</ETag>{told}</CompleteMultipartUploadResult>",
            escaped(&call.bucket),
            escaped(&call.key),
            path = escaped(&call.path()),
        ))
    }

    fn read(&self, call: &Call, method: &Method, headers: &HeaderMap) -> Response<Content> {
        let objects = self.objects();
        let Some(object) = objects.get(&call.path()) else {
            return error(StatusCode::NOT_FOUND, "NoSuchKey");
        };
        let range = headers.get("range").and_then(|range| range.to_str().ok());
        let Some((from, to)) = span(range, object.size) else {
            return error(StatusCode::RANGE_NOT_SATISFIABLE, "InvalidRange");
        };
        let content = match &object.content {
            Some(bytes) => {
                let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
                Content::Bytes(bytes.slice(at(from)..at(to)))
            }
            None => Content::Zeros(to - from),
        };
        let head = method == Method::HEAD;
        let mut response = tagged(Response::new(if head { Content::Bytes(Bytes::new()) } else { content }));
        let out = response.headers_mut();
        out.insert("content-length", HeaderValue::from(to - from));
        out.insert("accept-ranges", HeaderValue::from_static("bytes"));
        out.insert("last-modified", HeaderValue::from_static("Mon, 18 Aug 2025 01:00:00 GMT"));
        out.extend(object.metadata.iter().cloned());
        if range.is_some() {
            if let Ok(value) =
                HeaderValue::from_str(&format!("bytes {from}-{}/{}", to.saturating_sub(1), object.size))
            {
                out.insert("content-range", value);
            }
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        } else if headers.contains_key("x-amz-checksum-mode") {
            out.extend(object.sums.iter().cloned());
        }
        response
    }

    fn list(&self, call: &Call) -> Response<Content> {
        let base = format!("{}/", call.bucket);
        let prefix = call.query("prefix").unwrap_or_default();
        let after = call.query("continuation-token").or(call.query("start-after")).or(call.query("marker"));
        let encodes = call.query("encoding-type").is_some();
        let objects = self.objects();
        let start = format!("{base}{}", after.unwrap_or_default().max(prefix));
        let mut found = objects
            .range(start..)
            .map_while(|(path, object)| Some((path.strip_prefix(&base)?, object)))
            .skip_while(|(key, _)| after.is_some_and(|after| *key <= after))
            .take_while(|(key, _)| key.starts_with(prefix))
            .peekable();
        let mut contents = String::new();
        let (mut count, mut last) = (0, String::new());
        for (key, object) in found.by_ref().take(1000) {
            let told = if encodes { url_encoded(key) } else { escaped(key) };
            // Writing to a string cannot fail.
            let _ = write!(
                contents,
                "<Contents><Key>{told}</Key><LastModified>{MODIFIED}</LastModified><ETag>&quot;00000000000000000000000000000000-1&quot;</ETag>\
                 <Size>{}</Size><StorageClass>STANDARD</StorageClass></Contents>",
                object.size
            );
            count += 1;
            key.clone_into(&mut last);
        }
        let more = found.peek().is_some();
        let token = if more {
            format!(
                "<NextContinuationToken>{0}</NextContinuationToken><NextMarker>{0}</NextMarker>",
                escaped(&last)
            )
        } else {
            String::new()
        };
        let encoding = if encodes { "<EncodingType>url</EncodingType>" } else { "" };
        xml(&format!(
            "<ListBucketResult><Name>{}</Name><Prefix>{}</Prefix><MaxKeys>1000</MaxKeys><KeyCount>{count}</KeyCount>{encoding}\
             <IsTruncated>{more}</IsTruncated>{token}{contents}</ListBucketResult>",
            escaped(&call.bucket),
            if encodes { url_encoded(prefix) } else { escaped(prefix) },
        ))
    }
}

/// Reads a body to its end: its size, and its bytes where they are to be kept.
async fn take(mut body: Incoming, keep: bool) -> Result<(u64, Option<Bytes>), hyper::Error> {
    let mut size = 0;
    let mut kept = Vec::new();
    while let Some(frame) = body.frame().await {
        if let Some(data) = frame?.data_ref() {
            size += data.len() as u64;
            if keep && kept.len() + data.len() <= MAX_KEPT {
                kept.extend_from_slice(data);
            }
        }
    }
    Ok((size, keep.then(|| kept.into())))
}

/// The checksum headers among `headers`.
fn sums(headers: &HeaderMap) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    headers
        .iter()
        .filter(|(name, _)| {
            name.as_str().starts_with("x-amz-checksum-") && !name.as_str().ends_with("-algorithm")
        })
        .map(|(name, value)| (name.clone(), value.clone()))
}

/// User metadata, where some clients keep hashes of their own.
fn metadata(headers: &HeaderMap) -> Vec<(HeaderName, HeaderValue)> {
    let theirs = headers.iter().filter(|(name, _)| name.as_str().starts_with("x-amz-meta-"));
    theirs.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// The offsets that a range header asks for.
fn span(range: Option<&str>, size: u64) -> Option<(u64, u64)> {
    let Some(range) = range else { return Some((0, size)) };
    let range = s3s::dto::Range::parse(range).ok()?.check(size).ok()?;
    Some((range.start, range.end))
}

fn status(status: StatusCode) -> Response<Content> {
    let mut response = Response::new(Content::Bytes(Bytes::new()));
    *response.status_mut() = status;
    response
}

fn tagged(mut response: Response<Content>) -> Response<Content> {
    response.headers_mut().insert("etag", ETAG);
    response
}

fn xml(text: &str) -> Response<Content> {
    let text = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{text}");
    let mut response = Response::new(Content::Bytes(text.into()));
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/xml"));
    response
}

fn error(status: StatusCode, code: &str) -> Response<Content> {
    let mut response = xml(&format!("<Error><Code>{code}</Code><Message>{code}</Message></Error>"));
    *response.status_mut() = status;
    response
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// What a reply carries.
enum Content {
    Bytes(Bytes),
    Zeros(u64),
}

impl Body for Content {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = match &mut *self {
            Self::Bytes(bytes) => std::mem::take(bytes),
            Self::Zeros(left) => {
                let len = usize::try_from(*left).unwrap_or(usize::MAX).min(ZEROS.len());
                *left -= len as u64;
                Bytes::from_static(ZEROS.get(..len).unwrap_or_default())
            }
        };
        Poll::Ready((!piece.is_empty()).then(|| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Bytes(bytes) => bytes.is_empty(),
            Self::Zeros(left) => *left == 0,
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Zeros(left) => *left,
        })
    }
}
