//! The corpus, and chance variations of what is in it, without the machinery of a fuzzer: for every
//! run of the tests. `PROOF_SECONDS` has each target go on for so long.

use std::path::Path;

#[path = "../../tests/it/proof"]
#[expect(dead_code, unreachable_pub, reason = "the proofs use the rest")]
mod proof {
    pub mod dice;
    pub mod effort;
}

use post_api_fuzz::open;
use proof::dice::Dice;
use proof::effort::Effort;

/// Variations of one round.
const VARIATIONS: usize = 100;

/// Bytes that mean something to somebody.
const TELLING: &[&[u8]] = &[
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

fn try_out(part: &'static str, name: &str) {
    let mut effort = Effort::new(part, 2);
    let corpus = corpus(name);
    let mut attack = open(name);
    for input in &corpus {
        attack(input);
    }
    let mut tried = corpus.len();
    while let Some(seed) = effort.next_round() {
        let mut dice = Dice::new(seed);
        for _ in 0..VARIATIONS {
            attack(&vary(&corpus, &mut dice));
        }
        tried += VARIATIONS;
    }
    effort.report("inputs of the corpus", corpus.len());
    effort.report("inputs tried", tried);
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let mut paths: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "the corpus of {name} is gone");
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// One input with a few things changed, or the beginning of one and the end of another.
fn vary(corpus: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    let mut input = dice.pick(corpus).clone();
    for _ in 0..=dice.below(4) {
        let place = below(dice, input.len() + 1);
        let end = place + below(dice, input.len() - place + 1);
        match dice.below(5) {
            0 => drop(input.drain(place..end)),
            1 => drop(input.splice(place..place, dice.pick(TELLING).iter().copied())),
            2 => input.extend_from_within(place..end),
            3 => drop(input.splice(place.., dice.pick(corpus).iter().copied())),
            _ => {
                let random = u8::try_from(dice.below(256)).unwrap();
                if let Some(byte) = input.get_mut(place) {
                    *byte = random;
                }
            }
        }
    }
    input
}

fn below(dice: &mut Dice, bound: usize) -> usize {
    usize::try_from(dice.below(u64::try_from(bound).unwrap())).unwrap()
}

macro_rules! targets {
    ($($room:ident { $($name:ident: $part:literal,)* })*) => {
        $(
            mod $room {
                $(
                    #[test]
                    fn $name() {
                        super::try_out($part, stringify!($name));
                    }
                )*
            }
        )*

        #[test]
        fn every_target_is_tried_out() {
            let tried = [$($(stringify!($name)),*),*];
            assert_eq!(tried, post_api_fuzz::TARGETS.map(|target| target.name));
        }
    };
}

targets! {
    served {
        router: "variations, router",
        wire: "variations, wire",
        json: "variations, json",
        form: "variations, form",
    }
    alone {
        token: "variations, token",
        password_hash: "variations, password hash",
        email: "variations, e-mail",
        settings: "variations, settings",
        refresh_token: "variations, refresh token",
        forwarded: "variations, forwarded",
    }
}
