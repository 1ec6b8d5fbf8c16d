//! Random sequences of steps run through a reference model, the service on SQLite and the service
//! on PostgreSQL. Every response of both services must equal the model's. A sequence that fails is
//! shortened until every step in it matters.
//!
//! Not here: concurrent clients, see `histories`; invalid JSON and HTTP, see `fuzz`.

mod accounts;
mod expected_response;
mod keys;
mod post;
mod reference_model;
mod step;
mod system_under_test;

use std::cell::Cell;

use post_api::domain::policy::Policy;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use proptest_state_machine::{ReferenceStateMachine as _, StateMachineTest as _};

use self::reference_model::{Default, Model, Reference};
use self::system_under_test::BothServices;
use crate::stress::budget::Budget;

/// The longest sequence of a round.
const STEPS: usize = 120;

#[test]
fn both_stores_match_the_reference_model() {
    run::<Default>(Budget::new("model", 3));
}

#[test]
fn both_stores_match_the_reference_model_in_reference_mode() {
    run::<Reference>(Budget::new("model, COMPAT=reference", 2));
}

fn run<M: reference_model::Mode>(mut budget: Budget) {
    let steps = Cell::new(0);
    while let Some(seed) = budget.next_round() {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let config = Config { cases: 1, failure_persistence: None, ..Config::default() };
        let random = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let mut runner = TestRunner::new_with_rng(config.clone(), random);
        let sequences = Model::<M>::sequential_strategy(STEPS / 2..=STEPS);
        let outcome = runner.run(&sequences, |(model, transitions, seen)| {
            steps.set(steps.get() + transitions.len());
            BothServices::<M>::test_sequential(config.clone(), model, transitions, seen);
            Ok(())
        });
        outcome.unwrap_or_else(|error| panic!("{}: {error}", budget.name_round()));
    }
    budget.report("sequences", budget.rounds());
    budget.report("steps on both stores, every response the model's", steps.get());
}

/// Returns the policy of the mode.
fn policy_of(is_reference: bool) -> Policy {
    if is_reference { Policy::reference() } else { Policy::default() }
}
