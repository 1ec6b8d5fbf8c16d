//! Answers that the synchronous standby confirms (`DATABASE_CONFIRM_READS`).
//!
//! A read is confirmed by its own text, see `fence.rs`. Here: a statement that may write, because
//! its answer may be that nothing changed, and the end of a read with a limit.

use tokio_postgres::Row;

use super::connection::{Connection, END, QueryError, Value, is_end};
use super::fence::CONFIRM;
use super::statement::Statement;

impl Connection {
    /// Runs a statement that may write, and confirms its answer in the same transaction. Without a
    /// change the commit would not wait for the standby.
    pub(super) async fn run_confirmed(
        &self,
        statement: &Statement,
        values: &[Value<'_>],
    ) -> Result<Vec<Row>, QueryError> {
        if self.shared().is_prepared() {
            let pooled = self.pooled()?;
            for one in [statement, &CONFIRM] {
                pooled.prepare_typed_cached(self.shared().text(one), one.types).await?;
            }
        }
        let client = self.pooled()?;
        // One round trip: all messages are sent before the first answer.
        let (begun, rows, confirmed, ended) = tokio::join!(
            biased;
            client.batch_execute("BEGIN"),
            self.run(statement, values),
            self.run(&CONFIRM, &[]),
            client.batch_execute(END),
        );
        begun?;
        let rows = rows?;
        confirmed?;
        match ended {
            Err(error) if is_end(&error) => Err(QueryError::Unconfirmed(error)),
            ended => Ok(ended.map(|()| rows)?),
        }
    }
}
