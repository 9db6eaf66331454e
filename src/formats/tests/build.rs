//! Builds small valid files in Microsoft Tape Format from the specification.
#![allow(clippy::trivially_copy_pass_by_ref)] // b"SSET" is a reference

/// Bytes of a format logical block.
const LOGICAL: usize = 1024;

/// What a set is: its `SSET` attributes, whether it has data, and its packed date.
#[derive(Clone, Copy)]
pub(super) struct Set {
    attributes: u32,
    data_frames: usize,
    date: [u8; 5],
}

/// 2025-08-18 01:30:05.
pub(super) const FULL: Set = Set { attributes: 4, data_frames: 2, date: date(2025, 8, 18, 1, 30, 5) };
pub(super) const DIFFERENTIAL: Set = Set { attributes: 8, data_frames: 1, date: date(2025, 8, 19, 1, 30, 5) };
pub(super) const COPY_ONLY: Set = Set { attributes: 2, data_frames: 1, date: date(2025, 8, 20, 1, 30, 5) };
pub(super) const LOG: Set = Set { attributes: 0, data_frames: 0, date: date(2025, 8, 21, 1, 30, 5) };

impl Set {
    pub(super) const fn frames(self, data_frames: usize) -> Self {
        Self { data_frames, ..self }
    }
}

const fn date(year: u64, month: u64, day: u64, hour: u64, minute: u64, second: u64) -> [u8; 5] {
    let [_, _, _, packed @ ..] =
        (year << 26 | month << 22 | day << 17 | hour << 12 | minute << 6 | second).to_be_bytes();
    packed
}

/// A file under construction.
pub(super) struct Tape {
    out: Vec<u8>,
    filemark: usize,
    marks: Vec<u64>,
    /// Where each set ends, which is where a shorter valid file would.
    pub(super) ends: Vec<usize>,
}

impl Tape {
    pub(super) fn new(filemark: usize) -> Self {
        let mut this = Self { out: Vec::new(), filemark, marks: Vec::new(), ends: Vec::new() };
        // SQL Server counts the end mark of this one text.
        let program = "Microsoft SQL Server\0\0";
        let mut tape = block(b"TAPE", 0, 94 + program.len() * 2, 0);
        put(&mut tape, 64, &u16::try_from(filemark / 512).unwrap().to_le_bytes());
        put(&mut tape, 80, &u16::try_from(program.len() * 2).unwrap().to_le_bytes());
        put(&mut tape, 82, &94_u16.to_le_bytes());
        put(&mut tape, 84, &u16::try_from(LOGICAL).unwrap().to_le_bytes());
        put(&mut tape, 94, &utf16(program));
        this.out.extend(sealed(tape));
        this.pad();
        this.mark();
        this
    }

    pub(super) fn set(mut self, set: Set) -> Self {
        let start = self.out.len();
        let mut sset = block(b"SSET", 0, 98, 0);
        put(&mut sset, 52, &set.attributes.to_le_bytes());
        put(&mut sset, 80, &(start as u64).to_le_bytes());
        put(&mut sset, 88, &set.date);
        put(&mut sset, 93, &[15, 0]);
        self.out.extend(sealed(sset));
        self.pad();
        self.within(start, b"VOLB", &[]);
        self.within(start, b"MSCI", &[(b"MQCI", scin("Kestrel"))]);
        if set.data_frames > 0 {
            let mut frames = vec![(b"MQDA", vec![0xa5; 3000]); set.data_frames];
            frames.push((b"MQDA", Vec::new()));
            self.within(start, b"MSDA", &frames);
        }
        self.within(start, b"MSTL", &[(b"MQTL", vec![0x5a; 2000])]);
        self.within(start, b"MSLS", &[(b"MQCI", scin("Kestrel"))]);
        self.mark();
        for _ in 0..2 {
            self.out.extend(sealed(block(b"ESET", 0, 88, 0)));
            self.pad();
        }
        self.mark();
        self.ends.push(self.out.len());
        self
    }

    pub(super) fn done(self) -> Vec<u8> {
        self.out
    }

    fn within(&mut self, start: usize, kind: &[u8; 4], streams: &[(&[u8; 4], Vec<u8>)]) {
        let address = (self.out.len() - start) / LOGICAL;
        self.out.extend(sealed(block(kind, 0, 60, address as u64)));
        for (id, content) in streams {
            self.stream(id, content);
        }
        // Blocks count from the set's beginning, so padding does too.
        self.pad_from(start);
    }

    fn stream(&mut self, id: &[u8; 4], content: &[u8]) {
        self.out.resize(self.out.len().next_multiple_of(4), 0);
        self.out.extend(stream_header(id, content.len()));
        self.out.extend(content);
    }

    fn pad(&mut self) {
        self.pad_from(self.out.len() / 512 * 512);
    }

    fn pad_from(&mut self, start: usize) {
        self.out.resize(self.out.len().next_multiple_of(4), 0);
        let end = start + (self.out.len() + 22 - start).next_multiple_of(LOGICAL);
        let length = end - self.out.len() - 22;
        self.out.extend(stream_header(b"SPAD", length));
        self.out.resize(end, 0);
    }

    fn mark(&mut self) {
        let at = self.out.len() as u64;
        let extended = self.filemark > 512;
        let first = if extended { 72 } else { 60 };
        let capacity = (self.filemark - first) / 8;
        let listed: Vec<u64> = self.marks.iter().rev().take(capacity).copied().collect();
        let mut mark = block(b"SFMB", u32::from(extended) << 31, self.filemark, 0);
        put(&mut mark, 52, &u32::try_from(capacity).unwrap().to_le_bytes());
        put(&mut mark, 56, &u32::try_from(listed.len()).unwrap().to_le_bytes());
        if extended {
            put(&mut mark, 60, &72_u32.to_le_bytes());
        }
        for (index, place) in listed.iter().enumerate() {
            put(&mut mark, first + index * 8, &place.to_le_bytes());
        }
        self.out.extend(sealed(mark));
        self.marks.push(at);
    }
}

fn block(kind: &[u8; 4], attributes: u32, first_event: usize, address: u64) -> Vec<u8> {
    let mut block = vec![0; first_event];
    put(&mut block, 0, kind);
    put(&mut block, 4, &attributes.to_le_bytes());
    put(&mut block, 8, &u16::try_from(first_event).unwrap().to_le_bytes());
    put(&mut block, 20, &address.to_le_bytes());
    block
}

fn sealed(mut block: Vec<u8>) -> Vec<u8> {
    let sum = xor(&block[..50]);
    put(&mut block, 50, &sum);
    block
}

pub(super) fn stream_header(id: &[u8; 4], length: usize) -> Vec<u8> {
    let mut header = vec![0; 22];
    put(&mut header, 0, id);
    put(&mut header, 8, &(length as u64).to_le_bytes());
    let sum = xor(&header[..20]);
    put(&mut header, 20, &sum);
    header
}

fn xor(bytes: &[u8]) -> [u8; 2] {
    bytes.chunks(2).fold([0, 0], |sum, pair| [sum[0] ^ pair[0], sum[1] ^ pair[1]])
}

fn scin(database: &str) -> Vec<u8> {
    let mut record = vec![0; 0x150];
    put(&mut record, 0, b"SCIN");
    put(&mut record, 0x68, &u16::try_from(database.len() * 2).unwrap().to_le_bytes());
    put(&mut record, 0x6a, &0x150_u16.to_le_bytes());
    record.extend(utf16(database));
    record
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}
