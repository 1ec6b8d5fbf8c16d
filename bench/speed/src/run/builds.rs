//! This build of the service beside another, on both stores: what a change has brought.

use anyhow::Result;

use super::place::Place;
use crate::contest::{Goal, compare};
use crate::operation::Operation;
use crate::report::Report;

const OPERATIONS: [Operation; 5] = [
    Operation::ReadPost,
    Operation::ListPosts,
    Operation::Vote,
    Operation::VoteOnOnePost,
    Operation::CreatePost,
];

pub fn measure(place: &Place<'_>, report: &mut Report) -> Result<()> {
    let Some(other) = place.options.beside.as_deref() else { return Ok(()) };
    let this = &place.options.service;
    let embedded = (place.on_sqlite(this, "this_build")?, place.on_sqlite(other, "other_build")?);
    let postgres =
        (place.on_postgres(this, "this_build")?, place.on_postgres(other, "other_build")?);
    for (store, (ours, theirs)) in [("embedded", embedded), ("PostgreSQL", postgres)] {
        for operation in OPERATIONS {
            let (mut traffic, mut same) = (place.traffic(operation), place.traffic(operation));
            report.comparisons.push(compare(
                place.effort,
                (&format!("{}, {store}", operation.name()), &mut |time| {
                    place.load(ours.address, &mut traffic, time)
                }),
                ("the other build", &mut |time| place.load(theirs.address, &mut same, time)),
                ("/s", Goal::AtLeast(1.0)),
            )?);
        }
    }
    Ok(())
}
