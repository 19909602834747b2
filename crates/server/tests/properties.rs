//! Property files, read as Java's loader reads them: a table of its rules, upstream's sample files,
//! and properties that hold for any input.

use proptest::prelude::{ProptestConfig, any, prop_assert, prop_assert_eq, proptest};
use server::properties::{PropertiesError, load, write};

/// A file and the pairs in it.
type Row<'a> = (&'a str, &'a [(&'a str, &'a str)]);

/// Loads `text` and compares keys and values.
fn check(text: &str, expected: &[(&str, &str)]) {
    let latin: Vec<u8> = text.chars().map(|c| u8::try_from(u32::from(c)).expect("valid")).collect();
    let loaded = load(&latin).expect("valid");
    let pairs: Vec<(&str, &str)> =
        loaded.iter().map(|property| (&*property.key, &*property.value)).collect();
    assert_eq!(pairs, expected, "for {text:?}");
}

#[test]
fn separators_and_blanks() {
    let rows: &[Row<'_>] = &[
        ("", &[]),
        ("\n \t\n\r\n", &[]),
        ("a=b", &[("a", "b")]),
        ("a:b", &[("a", "b")]),
        ("a b", &[("a", "b")]),
        ("a\tb", &[("a", "b")]),
        ("a\x0cb", &[("a", "b")]),
        ("a = b", &[("a", "b")]),
        ("a : = b", &[("a", "= b")]),
        ("a  b=c", &[("a", "b=c")]),
        ("a==b", &[("a", "=b")]),
        ("=b", &[("", "b")]),
        ("a", &[("a", "")]),
        ("a=", &[("a", "")]),
        ("  \t a=b", &[("a", "b")]),
        // Trailing blanks stay: Java's famous trap.
        ("a=b \t", &[("a", "b \t")]),
        ("a=1\na=2", &[("a", "1"), ("a", "2")]),
        // A vertical tab and a no-break space are no blanks.
        ("a\x0b=b", &[("a\x0b", "b")]),
        ("a\u{a0}=\u{a0}b", &[("a\u{a0}", "\u{a0}b")]),
    ];
    for (text, expected) in rows {
        check(text, expected);
    }
}

#[test]
fn comments_and_line_ends() {
    let rows: &[Row<'_>] = &[
        ("#a=b\n!c=d\n  # e=f\ng=h", &[("g", "h")]),
        ("a=b # no comment", &[("a", "b # no comment")]),
        ("# never continued \\\na=b", &[("a", "b")]),
        ("#comment at the end", &[]),
        ("a=1\rb=2\r\nc=3\nd=4", &[("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")]),
        ("\\#a=b", &[("#a", "b")]),
    ];
    for (text, expected) in rows {
        check(text, expected);
    }
}

#[test]
fn continuation() {
    let rows: &[Row<'_>] = &[
        ("a=b\\\n  c", &[("a", "bc")]),
        ("a=b\\\r\n  c", &[("a", "bc")]),
        ("a=b\\\rc", &[("a", "bc")]),
        // An even number of backslashes joins nothing.
        ("a=b\\\\\nc=d", &[("a", "b\\"), ("c", "d")]),
        ("a=b\\\\\\\nc=d", &[("a", "b\\c=d")]),
        // A blank line ends the value, and a comment sign inside it is text.
        ("a=b\\\n\nc=d", &[("a", "b"), ("c", "d")]),
        ("a=b\\\n#c=d", &[("a", "b#c=d")]),
        ("a\\\n=b", &[("a", "b")]),
        ("a=b\\", &[("a", "b")]),
        ("a=b\\\n", &[("a", "b")]),
        // With nothing before it, the joined line may still be a comment.
        ("\\\n#a=b\nc=d", &[("c", "d")]),
        ("\\\n a=b", &[("a", "b")]),
        // To the letter: a lone backslash that ends the file is an empty property, unless CR LF follows.
        ("\\", &[("", "")]),
        ("\\\n", &[("", "")]),
        ("\\\r\n", &[]),
        ("\\\n ", &[]),
    ];
    for (text, expected) in rows {
        check(text, expected);
    }
}

#[test]
fn escapes() {
    let rows: &[Row<'_>] = &[
        (r"a\=b=c", &[("a=b", "c")]),
        (r"a\ b\:c d", &[("a b:c", "d")]),
        (r"a\\=b", &[("a\\", "b")]),
        (r"a=\t\n\r\f", &[("a", "\t\n\r\x0c")]),
        (r"a=C:\dir\new", &[("a", "C:dir\new")]),
        (r"a=\ b", &[("a", " b")]),
        (r"a=\u0041\u00e9\u20AC", &[("a", "Aé€")]),
        (r"a=\uD83D\uDE00", &[("a", "😀")]),
        (r"a=\uD83D", &[("a", "\u{fffd}")]),
        (r"a=\\u0041", &[("a", r"\u0041")]),
        (r"\u0061=b", &[("a", "b")]),
        (r"a\u003Db=c", &[("a=b", "c")]),
    ];
    for (text, expected) in rows {
        check(text, expected);
    }
}

#[test]
fn malformed_unicode_is_an_error_with_its_line() {
    for (text, line) in [
        ("a=\\u12", 1),
        ("x=y\n# c\n a=\\u12G4", 3),
        ("a=b\\\n\\u", 1),
        ("\\u004=b", 1),
        ("a=\\u +12", 1),
    ] {
        assert_eq!(load(text.as_bytes()), Err(PropertiesError { line }), "for {text:?}");
    }
}

#[test]
fn bytes_are_latin_1() {
    check("a=\u{e9}\u{ff}", &[("a", "éÿ")]);
    // UTF-8 arrives garbled, as in Java.
    let loaded = load("a=é".as_bytes()).unwrap();
    assert_eq!(loaded[0].value, "Ã©");
}

#[test]
fn line_numbers() {
    let text = "# c\na=1\r\n\r\nb=2\\\n  x\nc=3\r\rd=4";
    let lines: Vec<(String, usize)> = load(text.as_bytes())
        .unwrap()
        .into_iter()
        .map(|property| (property.key, property.line))
        .collect();
    let expected = [("a", 2), ("b", 4), ("c", 6), ("d", 8)];
    assert_eq!(lines, expected.map(|(key, line)| (key.to_owned(), line)));
}

#[test]
fn an_xml_licence_comment_gives_odd_keys() {
    let text = "<!--\n  Licensed to the ASF\n  -->\ncontrollerDLegerGroup = group1\n\
                controllerDLegerPeers = n0-127.0.0.1:9878;n1-127.0.0.1:9868\n";
    check(
        text,
        &[
            ("<!--", ""),
            ("Licensed", "to the ASF"),
            ("-->", ""),
            ("controllerDLegerGroup", "group1"),
            ("controllerDLegerPeers", "n0-127.0.0.1:9878;n1-127.0.0.1:9868"),
        ],
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(properties) = load(&bytes) {
            let lines = bytes.len() + 1;
            prop_assert!(properties.iter().all(|property| (1..=lines).contains(&property.line)));
        }
    }

    #[test]
    fn any_text_of_the_grammar_is_read_or_refused(text in "[ab =:#!\\\\u0\\r\\n\\t]{0,60}") {
        if let Ok(properties) = load(text.as_bytes()) {
            let mut before = 0;
            for property in properties {
                prop_assert!(property.line > before);
                before = property.line;
            }
        }
    }

    #[test]
    fn what_is_written_is_read_back(key in any::<String>(), value in any::<String>()) {
        let mut text = String::new();
        write(&key, &value, &mut text);
        let loaded = load(text.as_bytes()).unwrap();
        prop_assert_eq!(loaded.len(), 1);
        prop_assert_eq!(&loaded[0].key, &key);
        prop_assert_eq!(&loaded[0].value, &value);
    }
}
