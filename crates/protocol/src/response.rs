//! An answer: a code, perhaps a remark, fields and a body.
//!
//! Which code and which words is decided elsewhere (`controller`, `server`); here they become bytes.

use crate::header::HeaderView;
use crate::{ExtFields, Frame, HeaderEncoding, Text, frame};
use bytes::{Bytes, BytesMut};

/// What is written back for a request, or what came back for one of ours.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Response {
    /// One of [`crate::response_code`].
    pub code: i32,
    /// Words for the operator; peers never parse them.
    pub remark: Option<Text>,
    /// The fields.
    pub ext: ExtFields,
    /// The body; empty where there is none. At most [`crate::BODY_BYTES_MAX`] to be accepted.
    pub body: Bytes,
}

impl Response {
    /// An answer of `code` and nothing else.
    #[must_use]
    pub const fn new(code: i32) -> Self {
        Self { code, remark: None, ext: ExtFields::new(), body: Bytes::new() }
    }

    /// The same with a remark.
    #[must_use]
    pub fn with_remark(mut self, remark: impl Into<Text>) -> Self {
        self.remark = Some(remark.into());
        self
    }

    /// Appends the whole frame of this answer to `out`; `opaque` is that of the request.
    ///
    /// Peers read either encoding whatever they sent. Source: upstream
    /// `RemotingCommand#createResponseCommand`, language JAVA, version 0.
    pub fn encode(&self, opaque: i32, encoding: HeaderEncoding, out: &mut BytesMut) {
        let remark = self.remark.as_ref();
        let header = HeaderView::response(self.code, opaque, remark, &self.ext, encoding);
        frame::encode(&header, &self.body, out);
    }

    /// The answer in a frame, once its `opaque` has found the request.
    #[must_use]
    pub fn from_frame(frame: Frame) -> Self {
        let Frame { header, body } = frame;
        Self { code: header.code, remark: header.remark, ext: header.ext, body }
    }
}
