//! What is sent as an object or a part: bytes in memory, or a stream of known length for parts larger
//! than their share of the memory.

use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::mpsc::{Receiver, Sender};
use tokio::time::Sleep;

use super::attempt::Attempt;
use super::pace::Pace;

/// Bytes in memory go to the connection in pieces of this many, so that progress shows.
const PIECE: usize = 256 << 10;

/// Feeds a streamed body. Dropping it before all bytes came fails the request.
pub type StreamFeed = Sender<std::io::Result<Bytes>>;

/// The bytes of a part.
#[derive(Debug)]
pub enum PartBody {
    /// In memory.
    Bytes(Bytes),
    /// Fed while it is sent.
    Stream(StreamBody),
}

/// A body of exactly `left` more bytes.
#[derive(Debug)]
pub struct StreamBody {
    chunks: Receiver<std::io::Result<Bytes>>,
    left: u64,
}

/// A streamed body of `len` bytes and the feed for it; one chunk waits while one is sent.
#[must_use]
pub fn stream(len: u64) -> (StreamFeed, PartBody) {
    let (feed, chunks) = tokio::sync::mpsc::channel(1);
    (feed, PartBody::Stream(StreamBody { chunks, left: len }))
}

impl PartBody {
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Stream(stream) => stream.left,
        }
    }

    /// The body as the SDK sends it, at its `pace`; `attempt` learns of every piece that the connection
    /// takes.
    pub(super) fn into_stream(self, attempt: Attempt, pace: Arc<Pace>) -> ByteStream {
        ByteStream::new(SdkBody::from_body_1_x(Outgoing { body: self, attempt, pace, waiting: None }))
    }

    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<std::io::Result<Bytes>>> {
        match self {
            Self::Bytes(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Bytes(bytes) => Poll::Ready(Some(Ok(bytes.split_to(PIECE.min(bytes.len()))))),
            Self::Stream(stream) => stream.poll_chunk(context),
        }
    }
}

/// A body whose progress is watched.
#[derive(Debug)]
struct Outgoing {
    body: PartBody,
    attempt: Attempt,
    pace: Arc<Pace>,
    /// A piece whose turn has not come, and when it does.
    waiting: Option<(Bytes, Pin<Box<Sleep>>)>,
}

impl Outgoing {
    fn go(&self, piece: Bytes) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        self.attempt.moved();
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn left(&self) -> u64 {
        self.body.len() + self.waiting.as_ref().map_or(0, |(piece, _)| piece.len() as u64)
    }
}

impl StreamBody {
    fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<std::io::Result<Bytes>>> {
        match self.chunks.poll_recv(context) {
            Poll::Ready(Some(Ok(chunk))) => {
                self.left = self.left.saturating_sub(chunk.len() as u64);
                Poll::Ready(Some(Ok(chunk)))
            }
            Poll::Ready(None) if self.left > 0 => {
                Poll::Ready(Some(Err(std::io::Error::other("the file could not be read to the part's end"))))
            }
            other => other,
        }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        if self.waiting.is_none() {
            match ready!(self.body.poll_piece(context)) {
                Some(Ok(piece)) => match self.pace.turn(piece.len() as u64) {
                    Some(turn) => {
                        self.attempt.held_until(turn);
                        self.waiting = Some((piece, Box::pin(tokio::time::sleep_until(turn))));
                    }
                    None => return self.go(piece),
                },
                other => return Poll::Ready(other.map(|piece| piece.map(Frame::data))),
            }
        }
        if let Some((_, turn)) = &mut self.waiting {
            ready!(turn.as_mut().poll(context));
        }
        match self.waiting.take() {
            Some((piece, _)) => self.go(piece),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left())
    }
}
