//! The checksum of frames between peers and of files of the journal.

/// CRC-32C, bit by bit: who makes up frames and files has his own. Source: RFC 3720, appendix B.4.
pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32| (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg());
    let byte = |crc: u32, byte: &u8| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc));
    !bytes.iter().fold(u32::MAX, byte)
}
