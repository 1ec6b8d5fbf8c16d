//! Runs each target on its corpus and on random mutations of it, without a fuzzer, so that it is
//! part of every test run. `STRESS_SECONDS` sets the time per target.

use std::path::Path;

#[path = "../../tests/it/stress"]
#[expect(dead_code, unreachable_pub, reason = "only the other long tests use the rest")]
mod stress {
    pub mod budget;
    pub mod rng;
}

use post_api_fuzz::prepare;
use stress::budget::Budget;
use stress::rng::Rng;

/// Mutated inputs per round.
const MUTATIONS: usize = 100;

/// Bytes that some parser treats specially.
const DICTIONARY: &[&[u8]] = &[
    b"\0",
    b"\xff",
    b"\r\n",
    b"\r\n\r\n",
    b"\"",
    b"\\",
    b"{",
    b"[",
    b"%",
    b"$",
    b"'",
    b"@",
    b".",
    b"=",
    b"&",
    b"/",
    b"9999999999",
    b"-1",
    b"0",
    b"\xed\xa0\x80",
    b"\xf0\x9f\x98\x80",
    b"\\u0000",
    b"1e999",
    b"${",
    b"xn--",
    b"0\r\n\r\n",
    b"chunked",
];

fn run_target(part: &'static str, name: &str) {
    let mut budget = Budget::new(part, 2);
    let corpus = corpus(name);
    let mut target = prepare(name);
    for input in &corpus {
        target(input);
    }
    let mut inputs = corpus.len();
    while let Some(seed) = budget.next_round() {
        let mut rng = Rng::new(seed);
        for _ in 0..MUTATIONS {
            target(&mutate(&corpus, &mut rng));
        }
        inputs += MUTATIONS;
    }
    budget.report("inputs of the corpus", corpus.len());
    budget.report("inputs run", inputs);
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let mut paths: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "the corpus of {name} is empty");
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// Changes an input in one to four places, or joins the start of one and the end of another.
fn mutate(corpus: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    let mut input = rng.pick(corpus).clone();
    for _ in 0..=rng.below(4) {
        let start = below(rng, input.len() + 1);
        let end = start + below(rng, input.len() - start + 1);
        match rng.below(5) {
            0 => drop(input.drain(start..end)),
            1 => drop(input.splice(start..start, rng.pick(DICTIONARY).iter().copied())),
            2 => input.extend_from_within(start..end),
            3 => drop(input.splice(start.., rng.pick(corpus).iter().copied())),
            _ => {
                let random = u8::try_from(rng.below(256)).unwrap();
                if let Some(byte) = input.get_mut(start) {
                    *byte = random;
                }
            }
        }
    }
    input
}

fn below(rng: &mut Rng, bound: usize) -> usize {
    usize::try_from(rng.below(u64::try_from(bound).unwrap())).unwrap()
}

macro_rules! targets {
    ($($group:ident { $($name:ident: $part:literal,)* })*) => {
        $(
            mod $group {
                $(
                    #[test]
                    fn $name() {
                        super::run_target($part, stringify!($name));
                    }
                )*
            }
        )*

        #[test]
        fn every_target_has_a_test() {
            let tested = [$($(stringify!($name)),*),*];
            assert_eq!(tested, post_api_fuzz::TARGETS.map(|target| target.name));
        }
    };
}

targets! {
    service_targets {
        router: "corpus mutations, router",
        wire: "corpus mutations, wire",
        json: "corpus mutations, json",
        form: "corpus mutations, form",
        conditions: "corpus mutations, conditions",
    }
    parser_targets {
        token: "corpus mutations, token",
        password_hash: "corpus mutations, password hash",
        email: "corpus mutations, e-mail",
        settings: "corpus mutations, settings",
        refresh_token: "corpus mutations, refresh token",
        forwarded: "corpus mutations, forwarded",
    }
}
