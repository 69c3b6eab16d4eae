//! The command line.

use crate::Result;
use durable_streams::LiveMode;
use std::fmt;

pub(crate) const USAGE: &str = "\
usage: load SCENARIO [options]

scenarios
  produce            binary records through the exactly-once producer, as fast as they go, and a flush
  produce-json       the same for JSON, from a struct
  catch-up           read a binary stream from its start to its tail
  catch-up-json      the same for JSON, into a struct
  sse-backlog-json   the same for JSON that comes as server-sent events
  append             one append at a time, each waited for
  tail               append at 1 kHz, and how long each record takes to a live reader
  idle-readers       live readers with nothing to read

options
  --url URL          a server that runs already, http://HOST:PORT; without it one is started
  --stack STACK      tokio (default), tokio-hyper, async-std, smol or smol-hyper
  --count N          how many records (idle-readers: readers)
  --size B           bytes of a record
  --live MODE        for tail, sse-backlog-json and idle-readers: sse (default), long-poll or auto
  --max-event-bytes B  for sse-backlog-json: the reader's limit (default: the client's)
  --raw              the same bytes through the stack's HTTP library alone
  --rounds N         N rounds in processes of their own, each beside its counterpart: the same with --raw,
                     or, with --vs SCENARIO, that scenario through the client
  --vs SCENARIO      what --rounds compares with";

macro_rules! names {
    ($(#[$doc:meta])* $type:ident { $($variant:ident = $name:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum $type { $($variant),+ }

        impl $type {
            pub(crate) fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            fn parse(text: &str) -> Result<Self> {
                match text {
                    $($name => Ok(Self::$variant),)+
                    _ => Err(format!("{text:?} is none of {}", [$($name),+].join(", ")).into()),
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

names!(
    /// What is measured.
    Scenario {
        Produce = "produce",
        ProduceJson = "produce-json",
        CatchUp = "catch-up",
        CatchUpJson = "catch-up-json",
        SseBacklogJson = "sse-backlog-json",
        Append = "append",
        Tail = "tail",
        IdleReaders = "idle-readers",
    }
);

names!(
    /// A runtime with its HTTP library.
    StackName {
        Tokio = "tokio",
        TokioHyper = "tokio-hyper",
        AsyncStd = "async-std",
        Smol = "smol",
        SmolHyper = "smol-hyper",
    }
);

names!(
    /// How a tail is read.
    Live { Sse = "sse", LongPoll = "long-poll", Auto = "auto" }
);

impl Live {
    /// The client's own name for it.
    pub(crate) fn mode(self) -> LiveMode {
        match self {
            Self::Sse => LiveMode::Sse,
            Self::LongPoll => LiveMode::LongPoll,
            Self::Auto => LiveMode::Auto,
        }
    }
}

impl Scenario {
    /// The default number and size of the records.
    fn defaults(self) -> (u64, usize) {
        match self {
            Self::Produce => (2_000_000, 100),
            Self::ProduceJson => (1_000_000, 95),
            Self::CatchUp => (256_000, 1000),
            Self::CatchUpJson | Self::SseBacklogJson => (500_000, 95),
            Self::Append => (20_000, 100),
            Self::Tail => (5_000, 100),
            Self::IdleReaders => (1_000, 95),
        }
    }

    pub(crate) fn is_json(self) -> bool {
        !matches!(self, Self::Produce | Self::CatchUp | Self::Append)
    }
}

/// What a run is to do.
#[derive(Clone, Debug)]
pub(crate) struct Args {
    pub(crate) scenario: Scenario,
    pub(crate) url: Option<String>,
    pub(crate) stack: StackName,
    pub(crate) count: u64,
    pub(crate) size: usize,
    pub(crate) live: Live,
    pub(crate) max_event_bytes: Option<usize>,
    pub(crate) raw: bool,
    pub(crate) rounds: Option<usize>,
    pub(crate) vs: Option<Scenario>,
}

impl Args {
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Self> {
        let scenario = Scenario::parse(&words.next().ok_or("which scenario?")?)?;
        let (count, size) = scenario.defaults();
        let mut args = Self {
            scenario,
            url: None,
            stack: StackName::Tokio,
            count,
            size,
            live: Live::Sse,
            max_event_bytes: None,
            raw: false,
            rounds: None,
            vs: None,
        };
        while let Some(option) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{option} needs a value"));
            match option.as_str() {
                "--url" => args.url = Some(value()?.trim_end_matches('/').to_owned()),
                "--stack" => args.stack = StackName::parse(&value()?)?,
                "--count" => args.count = number(&option, &value()?)?,
                "--size" => args.size = number(&option, &value()?)?,
                "--live" => args.live = Live::parse(&value()?)?,
                "--max-event-bytes" => args.max_event_bytes = Some(number(&option, &value()?)?),
                "--raw" => args.raw = true,
                "--rounds" => args.rounds = Some(number(&option, &value()?)?),
                "--vs" => args.vs = Some(Scenario::parse(&value()?)?),
                // The default of rounds; it may be given.
                "--vs-raw" => args.vs = None,
                _ => return Err(format!("there is no option {option:?}").into()),
            }
        }
        if args.count == 0 || args.size == 0 || args.rounds == Some(0) {
            return Err("counts and sizes start at 1".into());
        }
        if args.vs.is_some() && args.rounds.is_none() {
            return Err("--vs needs --rounds".into());
        }
        if args.raw && args.live == Live::Auto {
            return Err("--live auto is the client's choice; --raw needs sse or long-poll".into());
        }
        let smallest = crate::content::MIN_JSON_SIZE;
        if args.scenario.is_json() && args.size < smallest {
            return Err(format!("a JSON record has at least {smallest} bytes").into());
        }
        if args.size > crate::content::MAX_SIZE {
            return Err(format!("a record has at most {} bytes", crate::content::MAX_SIZE).into());
        }
        Ok(args)
    }

    /// How a tail is read, where the scenario reads one.
    pub(crate) fn live_name(&self) -> Option<&'static str> {
        let live = [Scenario::Tail, Scenario::SseBacklogJson, Scenario::IdleReaders].contains(&self.scenario);
        live.then(|| self.live.name())
    }

    /// The command line of a single run like this.
    pub(crate) fn to_words(&self) -> Vec<String> {
        let mut words = vec![self.scenario.to_string()];
        let mut say = |option: &str, value: &dyn fmt::Display| {
            words.extend([option.to_owned(), value.to_string()]);
        };
        if let Some(url) = &self.url {
            say("--url", url);
        }
        say("--stack", &self.stack);
        say("--count", &self.count);
        say("--size", &self.size);
        say("--live", &self.live);
        if let Some(limit) = &self.max_event_bytes {
            say("--max-event-bytes", limit);
        }
        if self.raw {
            words.push("--raw".to_owned());
        }
        words
    }
}

fn number<N: std::str::FromStr>(option: &str, text: &str) -> Result<N> {
    text.replace('_', "").parse().map_err(|_| format!("{option}: {text:?} is no number that fits").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Args> {
        Args::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn options_are_read_and_what_is_wrong_is_named() {
        let args = parse("catch-up --count 1_000 --raw --url http://h:1/").unwrap();
        assert_eq!((args.count, args.size, args.raw), (1000, 1000, true));
        assert_eq!(args.url.as_deref(), Some("http://h:1"));
        let again = Args::parse(args.to_words().into_iter()).unwrap();
        assert_eq!(format!("{args:?}"), format!("{again:?}"));
        for (line, named) in [
            ("", "scenario"),
            ("fly", "fly"),
            ("append --count", "--count"),
            ("append --count x", "x"),
            ("append --wings 2", "--wings"),
            ("catch-up-json --size 5", "JSON"),
            ("append --vs catch-up", "--rounds"),
        ] {
            let error = parse(line).unwrap_err().to_string();
            assert!(error.contains(named), "{line}: {error}");
        }
    }
}
