//! What a success means: stored, or a trace of another run of this producer id.

/// The facts about a success that decide what it means.
#[derive(Clone, Copy, Debug)]
pub(super) struct Success {
    /// The server reported a duplicate (204).
    pub(super) duplicate: bool,
    /// The batch closes the stream without a record.
    pub(super) is_close_only: bool,
    /// An earlier attempt under this number failed in a way that makes a duplicate expected.
    pub(super) duplicate_is_expected: bool,
    /// The server has a higher number in this epoch than was ever sent.
    pub(super) is_above_sent: bool,
    /// The first batch of the epoch, and the stream's tail has not moved since before it was sent.
    pub(super) is_first_and_tail_unmoved: bool,
    pub(super) auto_claim: bool,
    pub(super) accept_duplicates: bool,
}

/// What a success means for the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// This batch is stored, now or by an earlier attempt of ours.
    Stored { duplicate: bool },
    /// An earlier run used this epoch, and none of our attempts was applied: claim a higher epoch.
    EarlierRun,
    /// Another producer used this epoch, and the batch was not stored: claim a higher epoch.
    OtherProducer,
    /// The number was used by an unknown sender: the batch was not stored, as far as the server reports.
    Unexpected,
    /// Our own earlier attempt, or another producer's batch: it is not known whose batch is stored.
    Ambiguous,
}

/// Classifies a success. The first row that matches decides; `–` matches both.
///
/// | duplicate | close only, or duplicates accepted | first and tail unmoved | duplicate expected | above sent | auto_claim | meaning |
/// |---|---|---|---|---|---|---|
/// | no | – | – | – | – | – | `Stored` |
/// | yes | yes | – | – | – | – | `Stored`, a duplicate unless close only |
/// | yes | no | yes | – | – | yes | `EarlierRun` |
/// | yes | no | – | no | yes | yes | `OtherProducer` |
/// | yes | no | – | no | yes | no | `Unexpected` |
/// | yes | no | – | no | no | – | `Unexpected` |
/// | yes | no | – | yes | yes | – | `Ambiguous` |
/// | yes | no | – | yes | no | – | `Stored`, a duplicate |
pub(super) fn classify(success: Success) -> Meaning {
    let duplicate = success.duplicate && !success.is_close_only;
    if !duplicate || success.accept_duplicates {
        return Meaning::Stored { duplicate };
    }
    if success.auto_claim && success.is_first_and_tail_unmoved {
        return Meaning::EarlierRun;
    }
    match (success.duplicate_is_expected, success.is_above_sent) {
        (false, true) if success.auto_claim => Meaning::OtherProducer,
        (false, _) => Meaning::Unexpected,
        (true, true) => Meaning::Ambiguous,
        (true, false) => Meaning::Stored { duplicate: true },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn duplicate() -> Success {
        Success {
            duplicate: true,
            is_close_only: false,
            duplicate_is_expected: false,
            is_above_sent: false,
            is_first_and_tail_unmoved: false,
            auto_claim: false,
            accept_duplicates: false,
        }
    }

    #[test]
    fn success_that_is_no_duplicate_is_stored_whatever_else_holds() {
        for bits in 0..32u32 {
            let bit = |n: u32| bits >> n & 1 == 1;
            let success = Success {
                duplicate: false,
                is_close_only: bit(0),
                duplicate_is_expected: bit(1),
                is_above_sent: bit(2),
                is_first_and_tail_unmoved: bit(3),
                auto_claim: bit(4),
                ..duplicate()
            };
            assert_eq!(classify(success), Meaning::Stored { duplicate: false }, "{success:?}");
        }
    }

    #[test]
    fn every_row_of_the_table_holds() {
        let d = duplicate();
        let rows = [
            (Success { is_close_only: true, is_above_sent: true, ..d }, Meaning::Stored { duplicate: false }),
            (
                Success { accept_duplicates: true, is_above_sent: true, ..d },
                Meaning::Stored { duplicate: true },
            ),
            (Success { is_first_and_tail_unmoved: true, auto_claim: true, ..d }, Meaning::EarlierRun),
            (
                Success {
                    is_first_and_tail_unmoved: true,
                    auto_claim: true,
                    duplicate_is_expected: true,
                    ..d
                },
                Meaning::EarlierRun,
            ),
            (Success { is_above_sent: true, auto_claim: true, ..d }, Meaning::OtherProducer),
            (Success { is_above_sent: true, ..d }, Meaning::Unexpected),
            (Success { auto_claim: true, ..d }, Meaning::Unexpected),
            (d, Meaning::Unexpected),
            (Success { is_first_and_tail_unmoved: true, ..d }, Meaning::Unexpected),
            (Success { duplicate_is_expected: true, is_above_sent: true, ..d }, Meaning::Ambiguous),
            (Success { duplicate_is_expected: true, ..d }, Meaning::Stored { duplicate: true }),
        ];
        for (success, meaning) in rows {
            assert_eq!(classify(success), meaning, "{success:?}");
        }
    }
}
