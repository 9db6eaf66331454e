//! Connections: counts, denied operations, and every fault that lies below S3.
//!
//! A request's body is always read to its end before an error is answered, as far as the client sends
//! it: a reply that overtakes the body reaches some clients as a broken pipe and not as the error.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::HeaderValue;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use s3s::StdError;
use s3s::service::S3Service;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Sleep, sleep};

use super::faults::{Fault, Faults, Hits};
use super::op::{Call, Op};

/// How many requests came, by operation.
#[derive(Debug, Default)]
pub(super) struct Counts(Mutex<BTreeMap<Op, u64>>);

impl Counts {
    pub(super) fn add(&self, op: Op) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(op).or_default() += 1;
    }

    pub(super) fn all(&self) -> BTreeMap<Op, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What all connections share.
pub(super) struct Wire {
    pub(super) service: S3Service,
    pub(super) faults: Faults,
    pub(super) counts: Arc<Counts>,
    pub(super) replies: AtomicU64,
}

/// Serves one connection until either side closes it or a fault resets it.
pub(super) async fn serve(wire: Arc<Wire>, stream: TcpStream) {
    let kill = Arc::new(Kill::default());
    let io = TokioIo::new(Line { stream, kill: Arc::clone(&kill) });
    let line_kill = Arc::clone(&kill);
    let service = service_fn(move |request| answer(Arc::clone(&wire), Arc::clone(&line_kill), request));
    let connection =
        hyper::server::conn::http1::Builder::new().timer(TokioTimer::new()).serve_connection(io, service);
    tokio::select! {
        // Clients that go away are none of the server's errors.
        _ = connection => {}
        () = kill.done.notified() => {}
    }
}

async fn answer(
    wire: Arc<Wire>,
    kill: Arc<Kill>,
    request: Request<Incoming>,
) -> Result<Response<Reply>, StdError> {
    let (mut parts, body) = request.into_parts();
    let call = Call::of(&parts);
    wire.counts.add(call.op);
    let hits = wire.faults.meet(&call);
    let body = Arc::new(Mutex::new(body));
    let inbound = || Inbound {
        body: Arc::clone(&body),
        pace: Pace::of(&hits),
        kill: Arc::clone(&kill),
        reset: reset_at(&hits, true),
        stall: stall_at(&hits, true),
        seen: 0,
    };
    let said = hits.find(|fault| match fault {
        Fault::Say { status, body } => Some((*status, body.clone())),
        _ => None,
    });
    let told = if wire.faults.denies(call.op) {
        Some((StatusCode::FORBIDDEN, "AccessDenied"))
    } else {
        instead(&hits, &parts.headers)
    };
    let mut response = if let Some((status, code)) = told {
        drain(inbound()).await?;
        error_reply(&call, &parts.method, status, code)
    } else if let Some((status, body)) = said {
        drain(inbound()).await?;
        xml_reply(StatusCode::from_u16(status).unwrap_or_default(), s3s::Body::from(body))
    } else {
        parts.extensions.insert(hits.clone());
        let request = Request::from_parts(parts, s3s::Body::http_body(inbound()));
        wire.service.call(request).await.map_err(StdError::from)?
    };
    if !response.status().is_success() {
        drain(inbound()).await?;
    }
    for fault in &*hits.0 {
        match fault {
            Fault::DelayReply(delay) => sleep(*delay).await,
            Fault::DateOff { seconds } => {
                let date = chrono::Utc::now() + chrono::TimeDelta::seconds(*seconds);
                let text = date.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
                response.headers_mut().insert("date", HeaderValue::from_str(&text)?);
            }
            Fault::DropReply => return Err(kill.pull()),
            _ => {}
        }
    }
    let number = wire.replies.fetch_add(1, Ordering::Relaxed);
    if let Ok(value) = HeaderValue::from_str(&format!("{number:016X}")) {
        response.headers_mut().insert("x-amz-request-id", value);
    }
    Ok(response.map(|body| Reply {
        body,
        held: Bytes::new(),
        pace: Pace::of(&hits),
        kill,
        reset: reset_at(&hits, false),
        stall: stall_at(&hits, false),
        seen: 0,
    }))
}

/// The error that a fault puts in place of the operation.
fn instead(hits: &Hits, headers: &hyper::HeaderMap) -> Option<(StatusCode, &'static str)> {
    let speaks_crc64 = || {
        headers.iter().any(|(name, value)| {
            name == "x-amz-checksum-crc64nvme"
                || (name.as_str().starts_with("x-amz-")
                    && value.to_str().is_ok_and(|value| {
                        value.eq_ignore_ascii_case("crc64nvme") || value == "x-amz-checksum-crc64nvme"
                    }))
        })
    };
    hits.find(|fault| match fault {
        Fault::Answer { status, code } => Some((StatusCode::from_u16(*status).unwrap_or_default(), *code)),
        Fault::ErrorInside200 { code } => Some((StatusCode::OK, *code)),
        Fault::DenyUnconditional if !headers.contains_key("if-none-match") => {
            Some((StatusCode::FORBIDDEN, "AccessDenied"))
        }
        Fault::RejectCrc64 { status } if speaks_crc64() => {
            Some((StatusCode::from_u16(*status).unwrap_or_default(), "NotImplemented"))
        }
        _ => None,
    })
}

fn error_reply(call: &Call, method: &Method, status: StatusCode, code: &str) -> Response<s3s::Body> {
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{code}, answered to {:?} as \
         told</Message></Error>",
        call.op
    );
    let body = if method == Method::HEAD { s3s::Body::empty() } else { s3s::Body::from(text) };
    xml_reply(status, body)
}

fn xml_reply(status: StatusCode, body: s3s::Body) -> Response<s3s::Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/xml"));
    response
}

fn reset_at(hits: &Hits, request: bool) -> Option<u64> {
    hits.find(|fault| match fault {
        Fault::ResetRequest { at } if request => Some(*at),
        Fault::ResetResponse { at } if !request => Some(*at),
        _ => None,
    })
}

fn stall_at(hits: &Hits, request: bool) -> Option<u64> {
    hits.find(|fault| match fault {
        Fault::StallRequest { at } if request => Some(*at),
        Fault::StallResponse { at } if !request => Some(*at),
        _ => None,
    })
}

async fn drain(mut body: Inbound) -> Result<(), StdError> {
    while let Some(frame) = body.frame().await {
        frame?;
    }
    Ok(())
}

/// The wish to reset the connection.
#[derive(Default)]
struct Kill {
    pulled: AtomicBool,
    done: Notify,
}

impl Kill {
    fn pull(&self) -> StdError {
        self.pulled.store(true, Ordering::Relaxed);
        self.done.notify_one();
        Box::new(io::Error::from(io::ErrorKind::ConnectionReset))
    }

    fn check(&self) -> io::Result<()> {
        if self.pulled.load(Ordering::Relaxed) { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(()) }
    }
}

/// The connection, cut the hard way once the wish is there.
struct Line {
    stream: TcpStream,
    kill: Arc<Kill>,
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.kill.check().is_err() {
            // Makes the close a reset; where it fails the client sees an early end, which is as well.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.kill.check()?;
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Line {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.kill.check()?;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.kill.check()?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.kill.check()?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Waits after each piece as long as the piece takes at the rate.
struct Pace {
    rate: Option<u64>,
    wait: Option<Pin<Box<Sleep>>>,
}

impl Pace {
    fn of(hits: &Hits) -> Self {
        let rate = hits.find(|fault| match fault {
            Fault::Drip { bytes_per_second } => Some((*bytes_per_second).max(1)),
            _ => None,
        });
        Self { rate, wait: None }
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(wait) = &mut self.wait {
            ready!(wait.as_mut().poll(cx));
            self.wait = None;
        }
        Poll::Ready(())
    }

    /// Bytes to let through at once: a twentieth of a second's.
    fn piece(&self) -> usize {
        self.rate.map_or(usize::MAX, |rate| usize::try_from((rate / 20).max(1)).unwrap_or(usize::MAX))
    }

    fn passed(&mut self, bytes: usize) {
        if let Some(rate) = self.rate {
            let micros = (bytes as u64).saturating_mul(1_000_000) / rate;
            self.wait = Some(Box::pin(sleep(Duration::from_micros(micros))));
        }
    }
}

/// A request's body; clones read on where the others stopped.
struct Inbound {
    body: Arc<Mutex<Incoming>>,
    pace: Pace,
    kill: Arc<Kill>,
    reset: Option<u64>,
    stall: Option<u64>,
    seen: u64,
}

impl Body for Inbound {
    type Data = Bytes;
    type Error = StdError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        ready!(self.pace.poll_ready(cx));
        if self.reset.is_some_and(|at| self.seen >= at) {
            return Poll::Ready(Some(Err(self.kill.pull())));
        }
        if self.stall.is_some_and(|at| self.seen >= at) {
            // Nobody wakes this: the connection stays as it is until the client gives up.
            return Poll::Pending;
        }
        let frame = {
            let mut body = self.body.lock().unwrap_or_else(PoisonError::into_inner);
            ready!(Pin::new(&mut *body).poll_frame(cx))
        };
        let Some(frame) = frame.transpose()? else { return Poll::Ready(None) };
        let len = frame.data_ref().map_or(0, Bytes::len);
        self.seen += len as u64;
        if self.reset.is_some_and(|at| self.seen >= at) {
            return Poll::Ready(Some(Err(self.kill.pull())));
        }
        self.pace.passed(len);
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.reset.is_none()
            && self.stall.is_none()
            && self.body.lock().unwrap_or_else(PoisonError::into_inner).is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.lock().unwrap_or_else(PoisonError::into_inner).size_hint()
    }
}

/// A reply's body.
struct Reply {
    body: s3s::Body,
    /// What the pace or the reset holds back of the last piece.
    held: Bytes,
    pace: Pace,
    kill: Arc<Kill>,
    reset: Option<u64>,
    stall: Option<u64>,
    seen: u64,
}

impl Body for Reply {
    type Data = Bytes;
    type Error = StdError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        ready!(self.pace.poll_ready(cx));
        let left = self.reset.map(|at| at.saturating_sub(self.seen));
        if left == Some(0) {
            return Poll::Ready(Some(Err(self.kill.pull())));
        }
        if self.stall.is_some_and(|at| self.seen >= at) {
            return Poll::Pending;
        }
        if self.held.is_empty() {
            let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(cx)).transpose()? else {
                return Poll::Ready(None);
            };
            match frame.into_data() {
                Ok(data) => self.held = data,
                Err(frame) => return Poll::Ready(Some(Ok(frame))),
            }
        }
        let most = left.map_or(usize::MAX, |left| usize::try_from(left).unwrap_or(usize::MAX));
        let len = self.held.len().min(self.pace.piece()).min(most);
        let piece = self.held.split_to(len);
        self.seen += len as u64;
        self.pace.passed(len);
        if left.is_some_and(|left| len as u64 >= left) {
            // The bytes before the reset get a moment to reach the client.
            self.pace.wait = Some(Box::pin(sleep(Duration::from_millis(20))));
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.reset.is_none() && self.stall.is_none() && self.held.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let held = self.held.len() as u64;
        let rest = self.body.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower() + held);
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper + held);
        }
        hint
    }
}
