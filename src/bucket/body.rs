//! What is sent as a part: bytes in memory, or a stream of known length for parts larger than their
//! share of the memory.

use std::pin::Pin;
use std::task::{Context, Poll};

use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::mpsc::{Receiver, Sender};

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

    pub(super) fn into_stream(self) -> ByteStream {
        match self {
            Self::Bytes(bytes) => ByteStream::from(bytes),
            Self::Stream(stream) => ByteStream::new(SdkBody::from_body_1_x(stream)),
        }
    }
}

impl Body for StreamBody {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        match self.chunks.poll_recv(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(Ok(chunk))) => {
                self.left = self.left.saturating_sub(chunk.len() as u64);
                Poll::Ready(Some(Ok(Frame::data(chunk))))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error))),
            Poll::Ready(None) if self.left == 0 => Poll::Ready(None),
            Poll::Ready(None) => {
                Poll::Ready(Some(Err(std::io::Error::other("the file could not be read to the part's end"))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
