//! B1-B6, B10-B15, B24: bytes that are no frame, or no header. Nothing behind them can be trusted, so the
//! connection ends, without an answer and without waiting for the rest.

use protocol::{EXT_FIELDS_MAX, FRAME_BYTES_MAX, HEADER_BYTES_MAX, response_code};

use crate::ground::{Ground, framed};

struct Row {
    name: String,
    bytes: Vec<u8>,
}

fn row(name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Row {
    Row { name: name.into(), bytes: bytes.into() }
}

#[test]
fn bytes_that_are_no_frame_end_the_connection() {
    let mut ground = Ground::new("");
    let prefixes = prefixes();
    let headers: Vec<Row> = json_headers().into_iter().chain(binary_headers()).collect();
    for node in ground.two_kinds() {
        let before = ground.refused(node, "malformed frame");
        check(&mut ground, node, &prefixes);
        let counted = ground.refused(node, "malformed frame") - before;
        assert_eq!(counted, u64::try_from(prefixes.len()).unwrap(), "each is counted");
        let before = ground.refused(node, "malformed header");
        check(&mut ground, node, &headers);
        let counted = ground.refused(node, "malformed header") - before;
        assert_eq!(counted, u64::try_from(headers.len()).unwrap(), "each is counted");
    }
}

fn check(ground: &mut Ground, node: usize, rows: &[Row]) {
    for Row { name, bytes } in rows {
        let mut wire = ground.connect(node);
        wire.send(bytes);
        wire.must_end(name);
        ground.check(name);
    }
}

/// B1-B6, B10: what is wrong with the first four or eight bytes. Nothing more is sent, so the controller must
/// judge by them alone.
fn prefixes() -> Vec<Row> {
    let max = u32::try_from(FRAME_BYTES_MAX).expect("16 MiB fit");
    let header_max = u32::try_from(HEADER_BYTES_MAX).expect("2 MiB fit");
    let mut rows = Vec::new();
    for length in [0, 1, 2, 3] {
        rows.push(row(format!("B1 length {length}"), length_only(length)));
    }
    for length in [u32::MAX, 1 << 31, i32::MAX.unsigned_abs()] {
        rows.push(row(format!("B2 length {length}"), length_only(length)));
    }
    for length in [max, max - 3] {
        rows.push(row(format!("B3 length {length}"), length_only(length)));
    }
    for (length, header) in [(4, 1), (100, 97), (100, 0x00ff_ffff)] {
        rows.push(row(format!("B4 header {header} in {length}"), prefix(length, 0, header)));
    }
    for kind in [2, 0x7f, 0xff] {
        rows.push(row(format!("B5 type {kind}"), prefix(100, kind, 10)));
    }
    for kind in [0, 1] {
        rows.push(row(format!("B6 empty header of type {kind}"), prefix(100, kind, 0)));
    }
    let spaces = prefix(max - 4, 0, max - 8);
    rows.push(row("B11 a header of 16 MiB", spaces));
    rows.push(row("B11 a header over its limit", prefix(header_max + 5, 0, header_max + 1)));
    rows.push(row("B10 TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".as_slice()));
    rows.push(row("B10 HTTP", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".as_slice()));
    rows.push(row("B10 SSH", b"SSH-2.0-x\r\n".as_slice()));
    rows.push(row("B10 proxy protocol", b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n".as_slice()));
    rows
}

fn length_only(length: u32) -> Vec<u8> {
    length.to_be_bytes().to_vec()
}

fn prefix(length: u32, kind: u8, header: u32) -> Vec<u8> {
    [length.to_be_bytes(), (header | u32::from(kind) << 24).to_be_bytes()].concat()
}

/// B11, B12, B24.
fn json_headers() -> Vec<Row> {
    let deep = |open: &str| format!("{{\"code\":1005,\"x\":{}}}", open.repeat(10_000));
    let many = |count: usize| {
        let fields: Vec<String> = (0..count).map(|at| format!("\"k{at}\":\"\"")).collect();
        format!("{{\"code\":1005,\"extFields\":{{{}}}}}", fields.join(","))
    };
    let headers = [
        ("B11 null", "null".to_owned()),
        ("B11 an array", "[1005]".to_owned()),
        ("B11 a number", "1005".to_owned()),
        ("B11 cut off", "{\"code\":1005".to_owned()),
        ("B11 two objects", "{\"code\":1005}{}".to_owned()),
        ("B11 bare key", "{code:1005}".to_owned()),
        ("B11 open string", "{\"code\":1005,\"remark\":\"x}".to_owned()),
        ("B11 fields in a list", "{\"code\":1005,\"extFields\":[]}".to_owned()),
        ("B11 10,000 lists deep", deep("[")),
        ("B11 10,000 objects deep", deep("{\"x\":")),
        ("B11 nothing but blanks", " ".repeat(HEADER_BYTES_MAX)),
        ("B12 code above 32 bits", "{\"code\":2147483648}".to_owned()),
        ("B12 code below 32 bits", "{\"code\":-2147483649}".to_owned()),
        ("B12 code is a word", "{\"code\":\"x\"}".to_owned()),
        ("B12 code is a list", "{\"code\":[1005]}".to_owned()),
        ("B12 code is a truth", "{\"code\":true}".to_owned()),
        ("B12 opaque above 32 bits", "{\"code\":1005,\"opaque\":2147483648}".to_owned()),
        ("B24 one field too many", many(EXT_FIELDS_MAX + 1)),
        ("B24 100,000 fields", many(100_000)),
    ];
    let frames = headers.into_iter().map(|(name, text)| row(name, framed(0, text.as_bytes(), b"")));
    let not_utf8 = row("B11 not UTF-8", framed(0, b"{\"code\":1005,\"remark\":\"\xff\"}", b""));
    frames.chain([not_utf8]).collect()
}

/// B13-B15, B24. The body behind each header is one that must not be read as header.
fn binary_headers() -> Vec<Row> {
    let field = |key: i16, value: i32| {
        let mut out = key.to_be_bytes().to_vec();
        out.extend_from_slice(b"k");
        out.extend_from_slice(&value.to_be_bytes());
        out.extend_from_slice(b"v");
        out
    };
    let many: Vec<u8> = (0..=EXT_FIELDS_MAX).flat_map(|_| field(1, 1)).collect();
    let headers = [
        ("B13 fields longer than the header", binary(b"", 100, &field(1, 1))),
        ("B13 fields of 2 GiB", binary(b"", i32::MAX, &field(1, 1))),
        ("B13 an entry past the end of the fields", binary(b"", 8, &field(1, 2))),
        ("B13 a value of 2 GiB", binary(b"", 8, &field(1, i32::MAX))),
        ("B14 a key of negative length", binary(b"", 8, &field(i16::MIN, 1))),
        ("B14 a key of length -1", binary(b"", 8, &field(-1, 1))),
        ("B14 a value of negative length", binary(b"", 8, &field(1, -1))),
        ("B15 a remark past the header", remark(1_000)),
        ("B15 a remark of negative length", remark(-1)),
        ("B15 a remark of 2 GiB", remark(i32::MAX)),
        ("B15 a header of one byte", vec![3]),
        ("B15 not UTF-8", binary(b"\xff", 0, b"")),
        ("B24 one field too many", binary(b"", i32::try_from(many.len()).unwrap_or(0), &many)),
    ];
    headers.map(|(name, header)| row(name, framed(1, &header, &[b'b'; 2_000]))).into()
}

/// A binary header of 1005 with these extFields, of which `length` bytes are announced.
fn binary(remark: &[u8], length: i32, fields: &[u8]) -> Vec<u8> {
    let mut out = self::remark(i32::try_from(remark.len()).unwrap_or(0));
    out.extend_from_slice(remark);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(fields);
    out
}

/// A binary header of 1005 that ends behind the announced length of its remark.
fn remark(length: i32) -> Vec<u8> {
    let mut out = 1_005_i16.to_be_bytes().to_vec();
    out.extend_from_slice(&[0, 1, 0xdf, 0, 0, 0, 7, 0, 0, 0, 0]);
    out.extend_from_slice(&length.to_be_bytes());
    out
}

/// B11, B12, B16, B24: odd, and taken all the same, as upstream does; with the code of the answer.
#[test]
fn odd_headers_are_answered() {
    const UNKNOWN: i32 = response_code::REQUEST_CODE_NOT_SUPPORTED;
    let mut ground = Ground::new("");
    let fields: Vec<String> = (0..EXT_FIELDS_MAX).map(|at| format!("\"k{at}\":\"\"")).collect();
    let full = format!("\"code\":1005,\"extFields\":{{{}}}", fields.join(","));
    let rows = [
        ("B11 of two codes the last", "\"code\":1001,\"code\":1005", 0),
        ("B11 unknown members", "\"x\":{\"y\":[1,{\"z\":null}]},\"code\":1005", 0),
        ("B11 half an escape", "\"code\":1005,\"remark\":\"\\u12\"", 0),
        ("B11 blanks", "  \"code\"\t:\r\n 1005 ", 0),
        ("B12 no code", "\"flag\":0", UNKNOWN),
        ("B12 code null", "\"code\":null", UNKNOWN),
        ("B12 code in a string", "\"code\":\"1005\"", 0),
        ("B12 code with a fraction", "\"code\":1005.9", 0),
        ("B16 unknown language", "\"code\":1005,\"language\":\"KLINGON\"", 0),
        ("B16 no language", "\"code\":1005,\"language\":null", 0),
        ("B16 version from the future", "\"code\":1005,\"version\":2147483647", 0),
        ("B16 negative version", "\"code\":1005,\"version\":-1", 0),
        ("B24 as many fields as may be", full.as_str(), 0),
    ];
    for node in ground.two_kinds() {
        let mut wire = ground.connect(node);
        for (name, members, expected) in rows {
            let header = format!("{{\"opaque\":7,{members}}}");
            wire.send(&framed(0, header.as_bytes(), b""));
            let answer = wire.must_receive(name).header;
            assert_eq!((answer.code, answer.opaque), (expected, 7), "{name}");
        }
        // B16 in a binary header: language 200, version -2; its answer is binary too.
        let header = [3, 0xed, 200, 0xff, 0xfe, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        wire.send(&framed(1, &header, b""));
        let answer = wire.must_receive("B16 binary").header;
        assert_eq!(
            (answer.code, answer.opaque, answer.encoding),
            (0, 7, protocol::HeaderEncoding::Binary)
        );
    }
    ground.check("odd headers");
}
