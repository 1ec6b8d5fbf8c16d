//! Access control: every operation of the served document with every kind of caller and target, in
//! both modes, with and without anonymous reads, and on both stores. Each cell has an expected status and an expected change; a
//! rejected request changes nothing.
//!
//! An operation without rows in the table fails the test, so a new route needs rows.

mod callers;
mod fixture;
mod table;

use std::collections::BTreeSet;

use post_api::domain::policy::Policy;
use serde_json::json;

use self::callers::{AccessClass, Caller};
use self::fixture::Fixture;
use self::table::{Cell, ROWS, Row, Target};
use crate::api::operations::Operation;
use crate::stress::budget::Budget;
use crate::support::{Engine, TestResponse};

/// Returns the targets of an operation, in any mode.
fn targets(operation: &Operation) -> &'static [Target] {
    use Target::{
        Draft, Impossible, Missing, Nothing, Other, OthersSession, Owner, OwnersSession, Public,
        VisibleDraft,
    };
    if operation.path.starts_with("/users/me/sessions/{id}") {
        &[OwnersSession, OthersSession, Missing, Impossible]
    } else if operation.path.starts_with("/posts/{id}") || operation.path.starts_with("/vote") {
        &[Public, Draft, VisibleDraft, Missing, Impossible]
    } else if operation.path.starts_with("/users/{id}") {
        &[Owner, Other, Missing, Impossible]
    } else {
        assert!(!operation.path.contains('{'), "{} has no targets", operation.name());
        &[Nothing]
    }
}

fn applies_in_mode(target: Target, is_reference: bool) -> bool {
    match target {
        Target::Draft => !is_reference,
        Target::VisibleDraft => is_reference,
        _ => true,
    }
}

/// Checks that the table has exactly one row for each operation and target.
fn assert_complete(operations: &[Operation]) {
    let needed: BTreeSet<(String, Target)> = operations
        .iter()
        .flat_map(|operation| targets(operation).iter().map(|target| (operation.name(), *target)))
        .collect();
    let there: BTreeSet<(String, Target)> =
        ROWS.iter().map(|row| (row.operation.to_owned(), row.target)).collect();
    let missing: Vec<_> = needed.difference(&there).collect();
    assert!(missing.is_empty(), "operations without rows: {missing:?}");
    let superfluous: Vec<_> = there.difference(&needed).collect();
    assert!(superfluous.is_empty(), "rows without operations: {superfluous:?}");
    assert_eq!(ROWS.len(), there.len(), "duplicate rows");
}

#[tokio::test]
async fn operation_by_every_caller_on_every_target_is_right_on_sqlite() {
    check_matrix(Engine::Sqlite).await;
}

#[tokio::test]
async fn operation_by_every_caller_on_every_target_is_right_on_postgresql() {
    check_matrix(Engine::Postgres).await;
}

async fn check_matrix(engine: Engine) {
    let mut cells = 0;
    let modes = [Policy::default(), Policy::reference()];
    let opened = modes.clone().map(|policy| Policy { anonymous_reads: true, ..policy });
    for policy in modes.into_iter().chain(opened) {
        let anonymous_reads = policy.anonymous_reads;
        let mut fixture = Fixture::build(engine, policy).await;
        let is_reference = fixture.is_open;
        let operations = Operation::all(&fixture.app).await;
        assert_complete(&operations);
        for row in ROWS.iter().filter(|row| applies_in_mode(row.target, is_reference)) {
            let operation = operations.iter().find(|found| found.name() == row.operation).unwrap();
            // The setting changes nothing for a valid token.
            let is_valid = |caller: &Caller| {
                matches!(caller.access_class(), AccessClass::Other | AccessClass::Owner)
            };
            for caller in
                Caller::ALL.into_iter().filter(|caller| !(anonymous_reads && is_valid(caller)))
            {
                let cell = row.cell(caller.access_class(), anonymous_reads);
                check_cell(&fixture, operation, row, caller, cell).await;
                cells += 1;
                if !cell.effect.is_empty() {
                    fixture = fixture.rebuild().await;
                }
            }
        }
        cells += reject_other_methods(&fixture, &operations).await;
    }
    let part = match engine {
        Engine::Sqlite => "matrix, embedded",
        Engine::Postgres => "matrix, PostgreSQL",
    };
    Budget::new(part, 1).report("cells, none wrong", cells);
}

async fn check_cell(
    fixture: &Fixture,
    operation: &Operation,
    row: &Row,
    caller: Caller,
    cell: Cell,
) {
    let context = format!("{} by {caller:?} on {:?}", row.operation, row.target);
    let response = fixture.call(operation, row.target, caller).await;
    assert_eq!(response.status, cell.status, "{context}: {response:?}");
    assert_eq!(fixture.changes(), fixture.resolve_effect(cell.effect), "{context}");
    if cell.status == 401 {
        assert_rejected(&response, caller, &context);
    }
    if caller != Caller::Owner && !fixture.is_open {
        Fixture::assert_nothing_leaks(&response, &context);
        if row.target == Target::Draft {
            assert_hidden(fixture, operation, caller, &response, &context).await;
        }
    }
}

fn assert_rejected(response: &TestResponse, caller: Caller, context: &str) {
    let detail = match caller {
        Caller::Anonymous => "Not authenticated",
        _ => "Could not validate credentials",
    };
    assert_eq!(response.json(), json!({"detail": detail}), "{context}");
    assert_eq!(response.header("www-authenticate"), "Bearer", "{context}");
}

/// Checks that a hidden draft gets the response of a missing post, except for its ID.
async fn assert_hidden(
    fixture: &Fixture,
    operation: &Operation,
    caller: Caller,
    response: &TestResponse,
    context: &str,
) {
    let missing = fixture.call(operation, Target::Missing, caller).await;
    let number = fixture.id_of(Target::Missing);
    let expected = missing.text().replace(&number, &fixture.id_of(Target::Draft));
    assert_eq!(response.text(), expected, "{context}");
    let names = |response: &TestResponse| response.headers.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(response), names(&missing), "{context}");
}

/// Sends every method that the document does not list, as the owner. Returns their number.
async fn reject_other_methods(fixture: &Fixture, operations: &[Operation]) -> usize {
    let paths: BTreeSet<&String> = operations.iter().map(|operation| &operation.path).collect();
    let mut rejected = 0;
    for path in paths {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            let is_it = |found: &&Operation| found.path == *path && found.method == method;
            if operations.iter().any(|found| is_it(&found)) {
                continue;
            }
            let path = path.replace("{id}", &fixture.id_of(Target::Public));
            let caller = fixture.caller(Caller::Owner);
            let response = caller.send_raw(method, &path, "application/json", "{}").await;
            assert_eq!(response.status, 405, "{method} {path}");
            assert_eq!(fixture.changes(), Vec::<String>::new(), "{method} {path}");
            rejected += 1;
        }
    }
    rejected
}
