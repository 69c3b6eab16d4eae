//! The command's arguments.

pub(crate) const USAGE: &str = "\
usage: explore [--seeds N] [--first S] [--stop]
       explore --seed S [--trace]

  --seeds N   try N seeds (default: 1000)
  --first S   from seed S on (default: 0)
  --stop      stop at the first failure
  --seed S    replay one seed; if it fails, leave out what it does not need
  --trace     print what happens, line by line";

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Try many seeds.
    Explore { seeds: u64, first: u64, stop: bool },
    /// Replay one.
    Replay { seed: u64, trace: bool },
    /// Print the usage.
    Help,
}

impl Asked {
    /// Parses the arguments.
    pub(crate) fn of(mut given: impl Iterator<Item = String>) -> Result<Self, String> {
        let (mut seeds, mut first, mut seed) = (None, None, None);
        let (mut stop, mut trace) = (false, false);
        while let Some(argument) = given.next() {
            let number = match argument.as_str() {
                "--seeds" => &mut seeds,
                "--first" => &mut first,
                "--seed" => &mut seed,
                "--stop" => {
                    stop = true;
                    continue;
                }
                "--trace" => {
                    trace = true;
                    continue;
                }
                "--help" | "-h" => return Ok(Self::Help),
                _ => return Err(format!("{argument:?} is no option")),
            };
            let value = given.next().ok_or_else(|| format!("{argument} needs a number"))?;
            *number = Some(value.parse::<u64>().map_err(|_| format!("{argument}: {value:?} is no number"))?);
        }
        match seed {
            Some(_) if seeds.is_some() || first.is_some() || stop => {
                Err("--seed replays one seed; --seeds, --first and --stop are for many".to_owned())
            }
            Some(seed) => Ok(Self::Replay { seed, trace }),
            None if trace => Err("--trace needs to know of which seed: give --seed".to_owned()),
            None => {
                let (seeds, first) = (seeds.unwrap_or(1000), first.unwrap_or(0));
                if seeds == 0 {
                    return Err("--seeds 0 tries nothing".to_owned());
                }
                first.checked_add(seeds).ok_or("there are no seeds beyond 2^64-1")?;
                Ok(Self::Explore { seeds, first, stop })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(arguments: &str) -> Result<Asked, String> {
        Asked::of(arguments.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn arguments_are_understood() {
        assert_eq!(asked(""), Ok(Asked::Explore { seeds: 1000, first: 0, stop: false }));
        assert_eq!(
            asked("--first 7 --seeds 3 --stop"),
            Ok(Asked::Explore { seeds: 3, first: 7, stop: true })
        );
        assert_eq!(asked("--seed 5 --trace"), Ok(Asked::Replay { seed: 5, trace: true }));
        assert_eq!(asked("--seed 5"), Ok(Asked::Replay { seed: 5, trace: false }));
        assert_eq!(asked("-h"), Ok(Asked::Help));
    }

    #[test]
    fn invalid_arguments_are_reported() {
        for (arguments, word) in [
            ("--seeds", "needs a number"),
            ("--seed -1", "\"-1\" is no number"),
            ("--sed 1", "\"--sed\" is no option"),
            ("--trace", "--seed"),
            ("--seed 1 --seeds 2", "for many"),
            ("--seeds 0", "nothing"),
            ("--first 18446744073709551615 --seeds 2", "2^64-1"),
        ] {
            let problem = asked(arguments).unwrap_err();
            assert!(problem.contains(word), "{arguments}: {problem}");
        }
    }
}
