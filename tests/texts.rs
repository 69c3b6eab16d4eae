//! The checks of the fuzz targets for texts, on stable: with their corpus, and with 100,000 random variations of it.

#[path = "../verification/fuzz/checks.rs"]
mod checks;

use std::path::Path;

struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}

/// Bytes that mean something to one of the parsers.
const BYTES: &[u8] = b"0123456789-+_,.:/&=?bmnowTZGMt \t\n\r\0\x7F\"\\\xC3\x89\xFF\x02\x03";

fn vary(input: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(6) {
        let byte = match random.below(4) {
            0 => random.below(256) as u8,
            _ => BYTES[random.below(BYTES.len())],
        };
        let at = random.below(input.len() + 1);
        match random.below(4) {
            0 => input.insert(at, byte),
            1 if at < input.len() => drop(input.remove(at)),
            // Long enough to meet a limit.
            2 if random.below(100) == 0 => drop(input.splice(at..at, vec![byte; random.below(5000)])),
            _ if at < input.len() => input[at] = byte,
            _ => input.push(byte),
        }
    }
}

fn check(target: &str, check: fn(&[u8])) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("verification/fuzz/corpus").join(target);
    let files = std::fs::read_dir(directory).expect("the corpus is there");
    let read = |file: std::io::Result<std::fs::DirEntry>| std::fs::read(file?.path());
    let mut corpus: Vec<_> = files.map(|file| read(file).expect("the corpus is readable")).collect();
    // The order of a directory is not defined.
    corpus.sort();
    corpus.iter().for_each(|input| check(input));
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    for _ in 0..100_000 {
        let mut input = corpus[random.below(corpus.len())].clone();
        vary(&mut input, &mut random);
        check(&input);
    }
}

#[test]
fn checkpoint_text_round_trips() {
    check("checkpoint", checks::checkpoint);
}

#[test]
fn offset_follows_the_rule() {
    check("offset", checks::offset);
}

#[test]
fn response_headers_give_valid_offsets_or_short_errors() {
    check("head", checks::head);
}

#[test]
fn retry_after_is_parsed_or_ignored() {
    check("retry", checks::retry);
}
