//! Data sets as real devices and broken ones write them: what is in a sequence never becomes the data set's
//! own, and what is cut short is never taken for whole.

use super::*;
use proptest::prelude::*;

const PATIENT_ID: Tag = 0x0010_0020;
const SERIES: Tag = 0x0020_000e;
const DESCRIPTION: Tag = 0x0008_103e;
const REQUEST: Tag = 0x0040_0275;
const REQUEST_ID: Tag = 0x0040_1001;
const WANTED: Wanted = Wanted {
    tags: &[DESCRIPTION, PATIENT_ID, SERIES, REQUEST],
    sequences: &[(REQUEST, &[REQUEST_ID])],
};

fn read(bytes: &[u8], encoding: Encoding) -> Result<Header, HeaderError> {
    let mut pieces = HeaderReader::new(encoding, WANTED, LIMITS);
    let in_pieces = bytes.chunks(7).try_for_each(|piece| pieces.push(piece));
    let in_pieces = in_pieces.and_then(|()| pieces.finish());
    // As it comes from the wire: what need not be looked at is not.
    let mut reader = HeaderReader::new(encoding, WANTED, LIMITS);
    let mut rest = bytes;
    let skipping = loop {
        let skipped = usize::try_from(reader.skippable()).unwrap_or(usize::MAX).min(rest.len());
        if let Err(error) = reader.skip(skipped as u64) {
            break Err(error);
        }
        rest = &rest[skipped..];
        let Some((next, after)) = rest.split_at_checked(1) else { break Ok(()) };
        if let Err(error) = reader.push(next) {
            break Err(error);
        }
        rest = after;
    };
    assert_eq!(skipping.and_then(|()| reader.finish()), in_pieces, "skipping makes no difference");
    in_pieces
}

const LIMITS: Limits = Limits { header: 1024 * 1024, inflated: 1024 * 1024 };

/// How elements are written in a test.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Writing {
    Implicit,
    Explicit,
}

impl Writing {
    fn encoding(self) -> Encoding {
        match self {
            Self::Implicit => Encoding::Implicit,
            Self::Explicit => Encoding::Explicit,
        }
    }

    fn tag(tag: Tag) -> Vec<u8> {
        [((tag >> 16) as u16).to_le_bytes(), (tag as u16).to_le_bytes()].concat()
    }

    fn element(self, tag: Tag, vr: &[u8; 2], value: &[u8]) -> Vec<u8> {
        let length = match self {
            Self::Implicit => (value.len() as u32).to_le_bytes().to_vec(),
            Self::Explicit => [&vr[..], &(value.len() as u16).to_le_bytes()].concat(),
        };
        [Self::tag(tag), length, value.to_vec()].concat()
    }

    fn sequence(self, tag: Tag, length: Option<u32>) -> Vec<u8> {
        let vr: &[u8] = if self == Self::Explicit { b"SQ\0\0" } else { b"" };
        [Self::tag(tag), vr.to_vec(), length.unwrap_or(u32::MAX).to_le_bytes().to_vec()].concat()
    }

    fn item(length: Option<u32>) -> Vec<u8> {
        [Self::tag(0xfffe_e000), length.unwrap_or(u32::MAX).to_le_bytes().to_vec()].concat()
    }
}

const ITEM_END: [u8; 8] = [0xfe, 0xff, 0x0d, 0xe0, 0, 0, 0, 0];
const SEQUENCE_END: [u8; 8] = [0xfe, 0xff, 0xdd, 0xe0, 0, 0, 0, 0];

fn own(writing: Writing) -> (Vec<u8>, Vec<u8>) {
    let before = writing.element(DESCRIPTION, b"LO", b"OWN ");
    let after =
        [writing.element(PATIENT_ID, b"LO", b"OWN "), writing.element(SERIES, b"UI", b"2.25.17\0")];
    (before, after.concat())
}

/// What a data set's own values are when they are its own.
fn is_own(header: &Header) -> bool {
    header.values.get(&PATIENT_ID).is_none_or(|value| value == b"OWN ")
        && header.values.get(&SERIES).is_none_or(|value| value == b"2.25.17\0")
        && header.values.get(&DESCRIPTION).is_none_or(|value| value == b"OWN ")
}

#[test]
fn an_empty_sequence_that_is_closed_all_the_same_ends_nothing_around_it() {
    for writing in [Writing::Implicit, Writing::Explicit] {
        let (before, after) = own(writing);
        let inner = [
            writing.sequence(0x0008_1199, Some(0)),
            SEQUENCE_END.to_vec(),
            writing.element(PATIENT_ID, b"LO", b"OTHER "),
            writing.element(SERIES, b"UI", b"2.25.99\0"),
        ]
        .concat();
        for item in [None, Some(inner.len() as u32)] {
            let ends: &[&[u8]] = if item.is_none() { &[&ITEM_END] } else { &[] };
            let bytes = [
                &before[..],
                &writing.sequence(0x0008_1115, None),
                &Writing::item(item),
                &inner,
                &ends.concat(),
                &SEQUENCE_END,
                &after,
            ]
            .concat();
            let header = read(&bytes, writing.encoding()).unwrap();
            assert_eq!(header.values[&PATIENT_ID], b"OWN ", "{writing:?} {item:?}");
            assert_eq!(header.values[&SERIES], b"2.25.17\0");
        }
    }
}

#[test]
fn an_item_that_the_end_of_its_sequence_ends_is_read_and_nothing_after_a_doubt_is() {
    let writing = Writing::Explicit;
    let (before, after) = own(writing);
    let item =
        [Writing::item(None), writing.element(PATIENT_ID, b"LO", b"OTHER "), SEQUENCE_END.to_vec()]
            .concat();
    let sequence = writing.sequence(0x0008_1115, None);
    let one = [&before[..], &sequence, &item, &after].concat();
    assert_eq!(read(&one, Encoding::Explicit).unwrap().values[&PATIENT_ID], b"OWN ");
    // Its own end as well, or another item: then it can't be told what is inside.
    for more in [&SEQUENCE_END[..], &ITEM_END, &item] {
        let bytes = [&before[..], &sequence, &item, more, &after].concat();
        assert_eq!(read(&bytes, Encoding::Explicit), Err(HeaderError::Nesting));
    }
}

#[test]
fn a_sequence_that_is_longer_than_it_says_is_not_read_past_by_what_it_says() {
    for writing in [Writing::Implicit, Writing::Explicit] {
        let (before, after) = own(writing);
        let first = writing.element(0x0008_1150, b"UI", b"1.2.3\0");
        let inside = [
            first.clone(),
            writing.element(PATIENT_ID, b"LO", b"OTHER "),
            writing.element(SERIES, b"UI", b"2.25.99\0"),
        ]
        .concat();
        let short = Some(8 + first.len() as u32);
        for (item, end) in [(Some(inside.len() as u32), &[][..]), (None, &ITEM_END)] {
            // Its length ends after the first element of its item.
            let sequence = [
                writing.sequence(0x0008_1140, short),
                Writing::item(item),
                inside.clone(),
                end.to_vec(),
            ];
            let bytes = [before.clone(), sequence.concat(), after.clone()].concat();
            assert_eq!(read(&bytes, writing.encoding()), Err(HeaderError::Nesting), "{writing:?}");
        }
    }
}

#[test]
fn a_sequence_in_the_place_of_a_text_is_no_text() {
    for writing in [Writing::Implicit, Writing::Explicit] {
        let (before, after) = own(writing);
        let inside = writing.element(SERIES, b"UI", b"2.25.99\0");
        let item = [Writing::item(Some(inside.len() as u32)), inside].concat();
        let issuer = [writing.sequence(PATIENT_ID, Some(item.len() as u32)), item].concat();
        let series = &after[writing.element(PATIENT_ID, b"LO", b"OWN ").len()..];
        let bytes = [&before[..], &issuer, series].concat();
        let header = read(&bytes, writing.encoding()).unwrap();
        assert!(!header.values.contains_key(&PATIENT_ID), "{writing:?}");
        assert_eq!(header.values[&SERIES], b"2.25.17\0");
    }
}

#[test]
fn pixel_data_that_is_cut_short_is_not_taken_and_more_of_it_is() {
    let (_, after) = own(Writing::Explicit);
    let native = [&after[..], &[0xe0, 0x7f, 0x10, 0, b'O', b'W', 0, 0, 100, 0, 0, 0]].concat();
    let fragments = [
        &after[..],
        &[0xe0, 0x7f, 0x10, 0, b'O', b'B', 0, 0, 0xff, 0xff, 0xff, 0xff],
        &Writing::item(Some(0)),
        &Writing::item(Some(10)),
        &[7; 10],
        &Writing::item(Some(4)),
        &[0xfe, 0xff, 0xdd, 0xe0],
    ]
    .concat();
    for (whole, start) in [
        ([&native[..], &[7; 100]].concat(), after.len() + 1),
        ([&fragments[..], &SEQUENCE_END].concat(), after.len() + 1),
    ] {
        for length in start..whole.len() {
            let cut = read(&whole[..length], Encoding::Explicit);
            assert_eq!(cut, Err(HeaderError::Truncated), "{length} of {}", whole.len());
        }
        assert!(read(&whole, Encoding::Explicit).is_ok());
        assert!(read(&[&whole[..], &[1; 9]].concat(), Encoding::Explicit).is_ok(), "more");
    }
}

#[test]
fn bulk_data_of_any_size_is_read_past() {
    let (_, after) = own(Writing::Explicit);
    let large = vec![7; 2 * 1024 * 1024];
    let head = [0xe1, 0x7f, 0x10, 0x10, b'O', b'B', 0, 0];
    let bytes = [&after[..], &head, &(large.len() as u32).to_le_bytes(), &large].concat();
    let mut reader = HeaderReader::new(Encoding::Explicit, WANTED, LIMITS);
    reader.push(&bytes[..after.len() + 12]).unwrap();
    assert_eq!(reader.skippable(), large.len() as u64);
    reader.skip(large.len() as u64).unwrap();
    assert!(reader.finish().is_ok());
}

#[test]
fn an_element_whose_vr_is_none_is_stepped_over() {
    let (before, after) = own(Writing::Explicit);
    for vr in [*b"--", *b"??", *b"lo", *b"  ", [0, 0], *b"L\0", *b"A1", *b"ZZ", *b"Z9"] {
        for value in [&b""[..], b"ABCD", b"0123456789"] {
            // The one is a length in implicit VR, the other a VR with a length of four bytes, as far as anybody
            // can tell.
            if value.is_empty() && [*b"L\0", *b"ZZ"].contains(&vr) {
                continue;
            }
            let odd = |tag| Writing::Explicit.element(tag, &vr, value);
            let odd = [odd(0x0009_1010), odd(0x0009_1011)].concat();
            let bytes = [&before[..], &odd, &after].concat();
            let header = read(&bytes, Encoding::Explicit);
            let header = header.unwrap_or_else(|error| panic!("{vr:?} {value:?}: {error}"));
            assert_eq!(header.values[&SERIES], b"2.25.17\0", "{vr:?} {value:?}");
        }
    }
    // The same tag again, written in the same way.
    let again = Writing::Explicit.element(0x0009_1010, b"??", b"").repeat(2);
    let bytes = [&before[..], &again, &after].concat();
    assert_eq!(read(&bytes, Encoding::Explicit).unwrap().values[&PATIENT_ID], b"OWN ");
    // With the length of four bytes that a VR as `??` would have if it were `UN`, and in implicit VR.
    let long = |vr: &[u8], length: u32, value: &[u8]| {
        [&Writing::tag(0x0009_1010), vr, &length.to_le_bytes(), value].concat()
    };
    for odd in [
        long(b"??\0\0", 4, b"ABCD"),
        long(b"", 26, &[b'A'; 26]),
        long(b"", 262_144, &[b'A'; 262_144]),
        long(b"", 70_000, &[b'A'; 70_000]),
    ] {
        let bytes = [&before[..], &odd, &after].concat();
        assert_eq!(read(&bytes, Encoding::Explicit).unwrap().values[&PATIENT_ID], b"OWN ");
    }
}

#[test]
fn the_first_elements_show_how_a_data_set_is_written_and_not_its_context() {
    for (writing, context) in
        [(Writing::Implicit, Encoding::Explicit), (Writing::Explicit, Encoding::Implicit)]
    {
        let (before, after) = own(writing);
        // As bytes in place of a VR, this length looks like one.
        let odd = writing.element(0x0009_1010, b"LT", &vec![b'x'; 0x4f4c]);
        let empty = writing.element(0x0008_0005, b"CS", b"");
        let nested = [
            writing.sequence(0x0008_1140, None),
            Writing::item(None),
            writing.element(PATIENT_ID, b"LO", b"OTHER "),
            ITEM_END.to_vec(),
            SEQUENCE_END.to_vec(),
        ]
        .concat();
        for first in [&[][..], &empty] {
            let bytes = [first, &before, &odd, &nested, &after].concat();
            // An empty element shows nothing where the next one does not either.
            let header = read(&bytes, context).unwrap();
            assert_eq!(header.values[&PATIENT_ID], b"OWN ", "{writing:?}");
            assert_eq!(header.values[&DESCRIPTION], b"OWN ", "{writing:?}");
        }
    }
}

#[test]
fn text_where_a_sequence_belongs_is_no_sequence() {
    for writing in [Writing::Implicit, Writing::Explicit] {
        let (_, after) = own(writing);
        for text in [&b"Header Anonymizer "[..], b"REMOVED ", b"XX", b""] {
            let bytes = [
                after.clone(),
                writing.element(REQUEST, b"LO", text),
                writing.element(0x0054_0081, b"US", &[9, 0]),
            ]
            .concat();
            let header = read(&bytes, writing.encoding()).unwrap();
            assert!(header.items.is_empty(), "{writing:?} {text:?}");
            assert_eq!(header.values[&SERIES], b"2.25.17\0");
        }
    }
}

#[test]
fn items_and_repeated_tags_never_run_into_one_another() {
    let writing = Writing::Explicit;
    let item = |number: u8| {
        let value = [b'R', b'0' + number / 10, b'0' + number % 10, b' '];
        let ids = [
            writing.element(REQUEST_ID, b"SH", &value),
            writing.element(REQUEST_ID, b"SH", b"AGAIN "),
        ];
        let ids = ids.concat();
        [Writing::item(Some(ids.len() as u32)), ids].concat()
    };
    let items: Vec<u8> = (0..20).flat_map(item).collect();
    let bytes = [writing.sequence(REQUEST, None), items, SEQUENCE_END.to_vec()].concat();
    let header = read(&bytes, Encoding::Explicit).unwrap();
    let kept: Vec<_> = header.items[&REQUEST].iter().map(|item| &item[&REQUEST_ID][..]).collect();
    assert_eq!((kept.len(), kept[0], kept[15]), (16, &b"R00 "[..], &b"R15 "[..]));
    assert_eq!(header.items_left_out[&REQUEST], 4);
}

#[test]
fn the_first_of_two_elements_with_one_tag_counts_be_it_empty() {
    for writing in [Writing::Implicit, Writing::Explicit] {
        let (before, after) = own(writing);
        for empty in [
            writing.element(PATIENT_ID, b"LO", b""),
            writing.element(REQUEST, b"LO", b""),
            writing.sequence(REQUEST, Some(0)),
            [writing.sequence(REQUEST, None), SEQUENCE_END.to_vec()].concat(),
        ] {
            let id = writing.element(REQUEST_ID, b"SH", b"R1");
            let item = [Writing::item(Some(id.len() as u32)), id].concat();
            let request = [writing.sequence(REQUEST, Some(item.len() as u32)), item].concat();
            let bytes = [before.clone(), empty.clone(), request, after.clone()].concat();
            let header = read(&bytes, writing.encoding()).unwrap();
            let is_request = empty.starts_with(&Writing::tag(REQUEST));
            assert_eq!(header.items.contains_key(&REQUEST), !is_request, "{writing:?} {empty:?}");
            let id = header.values.get(&PATIENT_ID).map(Vec::as_slice);
            assert_eq!(id, is_request.then_some(&b"OWN "[..]), "{writing:?} {empty:?}");
        }
    }
}

#[test]
fn zeros_behind_the_last_element_are_padding() {
    for writing in [Writing::Implicit, Writing::Explicit] {
        let (_, after) = own(writing);
        for zeros in [1, 3, 7, 8, 9, 100] {
            let bytes = [&after[..], &vec![0; zeros]].concat();
            assert!(read(&bytes, writing.encoding()).is_ok(), "{writing:?} {zeros}");
        }
        assert!(read(&[&after[..], &[0, 0, 1]].concat(), writing.encoding()).is_err());
    }
}

/// A sequence in a random data set, and what is wrong with it.
#[derive(Debug, Clone)]
struct Sequence {
    tag: Tag,
    explicit: bool,
    items: Vec<Item>,
    end: Fault,
}

#[derive(Debug, Clone)]
struct Item {
    explicit: bool,
    /// An element before and after the sequences in it.
    before: bool,
    inner: Vec<Sequence>,
    after: bool,
    end: Fault,
}

/// What is wrong with the delimiter at the end of a level; of one with a length there should be none.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    None,
    /// It is not there, or there though there is a length.
    Inverted,
    /// It is there twice.
    Twice,
    /// The other kind is there.
    Other,
    /// It has a length, which means nothing.
    Sized,
}

impl Fault {
    fn written(self, delimiter: [u8; 8], other: [u8; 8], belongs: bool) -> Vec<u8> {
        let one = |there: bool| if there { delimiter.to_vec() } else { Vec::new() };
        match self {
            Self::None => one(belongs),
            Self::Inverted => one(!belongs),
            Self::Twice => [one(belongs), delimiter.to_vec()].concat(),
            Self::Other => other.to_vec(),
            Self::Sized if !belongs => Vec::new(),
            Self::Sized => [&delimiter[..4], &[4, 0, 0, 0]].concat(),
        }
    }
}

impl Sequence {
    fn written(&self, writing: Writing) -> Vec<u8> {
        let mut body: Vec<u8> = self.items.iter().flat_map(|item| item.written(writing)).collect();
        let length = self.explicit.then_some(body.len() as u32);
        body.extend(self.end.written(SEQUENCE_END, ITEM_END, !self.explicit));
        [writing.sequence(self.tag, length), body].concat()
    }

    fn is_right(&self) -> bool {
        self.end == Fault::None && self.items.iter().all(Item::is_right)
    }
}

impl Item {
    fn written(&self, writing: Writing) -> Vec<u8> {
        let mut body = Vec::new();
        if self.before {
            body.extend(writing.element(DESCRIPTION, b"LO", b"OTHER "));
        }
        body.extend(self.inner.iter().flat_map(|sequence| sequence.written(writing)));
        if self.after {
            body.extend(writing.element(PATIENT_ID, b"LO", b"OTHER "));
            body.extend(writing.element(SERIES, b"UI", b"2.25.99\0"));
        }
        let length = self.explicit.then_some(body.len() as u32);
        body.extend(self.end.written(ITEM_END, SEQUENCE_END, !self.explicit));
        [Writing::item(length), body].concat()
    }

    fn is_right(&self) -> bool {
        self.end == Fault::None && self.inner.iter().all(Sequence::is_right)
    }
}

fn faults(faulty: bool) -> BoxedStrategy<Fault> {
    let fault = prop_oneof![
        Just(Fault::Inverted),
        Just(Fault::Twice),
        Just(Fault::Other),
        Just(Fault::Sized)
    ];
    match faulty {
        true => prop_oneof![4 => Just(Fault::None), 1 => fault].boxed(),
        false => Just(Fault::None).boxed(),
    }
}

fn sequences(tag: Tag, depth: u32, faulty: bool) -> BoxedStrategy<Sequence> {
    let inner = match depth {
        0 => Just(Vec::new()).boxed(),
        _ => prop::collection::vec(sequences(0x0008_1199, depth - 1, faulty), 0..2).boxed(),
    };
    let item = (any::<bool>(), any::<bool>(), inner, any::<bool>(), faults(faulty)).prop_map(
        |(explicit, before, inner, after, end)| Item { explicit, before, inner, after, end },
    );
    let items = prop::collection::vec(item, 0..3);
    (any::<bool>(), items, faults(faulty))
        .prop_map(move |(explicit, items, end)| Sequence { tag, explicit, items, end })
        .boxed()
}

fn nested(faulty: bool) -> impl Strategy<Value = (Writing, [Sequence; 2])> {
    let writing = prop_oneof![Just(Writing::Implicit), Just(Writing::Explicit)];
    let pair = [sequences(0x0008_1115, 3, faulty), sequences(REQUEST, 2, faulty)];
    (writing, pair)
}

fn data_set(writing: Writing, [first, second]: &[Sequence; 2]) -> Vec<u8> {
    let (before, after) = own(writing);
    [before, first.written(writing), after, second.written(writing)].concat()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn what_is_nested_well_is_read((writing, sequences) in nested(false)) {
        let header = read(&data_set(writing, &sequences), writing.encoding()).unwrap();
        prop_assert!(is_own(&header) && header.values.len() == 3, "{:?}", header);
    }

    #[test]
    fn what_is_in_a_sequence_never_becomes_the_data_sets_own((writing, sequences) in nested(true)) {
        let bytes = data_set(writing, &sequences);
        match read(&bytes, writing.encoding()) {
            Ok(header) => prop_assert!(is_own(&header), "{header:?}"),
            Err(error) => {
                prop_assert!(matches!(error, HeaderError::Nesting | HeaderError::Truncated), "{error}");
                prop_assert!(!sequences.iter().all(Sequence::is_right));
            }
        }
    }
}
