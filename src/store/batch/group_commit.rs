//! The sequence of a group commit. All members are committed together. If that is rolled back, each
//! is committed by itself. Each member is answered after its commit.
//!
//! Not here: the commit itself. It is a statement in `mod.rs`, and a transaction in
//! `sqlite/writer`.

use std::sync::Arc;
use std::vec;

use crate::store::StoreError;

/// A request that waits for the commit of its batch.
pub(in crate::store) trait Member {
    type Answer;

    /// Whether its client still waits for the answer.
    fn is_awaited(&self) -> bool;

    /// Answers a committed member.
    fn acknowledge(self, answer: Self::Answer);

    fn refuse(self, error: StoreError);
}

/// The error of a commit that failed for all its members.
#[derive(Debug)]
pub(in crate::store) enum BatchError {
    /// Nothing was applied. One member may be the cause, so each other member may succeed by
    /// itself.
    RolledBack(StoreError),
    /// Nothing was applied, because another session did not release a lock in time. It is
    /// unknown which members need the lock. A batch that sets them aside does not settle this error.
    Blocked(StoreError),
    /// A retry would fail too, or might apply a change twice.
    Final(StoreError),
}

impl BatchError {
    pub(in crate::store) fn into_cause(self) -> StoreError {
        match self {
            Self::RolledBack(error) | Self::Blocked(error) | Self::Final(error) => error,
        }
    }
}

/// The members of one batch, until each has its answer.
pub(in crate::store) struct GroupCommit<M> {
    together: Vec<M>,
    one_by_one: vec::IntoIter<M>,
}

impl<M: Member> GroupCommit<M> {
    pub(in crate::store) fn new(members: Vec<M>) -> Self {
        Self { together: members, one_by_one: Vec::new().into_iter() }
    }

    /// Returns the members to commit next, or `None` if every member has its answer.
    pub(in crate::store) fn next_batch(&mut self) -> Option<Vec<M>> {
        if !self.together.is_empty() {
            return Some(std::mem::take(&mut self.together));
        }
        // A member whose client has left meanwhile is not retried.
        self.one_by_one.find(Member::is_awaited).map(|member| vec![member])
    }

    /// Returns the members that have no answer and are in no batch. None of them runs again here.
    pub(super) fn take_rest(&mut self) -> Vec<M> {
        let mut rest = std::mem::take(&mut self.together);
        rest.extend(std::mem::take(&mut self.one_by_one));
        rest
    }

    /// Answers the members of the last [`GroupCommit::next_batch`], or schedules their retry.
    pub(in crate::store) fn settle(
        &mut self,
        mut members: Vec<M>,
        outcome: Result<Vec<M::Answer>, BatchError>,
    ) {
        match outcome {
            Ok(answers) => {
                for (member, answer) in members.into_iter().zip(answers) {
                    member.acknowledge(answer);
                }
            }
            Err(BatchError::RolledBack(_)) if members.len() > 1 => {
                self.one_by_one = members.into_iter();
            }
            Err(BatchError::RolledBack(error) | BatchError::Blocked(error)) => {
                refuse(members, error);
            }
            Err(BatchError::Final(error)) => {
                members.extend(std::mem::take(&mut self.one_by_one));
                refuse(members, error);
            }
        }
    }
}

/// Fails all members with the error. Several members share it, and each gets an error of its kind.
pub(super) fn refuse<M: Member>(members: Vec<M>, error: StoreError) {
    match <[M; 1]>::try_from(members) {
        Ok([member]) => member.refuse(error),
        Err(members) => {
            let error = Arc::new(error);
            for member in members {
                member.refuse(StoreError::shared(&error));
            }
        }
    }
}
