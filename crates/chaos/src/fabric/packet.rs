//! What the fabric must know of an IPv4 packet, and how it damages one so that TCP does not notice.
//!
//! ```text
//! 0         9        12        16        20 (4 x IHL)
//! |ver IHL..|protocol|source   |dest     |options…|TCP: ports, seq, ack, offset, flags, …, checksum|data
//! ```

use std::net::Ipv4Addr;

const TCP: u8 = 6;
const IP_HEADER: usize = 20;
const TCP_HEADER: usize = 20;

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;

/// An IPv4 packet and where its parts lie.
#[derive(Clone, Debug)]
pub(super) struct Packet {
    bytes: Vec<u8>,
    /// Where TCP begins, if it is TCP.
    tcp: Option<usize>,
}

impl Packet {
    /// Takes an IPv4 packet; anything else is `None`.
    pub(super) fn new(bytes: &[u8]) -> Option<Self> {
        let first = *bytes.first()?;
        let header = usize::from(first & 0x0f) * 4;
        if first >> 4 != 4 || header < IP_HEADER || bytes.len() < header {
            return None;
        }
        let has_tcp = bytes[9] == TCP && bytes.len() >= header + TCP_HEADER;
        Some(Self { bytes: bytes.to_vec(), tcp: has_tcp.then_some(header) })
    }

    pub(super) fn source(&self) -> Ipv4Addr {
        self.address(12)
    }

    pub(super) fn destination(&self) -> Ipv4Addr {
        self.address(16)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn is_syn(&self) -> bool {
        self.flags() & SYN != 0
    }

    /// Whether it ends a connection.
    pub(super) fn is_end(&self) -> bool {
        self.flags() & (FIN | RST) != 0
    }

    /// Whether it carries data of a connection.
    pub(super) fn has_data(&self) -> bool {
        self.data().is_some_and(|data| data < self.bytes.len())
    }

    /// Flips one bit of the data, chosen by `draw`, and repairs the TCP checksum: only the receiver's own
    /// check can notice. `false` if there is no data.
    pub(super) fn flip(&mut self, draw: u64) -> bool {
        let (Some(tcp), Some(data)) = (self.tcp, self.data()) else { return false };
        let length = self.bytes.len().saturating_sub(data);
        if length == 0 {
            return false;
        }
        let at = data + usize::try_from(draw >> 3).unwrap_or_default() % length;
        self.bytes[at] ^= 1 << (draw & 7);
        self.sum_tcp(tcp);
        true
    }

    /// Makes it the end of its connection, as if the sender's host had forgotten it.
    pub(super) fn into_reset(mut self) -> Option<Self> {
        let tcp = self.tcp?;
        self.bytes.truncate(tcp + TCP_HEADER);
        self.bytes[tcp + 12] = 5 << 4;
        self.bytes[tcp + 13] = RST | ACK;
        let total = u16::try_from(self.bytes.len()).ok()?;
        self.bytes[2..4].copy_from_slice(&total.to_be_bytes());
        self.bytes[10..12].fill(0);
        let sum = checksum(0, &self.bytes[..tcp]);
        self.bytes[10..12].copy_from_slice(&sum.to_be_bytes());
        self.sum_tcp(tcp);
        Some(self)
    }

    fn address(&self, at: usize) -> Ipv4Addr {
        let [a, b, c, d] = [0, 1, 2, 3].map(|more| self.bytes[at + more]);
        Ipv4Addr::new(a, b, c, d)
    }

    fn flags(&self) -> u8 {
        self.tcp.map_or(0, |tcp| self.bytes[tcp + 13])
    }

    /// Where the data of a TCP segment begins.
    fn data(&self) -> Option<usize> {
        let tcp = self.tcp?;
        Some(tcp + usize::from(self.bytes[tcp + 12] >> 4) * 4)
    }

    fn sum_tcp(&mut self, tcp: usize) {
        self.bytes[tcp + 16..tcp + 18].fill(0);
        let length = u32::try_from(self.bytes.len() - tcp).unwrap_or_default();
        let pseudo = words(&self.bytes[12..20]) + u32::from(TCP) + length;
        let sum = checksum(pseudo, &self.bytes[tcp..]);
        self.bytes[tcp + 16..tcp + 18].copy_from_slice(&sum.to_be_bytes());
    }
}

fn words(bytes: &[u8]) -> u32 {
    let pairs = bytes.chunks(2);
    pairs.map(|pair| u32::from(u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)]))).sum()
}

/// The Internet checksum. Source: RFC 1071.
fn checksum(start: u32, bytes: &[u8]) -> u16 {
    let mut sum = start + words(bytes);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).expect("folded to 16 bits")
}

#[cfg(test)]
mod tests {
    use super::{ACK, Packet, TCP, checksum, words};
    use crate::draw::Draw;

    fn segment(data: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; 40];
        bytes[0] = 0x45;
        bytes[9] = TCP;
        bytes[12..16].copy_from_slice(&[10, 77, 0, 1]);
        bytes[16..20].copy_from_slice(&[10, 77, 0, 2]);
        bytes[32] = 5 << 4;
        bytes[33] = ACK;
        bytes.extend_from_slice(data);
        bytes
    }

    /// A receiver's sum over a right segment is 0.
    fn tcp_sum(bytes: &[u8]) -> u16 {
        let length = u32::try_from(bytes.len() - 20).unwrap();
        checksum(words(&bytes[12..20]) + u32::from(TCP) + length, &bytes[20..])
    }

    #[test]
    fn a_flipped_bit_passes_the_checksum_of_tcp() {
        let whole = segment(b"seven b");
        for draw in [0, 9, 77, u64::MAX] {
            let mut packet = Packet::new(&whole).unwrap();
            assert!(packet.flip(draw));
            let differing: u32 = whole[40..]
                .iter()
                .zip(&packet.bytes()[40..])
                .map(|(a, b)| (a ^ b).count_ones())
                .sum();
            assert_eq!((differing, tcp_sum(packet.bytes())), (1, 0));
        }
        assert!(!Packet::new(&segment(b"")).unwrap().flip(1));
    }

    #[test]
    fn a_reset_is_a_whole_packet() {
        let reset = Packet::new(&segment(b"data")).unwrap().into_reset().unwrap();
        assert!(reset.is_end());
        assert_eq!(reset.bytes().len(), 40);
        assert_eq!((checksum(0, &reset.bytes()[..20]), tcp_sum(reset.bytes())), (0, 0));
    }

    #[test]
    fn no_bytes_can_stop_the_fabric() {
        let mut draw = Draw::new(3);
        for _ in 0..20_000 {
            let length = draw.index(70);
            let mut bytes: Vec<u8> =
                (0..length).map(|_| u8::try_from(draw.below(256)).unwrap()).collect();
            if let Some(first) = bytes.first_mut() {
                *first = 0x40 | (*first & 0x0f);
            }
            if let Some(mut packet) = Packet::new(&bytes) {
                packet.flip(draw.bits());
                let _ended = (packet.is_end(), packet.is_syn(), packet.has_data());
                drop(packet.into_reset());
            }
        }
    }
}
