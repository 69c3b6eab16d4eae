use super::chunk::Chunk;
use crate::Checkpoint;
use crate::checkpoint::Skip;

/// Positions inside of one chunk of bytes, for views that hand it out in other pieces.
#[derive(Clone, Debug)]
pub(super) struct Within {
    before: Checkpoint,
    after: Checkpoint,
    len: u64,
    divisible: bool,
}

impl Within {
    /// Nothing yet: a reader that starts from `start`.
    pub(super) fn new(start: Checkpoint) -> Self {
        Self { before: start.clone(), after: start, len: 0, divisible: true }
    }

    /// The chunk that comes after what was there so far.
    pub(super) fn enter(&mut self, chunk: &Chunk) {
        self.before = std::mem::replace(&mut self.after, chunk.checkpoint.clone());
        self.len = chunk.data.len() as u64;
        self.divisible = chunk.divisible;
    }

    /// How many bytes the chunk has.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// The position after `consumed` bytes of the chunk; `None` where it cannot be told.
    pub(super) fn at(&self, consumed: u64) -> Option<Checkpoint> {
        if consumed >= self.len {
            return Some(self.after.clone());
        }
        if consumed == 0 {
            return Some(self.before.clone());
        }
        let before = match self.before.skip() {
            Skip::Bytes(count) => count,
            Skip::None => 0,
            Skip::Messages(_) => return None,
        };
        let offset = self.before.offset().clone();
        self.divisible.then(|| Checkpoint::new(offset, Skip::Bytes(before + consumed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn chunk(len: usize, checkpoint: &str, divisible: bool) -> Chunk {
        let checkpoint: Checkpoint = checkpoint.parse().unwrap();
        Chunk {
            data: Bytes::from(vec![b'x'; len]),
            next_offset: checkpoint.offset().clone(),
            checkpoint,
            up_to_date: false,
            closed: false,
            cursor: None,
            empty: false,
            divisible,
        }
    }

    #[test]
    fn positions_count_from_the_page_s_beginning() {
        let mut within = Within::new("a,b5".parse().unwrap());
        let at = |within: &Within, consumed| within.at(consumed).map(|checkpoint| checkpoint.to_string());
        within.enter(&chunk(10, "a,b15", true));
        assert_eq!(at(&within, 0).as_deref(), Some("a,b5"));
        assert_eq!(at(&within, 3).as_deref(), Some("a,b8"));
        assert_eq!(at(&within, 10).as_deref(), Some("a,b15"));
        within.enter(&chunk(10, "b", true));
        assert_eq!(at(&within, 4).as_deref(), Some("a,b19"));
        assert_eq!(at(&within, 10).as_deref(), Some("b"));
        within.enter(&chunk(10, "c", false));
        assert_eq!(at(&within, 4), None);
        assert_eq!(at(&within, 0).as_deref(), Some("b"));
        assert_eq!(at(&within, 10).as_deref(), Some("c"));
    }
}
