//! Codes and remarks of answers to requests that never reach the core.
//!
//! Requests that reach it are answered by `controller/src/respond.rs`, and by nobody else.

use crate::config::UpdateOutcome;
use bytes::Bytes;
use protocol::{Response, response_code as code};

/// No controller answers this request code. Source: upstream
/// `NettyRemotingAbstract#processRequestCommand`; the leading blank is part of the text.
pub(crate) fn code_not_supported(request_code: i32) -> Response {
    let remark = format!(" request type {request_code} not supported");
    Response::new(code::REQUEST_CODE_NOT_SUPPORTED).with_remark(remark)
}

/// The inbox of the core is full.
pub(crate) fn busy() -> Response {
    let remark = "[OVERLOAD]system busy, start flow control for a while";
    Response::new(code::SYSTEM_BUSY).with_remark(remark)
}

/// The body is longer than any that this request has; upstream has no such limit.
pub(crate) fn body_too_long(limit: &str, maximum: usize) -> Response {
    let remark = format!("the body exceeds {limit} ({maximum})");
    Response::new(code::SYSTEM_ERROR).with_remark(remark)
}

/// An order that names no broker set, or a broker by no number.
pub(crate) fn order_unreadable() -> Response {
    let remark = "an election needs a `brokerName`, and a `brokerId` above 0 if there is one";
    Response::new(code::SYSTEM_ERROR).with_remark(remark)
}

/// This process is stopping. Source: upstream `NettyRemotingAbstract`, `enableShutdownGracefully`.
pub(crate) fn go_away() -> Response {
    Response::new(code::GO_AWAY).with_remark("please go away")
}

/// 1010: the settings of this process.
pub(crate) fn config_listing(listing: Bytes) -> Response {
    Response { body: listing, ..Response::new(code::SUCCESS) }
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
    Response { remark: remark.map(Into::into), ..Response::new(code) }
}

/// A peer's hello that is not accepted.
pub(crate) fn hello_refused(why: &str) -> Response {
    Response::new(code::NO_PERMISSION).with_remark(format!("peer refused: {why}"))
}

/// A peer's hello that is accepted; `body` is the hello of this peer.
pub(crate) fn hello_accepted(body: Bytes) -> Response {
    Response { body, ..Response::new(code::SUCCESS) }
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
