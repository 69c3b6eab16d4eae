/// What a server's offsets look like. Clients must take them as they come.
///
/// Every style sorts as bytes sort.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetStyle {
    /// `0000000000000000_0000000000000042`, as the public servers write them.
    Padded,
    /// The length, then the number in base 36: `116`.
    Short,
    /// Characters that a URL has to encode: `p#000000000042+%2B ;~`.
    Reserved,
    /// Like a ULID: 26 characters of Crockford's base 32.
    Ulid,
}

const CROCKFORD: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

impl OffsetStyle {
    /// Every style.
    pub const ALL: [Self; 4] = [Self::Padded, Self::Short, Self::Reserved, Self::Ulid];

    /// Writes `position`.
    #[must_use]
    pub fn encode(self, position: u64) -> String {
        match self {
            Self::Padded => format!("{:016}_{position:016}", 0),
            Self::Short => {
                let digits = base36(position);
                format!("{}{digits}", base36(digits.len() as u64))
            }
            Self::Reserved => format!("p#{position:012}+%2B ;~"),
            Self::Ulid => {
                let time: String =
                    (0..13).rev().map(|i| CROCKFORD[(position >> (5 * i)) as usize & 31] as char).collect();
                let tail = position.wrapping_mul(0x9e37_79b9_7f4a_7c15);
                let noise: String =
                    (0..13).map(|i| CROCKFORD[(tail >> (5 * i)) as usize & 31] as char).collect();
                time + &noise
            }
        }
    }

    /// Reads what [`encode`](Self::encode) wrote; `None` for anything else.
    #[must_use]
    pub fn decode(self, token: &str) -> Option<u64> {
        let position = match self {
            Self::Padded => token.split_once('_')?.1.parse().ok()?,
            Self::Short => u64::from_str_radix(token.get(1..)?, 36).ok()?,
            Self::Reserved => token.get(2..14)?.parse().ok()?,
            Self::Ulid => token.get(..13)?.bytes().try_fold(0u64, |position, c| {
                let digit = CROCKFORD.iter().position(|known| *known == c)?;
                position.checked_mul(32)?.checked_add(digit as u64)
            })?,
        };
        (self.encode(position) == token).then_some(position)
    }
}

fn base36(mut number: u64) -> String {
    let mut digits = Vec::new();
    loop {
        digits.push(b"0123456789abcdefghijklmnopqrstuvwxyz"[(number % 36) as usize] as char);
        number /= 36;
        if number == 0 {
            return digits.into_iter().rev().collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::OffsetStyle;

    #[test]
    fn offsets_sort_and_come_back() {
        let positions = [0, 1, 9, 10, 35, 36, 37, 999, 1000, 46_655, 46_656, 1 << 30];
        for style in OffsetStyle::ALL {
            let tokens: Vec<String> = positions.iter().map(|p| style.encode(*p)).collect();
            assert!(tokens.is_sorted_by(|a, b| a.as_bytes() < b.as_bytes()), "{style:?}: {tokens:?}");
            for (token, position) in tokens.iter().zip(positions) {
                assert_eq!(style.decode(token), Some(position));
                assert!(!token.contains([',', '&', '=', '?', '/']) && token != "now" && token != "-1");
            }
            for wrong in ["", "zzz", "now", "-1", "1,2", "é"] {
                assert_eq!(style.decode(wrong), None, "{style:?} {wrong}");
            }
        }
    }
}
