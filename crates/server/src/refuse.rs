//! Codes and remarks of answers to requests that never reach the core.
//!
//! Requests that reach it are answered by `controller/src/respond.rs`, and by nobody else.

use crate::config::UpdateOutcome;
use bytes::Bytes;
use protocol::{ExtFields, Response, Text, response_code as code};

fn answer(code: i32, remark: Option<Text>, body: Bytes) -> Response {
    Response { code, remark, ext: ExtFields::new(), body }
}

/// No controller answers this request code. Source: upstream
/// `NettyRemotingAbstract#processRequestCommand`; the leading blank is part of the text.
pub(crate) fn code_not_supported(request_code: i32) -> Response {
    let remark = format!(" request type {request_code} not supported");
    answer(code::REQUEST_CODE_NOT_SUPPORTED, Some(remark.into()), Bytes::new())
}

/// The inbox of the core is full.
pub(crate) fn busy() -> Response {
    let remark = "[OVERLOAD]system busy, start flow control for a while";
    answer(code::SYSTEM_BUSY, Some(remark.into()), Bytes::new())
}

/// The body is longer than any that this request has; upstream has no such limit.
pub(crate) fn body_too_long(limit: &str, maximum: usize) -> Response {
    let remark = format!("the body exceeds {limit} ({maximum})");
    answer(code::SYSTEM_ERROR, Some(remark.into()), Bytes::new())
}

/// This process is stopping. Source: upstream `NettyRemotingAbstract`, `enableShutdownGracefully`.
pub(crate) fn go_away() -> Response {
    answer(code::GO_AWAY, Some("please go away".into()), Bytes::new())
}

/// 1010: the settings of this process.
pub(crate) fn config_listing(listing: String) -> Response {
    answer(code::SUCCESS, None, Bytes::from(listing))
}

/// 1009: what came of a change of settings. Source: upstream
/// `ControllerRequestProcessor#handleUpdateControllerConfig`.
pub(crate) fn config_updated(outcome: UpdateOutcome) -> Response {
    let (code, remark) = match outcome {
        UpdateOutcome::Done => (code::SUCCESS, None),
        UpdateOutcome::Malformed => (code::SYSTEM_ERROR, Some("string2Properties error")),
        UpdateOutcome::BlackListed => {
            (code::NO_PERMISSION, Some("Can not update config in black list."))
        }
        UpdateOutcome::TooManyKeys => {
            (code::SYSTEM_ERROR, Some("more keys than UPDATE_KEYS_MAX (1000)"))
        }
    };
    answer(code, remark.map(Into::into), Bytes::new())
}

/// A peer's hello that is not accepted.
pub(crate) fn hello_refused(why: &str) -> Response {
    answer(code::NO_PERMISSION, Some(format!("peer refused: {why}").into()), Bytes::new())
}

/// A peer's hello that is accepted; `body` is the hello of this peer.
pub(crate) fn hello_accepted(body: Bytes) -> Response {
    answer(code::SUCCESS, None, body)
}

#[cfg(test)]
mod tests {
    use super::config_updated;
    use crate::config::UpdateOutcome;

    #[test]
    fn changes_of_settings_are_answered_as_in_java() {
        let rows = [
            (UpdateOutcome::Done, 0, None),
            (UpdateOutcome::Malformed, 1, Some("string2Properties error")),
            (UpdateOutcome::BlackListed, 16, Some("Can not update config in black list.")),
            (UpdateOutcome::TooManyKeys, 1, Some("more keys than UPDATE_KEYS_MAX (1000)")),
        ];
        for (outcome, code, remark) in rows {
            let response = config_updated(outcome);
            assert_eq!((response.code, response.remark.as_deref()), (code, remark));
        }
    }
}
