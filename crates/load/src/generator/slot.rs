//! Where the opaque stands inside a JSON header, and how it is written in place.
//!
//! The generator's opaques all have ten digits, so a prebuilt frame keeps its length when the
//! number changes, and changing it costs one digit as a rule:
//!
//! ```text
//! {"code":1004,…,"opaque":1000000041,…}   request, digits advanced in place
//! {"code":0,…,"opaque":1000000041,…}      answer, digits compared in place
//! ```
//!
//! It knows nothing else of a header; whoever needs a field decodes the frame with `protocol`.

/// Bytes before the header: total length, serialize type, header length.
pub(crate) const HEAD_BYTES: usize = 8;

/// Digits of every opaque that the generator sends.
pub(crate) const OPAQUE_DIGITS: usize = 10;

/// The first opaque: the smallest number of ten digits, a billion below the largest `i32`.
pub(crate) const OPAQUE_FIRST: i32 = 1_000_000_000;

const OPAQUE_KEY: &[u8] = b"\"opaque\":";

/// Byte length of the whole frame that begins `bytes`; `None` while its length is not there.
pub(crate) fn frame_bytes(bytes: &[u8]) -> Option<usize> {
    let total = bytes.first_chunk::<4>()?;
    let total = usize::try_from(u32::from_be_bytes(*total)).ok()?;
    total.checked_add(4)
}

/// Byte length of the header of `frame`, which must hold its 8 head bytes.
pub(crate) fn header_bytes(frame: &[u8]) -> Option<usize> {
    let [_, high, middle, low] = *frame.get(4..)?.first_chunk::<4>()?;
    usize::try_from(u32::from_be_bytes([0, high, middle, low])).ok()
}

/// Finds the ten digits of the opaque; `hint` is where they stood in the frame before.
///
/// Frames of one kind have their opaque at one place, so the search runs about once a connection.
/// `None` if there is no such member or its value has fewer than ten digits.
pub(crate) fn find_opaque(frame: &[u8], hint: usize) -> Option<usize> {
    if is_opaque_at(frame, hint) {
        return Some(hint);
    }
    let header_end = HEAD_BYTES.checked_add(header_bytes(frame)?)?;
    let header = frame.get(..header_end)?;
    let found = header.windows(OPAQUE_KEY.len()).position(|window| window == OPAQUE_KEY)?;
    let at = found + OPAQUE_KEY.len();
    is_opaque_at(header, at).then_some(at)
}

fn is_opaque_at(frame: &[u8], at: usize) -> bool {
    let Some(key_at) = at.checked_sub(OPAQUE_KEY.len()) else { return false };
    let Some(digits) = frame.get(at..at + OPAQUE_DIGITS) else { return false };
    &frame[key_at..at] == OPAQUE_KEY && digits.iter().all(u8::is_ascii_digit)
}

/// Writes an opaque of ten digits into its place.
pub(crate) fn write_opaque(digits: &mut [u8], opaque: i32) {
    let mut rest = opaque;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + u8::try_from(rest % 10).unwrap_or_default();
        rest /= 10;
    }
}

/// Adds one to a decimal number in place; all nines become all noughts.
pub(crate) fn increment(digits: &mut [u8]) {
    for digit in digits.iter_mut().rev() {
        if *digit < b'9' {
            *digit += 1;
            return;
        }
        *digit = b'0';
    }
}

#[cfg(test)]
mod tests {
    use super::{find_opaque, frame_bytes, header_bytes, increment};

    const FRAME: &[u8] = b"\0\0\0\x24\0\0\0\x1e{\"code\":0,\"opaque\":1000000041}xy";

    #[test]
    fn the_opaque_is_found_with_and_without_a_hint() {
        for hint in [0, 8, 27, 4096] {
            assert_eq!(find_opaque(FRAME, hint), Some(27), "hint {hint}");
        }
        assert_eq!(find_opaque(b"\0\0\0\x12\0\0\0\x0e{\"opaque\":123}", 0), None);
        assert_eq!(find_opaque(b"\0\0\0\x06\0\0\0\x02{}", 0), None);
        assert_eq!(find_opaque(b"", 0), None);
    }

    #[test]
    fn lengths_are_read_from_the_head() {
        assert_eq!((frame_bytes(FRAME), header_bytes(FRAME)), (Some(40), Some(30)));
        assert_eq!((frame_bytes(b"\0\0\0"), header_bytes(b"\0\0\0\x01\0\0")), (None, None));
    }

    #[test]
    fn digits_count_on() {
        for (before, after) in [("1000000000", "1000000001"), ("1000000999", "1000001000")] {
            let mut digits = before.as_bytes().to_vec();
            increment(&mut digits);
            assert_eq!(digits, after.as_bytes());
        }
    }
}
